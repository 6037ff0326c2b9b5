//! The keys of Synapse's dictionary that an audience has. Synapse has no open sets: it takes
//! user ids. It sends one copy of a state to a whole server, so fields that are hidden from
//! one user there are hidden from all; and to a local recipient it shows a state in full or
//! not at all.
//!
//! Knows no Python, and none of the users who asked lately: `audience_template` adds those.

use std::collections::{HashMap, HashSet};

use presence_router_client::{Coverage, Set};

use crate::{
    hides::{Fields, Hide, union_of_fields},
    home::Home,
};

/// Localpart of the key that stands for a whole remote server. Of a remote key, Synapse uses
/// the host only.
const HOST_KEY: &str = "@presence-router";

/// The properties of a state that decide about its keys, beside its audience.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StateKind {
    /// True if the sender is a user of this homeserver. Other servers get the presence of such
    /// users only.
    pub(crate) local_sender: bool,
    /// True if no later state in the batch has the same sender. Synapse sends a server one
    /// state of each user, and takes it from a set: any of several.
    pub(crate) last_of_sender: bool,
    pub(crate) presence: Presence,
}

/// A presence, as far as hides depend on it: other servers send any text, and each kind of
/// states takes memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Presence {
    /// Some hide has an exception for this presence.
    Named(String),
    /// No hide has.
    Other,
}

/// An audience with a kind of states.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Audience<'a> {
    pub(crate) home: &'a Home,
    pub(crate) recipients: &'a Set,
    pub(crate) hides: &'a [Hide],
    pub(crate) kind: &'a StateKind,
    /// Servers that the policy names.
    pub(crate) named_servers: &'a [&'a str],
}

/// Keys by the fields that are hidden from them.
pub(crate) type KeysByHidden = HashMap<Fields, Vec<String>>;

/// The keys of listed recipients and of servers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ListedKeys {
    pub(crate) keys: KeysByHidden,
    /// True if some servers of the audience have no name that Synapse could send to.
    pub(crate) unsent: bool,
}

// === impl Presence ===

impl Presence {
    /// Creates the presence of a state. `None`: it is not valid Unicode.
    pub(crate) fn new(presence: Option<&str>, hides: &[presence_router_client::Hide]) -> Self {
        let presence = presence.filter(|presence| {
            hides.iter().any(|hide| hide.unless_presence.iter().any(|unless| unless == presence))
        });
        presence.map_or(Self::Other, |presence| Self::Named(presence.to_owned()))
    }

    fn as_str(&self) -> Option<&str> {
        match self {
            Self::Named(presence) => Some(presence),
            Self::Other => None,
        }
    }
}

// === impl Audience ===

impl<'a> Audience<'a> {
    /// Returns the keys of listed recipients, and those of servers. `sees_everyone` returns
    /// true for local users who get their states from the answer itself.
    pub(crate) fn listed_keys(&self, sees_everyone: impl Fn(&str) -> bool) -> ListedKeys {
        let mut keys = KeysByHidden::new();
        let mut by_server: HashMap<&str, Vec<&str>> = HashMap::new();
        for user in self.recipients.listed_users() {
            match self.home.other_server(user) {
                Some(server) => by_server.entry(server).or_default().push(user),
                None => {
                    if let Some(hidden) = self.hidden_from_local(user, &sees_everyone) {
                        keys.entry(hidden).or_default().push(user.to_owned());
                    }
                }
            }
        }
        let mut unsent = false;
        if self.kind.local_sender && self.recipients.is_open() {
            let destinations = self.destinations();
            let reached = |server: &str| {
                server == self.home.server
                    || destinations.contains(server)
                    || by_server.contains_key(server)
            };
            unsent = self.recipients.coverage_outside(reached) != Coverage::Nobody;
            for server in destinations {
                if self.recipients.open_coverage_on_server(server) != Coverage::Nobody {
                    by_server.entry(server).or_default();
                }
            }
        }
        if self.kind.last_of_sender {
            for (server, users) in by_server {
                let hidden = self.hidden_on_server(server, &users);
                let keys = keys.entry(hidden).or_default();
                if users.is_empty() {
                    keys.push(format!("{HOST_KEY}:{server}"));
                }
                keys.extend(users.into_iter().map(str::to_owned));
            }
        }
        ListedKeys { keys, unsent }
    }

    /// Returns the servers that Synapse can send to, beside those of listed recipients.
    fn destinations(&self) -> HashSet<&'a str> {
        let configured = self.home.destinations.iter().map(String::as_str);
        let named = self.named_servers.iter().copied().chain(configured);
        named.filter(|server| *server != self.home.server).collect()
    }

    /// Returns the fields that are hidden from a local recipient. `None`: the recipient gets
    /// nothing at all.
    pub(crate) fn hidden_from_local(
        &self,
        user_id: &str,
        sees_everyone: impl Fn(&str) -> bool,
    ) -> Option<Fields> {
        match self.hidden_from(user_id) {
            None => Some(Fields::NONE),
            // Synapse would show an ordinary local recipient the state in its database. This is
            // independent of the presence, for who gets one state must get all that follow.
            Some(_) if !sees_everyone(user_id) => None,
            hidden => hidden,
        }
    }

    /// Returns the fields that are hidden from a recipient. `None`: no hide applies to the
    /// recipient, for any presence.
    fn hidden_from(&self, user_id: &str) -> Option<Fields> {
        let concerned = self.hides.iter().filter(|hide| hide.users.contains(user_id));
        concerned.map(|hide| self.hidden_by(hide)).reduce(|all, more| all | more)
    }

    /// Returns the fields that are hidden from any recipient on a server. Open sets have no
    /// list of members, so the result may include too many fields.
    fn hidden_on_server(&self, server: &str, listed: &[&str]) -> Fields {
        if self.hides.is_empty() {
            return Fields::NONE;
        }
        let from_listed = listed.iter().filter_map(|user| self.hidden_from(user));
        let mut hidden = union_of_fields(from_listed);
        if self.recipients.open_coverage_on_server(server) != Coverage::Nobody {
            let concerned = self
                .hides
                .iter()
                .filter(|hide| hide.users.coverage_on_server(server) != Coverage::Nobody);
            hidden |= union_of_fields(concerned.map(|hide| self.hidden_by(hide)));
        }
        hidden
    }

    fn hidden_by(&self, hide: &Hide) -> Fields {
        hide.hidden_fields(self.kind.presence.as_str())
    }
}

/// Returns the senders that an interest lists, without those that have hidden fields: Synapse
/// would show them in full.
pub(crate) fn listed_senders(senders: &Set, hides: &[Hide]) -> Vec<String> {
    let listed = senders.listed_users().into_iter();
    listed.filter(|sender| is_shown(hides, sender)).map(str::to_owned).collect()
}

/// Returns true if none of the fields of a sender is hidden, whatever the presence.
pub(crate) fn is_shown(hides: &[Hide], sender: &str) -> bool {
    !hides.iter().any(|hide| hide.users.contains(sender))
}
