//! The states of users, and the order in which `/sync` passes them on.

use std::collections::{BTreeMap, BTreeSet};

use presence_router_client::Fields;

/// The presence of a user, as `/sync` and EDUs carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Presence {
    pub(crate) user_id: String,
    /// `online`, `unavailable` ...
    pub(crate) presence: String,
    pub(crate) status_msg: Option<String>,
    pub(crate) last_active_ts: Option<u64>,
    pub(crate) currently_active: Option<bool>,
}

/// The latest state of each user. Positions increase by 1 with each event, as those of a
/// homeserver's stream do.
#[derive(Debug, Default)]
pub(super) struct PresenceStream {
    last_position: u64,
    states: BTreeMap<String, (u64, Presence)>,
    /// Positions at which a recipient gets the state of a sender again, by recipient and sender.
    resends: BTreeMap<String, BTreeMap<String, u64>>,
}

// === impl Presence ===

impl Presence {
    /// Returns the presence without some fields.
    pub(crate) fn without(&self, hidden: Fields) -> Self {
        let user_id = self.user_id.clone();
        if hidden.presence {
            let presence = "offline".to_owned();
            let (status_msg, last_active_ts, currently_active) = (None, None, None);
            return Self { user_id, presence, status_msg, last_active_ts, currently_active };
        }
        Self {
            user_id,
            presence: self.presence.clone(),
            status_msg: self.status_msg.clone().filter(|_| !hidden.status_msg),
            last_active_ts: self.last_active_ts.filter(|_| !hidden.last_active_ts),
            currently_active: self.currently_active.filter(|_| !hidden.currently_active),
        }
    }
}

// === impl PresenceStream ===

impl PresenceStream {
    /// Returns the position of the last event.
    pub(super) fn last_position(&self) -> u64 {
        self.last_position
    }

    /// Passes the current state of a user on to everybody who may see it, and returns it.
    pub(super) fn publish(&mut self, user: &str) -> Option<Presence> {
        let position = self.advance();
        let (at, state) = self.states.get_mut(user)?;
        *at = position;
        Some(state.clone())
    }

    /// Returns the users of those states that no newer one has replaced.
    pub(super) fn users_of_current(&self, states: &[Presence]) -> BTreeSet<String> {
        let is_current = |state: &&Presence| {
            self.states.get(&state.user_id).is_some_and(|(_, current)| current == *state)
        };
        states.iter().filter(is_current).map(|state| state.user_id.clone()).collect()
    }

    /// Stores a state. No incremental sync passes it on before it is published.
    pub(super) fn keep(&mut self, state: Presence) {
        self.states.insert(state.user_id.clone(), (0, state));
    }

    /// Passes the state of a sender on to a recipient again.
    pub(super) fn resend(&mut self, sender: &str, recipient: &str) {
        if self.states.contains_key(sender) {
            let position = self.advance();
            let resends = self.resends.entry(recipient.to_owned()).or_default();
            resends.insert(sender.to_owned(), position);
        }
    }

    /// Returns the state of a user.
    pub(super) fn state_of(&self, user: &str) -> Option<Presence> {
        self.states.get(user).map(|(_, state)| state.clone())
    }

    /// Returns all states.
    pub(super) fn states(&self) -> Vec<Presence> {
        self.states.values().map(|(_, state)| state.clone()).collect()
    }

    /// Returns the states that a recipient has not got since a position, whether it may see
    /// them or not.
    pub(super) fn states_since(&self, recipient: &str, position: u64) -> Vec<Presence> {
        let resends = self.resends.get(recipient);
        let is_new = |(sender, (at, _)): &(&String, &(u64, Presence))| {
            let again = resends.and_then(|resends| resends.get(*sender)).copied();
            again.max(Some(*at)) > Some(position)
        };
        self.states.iter().filter(is_new).map(|(_, (_, state))| state.clone()).collect()
    }

    fn advance(&mut self) -> u64 {
        self.last_position += 1;
        self.last_position
    }
}
