//! Presence from and to other servers: the `m.presence` EDU.

use std::collections::BTreeSet;

use super::{Homeserver, Presence, server_of};

/// An `m.presence` EDU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edu {
    /// The server that sends it, as its signature proves.
    pub(crate) origin: String,
    pub(crate) push: Vec<Presence>,
}

// === impl Homeserver ===

impl Homeserver {
    /// Takes an EDU of another server.
    pub(crate) async fn receive(&self, edu: Edu) {
        for state in edu.push {
            let is_origins = server_of(&state.user_id) == edu.origin;
            if is_origins && !self.is_own(&state.user_id) {
                self.take_state(state).await;
            }
        }
    }

    /// Returns the EDUs to send, each with its destination, and forgets them.
    pub(crate) fn take_outbox(&self) -> Vec<(String, Edu)> {
        std::mem::take(&mut *self.outbox.lock().unwrap())
    }

    /// Returns the state that this server has of a user, which may live on another one.
    pub(crate) fn stored_state(&self, user: &str) -> Option<Presence> {
        self.presence().state_of(user)
    }

    /// Sends the state of one of our users to every server on which somebody may see it.
    pub(super) async fn send_to_servers(&self, state: &Presence) {
        for destination in self.destinations(&state.user_id) {
            self.send_snapshot(destination, std::slice::from_ref(state)).await;
        }
    }

    /// Sends those states of some of our users to a server that somebody there may see, and that
    /// are still current. A newer state is sent by the event that set it.
    pub(super) async fn send_snapshot(&self, destination: String, states: &[Presence]) {
        let mut copies = self.decisions.snapshot_for_server(&destination, states).await;
        // Locked until the copies are in the outbox, so that no newer one comes before them.
        let presence = self.presence();
        let current = presence.users_of_current(states);
        copies.retain(|copy| current.contains(&copy.user_id));
        if !copies.is_empty() {
            self.send(destination, copies);
        }
    }

    /// Returns the servers on which recipients of a sender may live: those of its room-mates, and
    /// those that only the policy connects.
    pub(super) fn destinations(&self, sender: &str) -> BTreeSet<String> {
        let rooms = self.rooms.read().unwrap();
        let of_room_mates = rooms.servers(sender).into_iter().map(str::to_owned);
        let mut servers: BTreeSet<_> = of_room_mates.chain(self.peers.iter().cloned()).collect();
        servers.retain(|server| !self.server_names.contains(server));
        servers
    }

    fn send(&self, destination: String, push: Vec<Presence>) {
        let Some(state) = push.first() else { return };
        let origin = server_of(&state.user_id).to_owned();
        self.outbox.lock().unwrap().push((destination, Edu { origin, push }));
    }
}
