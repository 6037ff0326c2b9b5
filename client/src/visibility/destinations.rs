//! The servers on which a sender may have recipients.

use std::collections::BTreeSet;

use presence_router_proto::ids::Coverage;

use super::{Basis, source::Answer};
use crate::{NamedServers, list::server_of};

/// The servers on which a sender may have recipients, from
/// [`Visibility::destinations`](crate::Visibility::destinations).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Destinations {
    /// The servers, sorted, without repeats. The homeserver's own names may be among them.
    pub servers: Vec<String>,
    /// True if further servers may have recipients: ask about those of the sender's room-mates,
    /// too.
    pub is_open: bool,
    /// The origin of the answer.
    pub basis: Basis,
}

// === impl Destinations ===

impl Destinations {
    /// Collects the servers of an audience. `None`: the router names no servers.
    pub(super) fn collect(sender: &str, audience: &Answer, named: Option<&NamedServers>) -> Self {
        let recipients = audience.counterparts_of(sender);
        let listed = recipients.listed_candidates();
        let mut servers: BTreeSet<&str> = listed.into_iter().filter_map(server_of).collect();
        if let (Some(named), Some(set)) = (named, recipients.as_set()) {
            // Room-mates bring their own servers.
            let may_see = |name: &&str| set.open_coverage_by_strangers(name) != Coverage::Nobody;
            servers.extend(named.names().filter(may_see));
        }
        let servers = servers.into_iter().map(str::to_owned).collect();
        Self { servers, is_open: recipients.is_open(), basis: audience.basis }
    }
}
