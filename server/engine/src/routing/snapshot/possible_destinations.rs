//! The servers that any answer of a snapshot may name as destinations. They are found once for
//! all snapshots with the same ruleset and the same servers of listed users, so that a stream
//! compares two pointers to learn that nothing changed.

use std::sync::{Arc, OnceLock};

use super::Snapshot;
use super::keys::SetId;
use crate::routing::model::side::Side;
use presence_router_ids::Coverage;

/// The servers that answers may name, once they are found. Clones share them.
#[derive(Clone, Debug, Default)]
pub(in crate::routing) struct PossibleDestinations(Arc<OnceLock<Arc<[Box<str>]>>>);

// === impl Snapshot ===

impl Snapshot {
    /// Returns every server that [`Self::destinations`] may return for an audience of this
    /// snapshot, sorted: the servers that policy or directory name, without those on which no
    /// allow rule has recipients by server or pattern.
    ///
    /// The next snapshot has the same list, by `Arc::ptr_eq`, unless its ruleset differs in
    /// these servers, or an edit of the directory listed the first user of a server, or removed
    /// the last one.
    pub fn possible_destinations(&self) -> &Arc<[Box<str>]> {
        self.possible_destinations.0.get_or_init(|| self.find_possible_destinations())
    }

    /// Finds the servers now, and takes over the list of an earlier snapshot if it is equal.
    pub(in crate::routing) fn share_possible_destinations(&self, earlier: Option<&Self>) {
        let found = self.find_possible_destinations();
        let earlier = earlier.map(Self::possible_destinations).filter(|list| **list == found);
        let found = earlier.cloned().unwrap_or(found);
        // The list of a new snapshot is not set yet.
        let _ = self.possible_destinations.0.set(found);
    }

    fn find_possible_destinations(&self) -> Arc<[Box<str>]> {
        let is_allowed = |id: &&SetId| {
            let rules = self.rules.of_set(**id, Side::Recipient);
            rules.is_some_and(|rules| !rules.allow.is_empty())
        };
        let sets = self.open_sets.iter().filter(is_allowed).filter_map(|id| self.set(*id));
        let open: Vec<_> = sets.map(|set| set.open()).collect();
        let may_have_members =
            |name: &&str| open.iter().any(|open| open.coverage_of(name) != Coverage::Nobody);
        self.all_named_servers().into_iter().filter(may_have_members).map(Into::into).collect()
    }
}
