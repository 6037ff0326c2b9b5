//! What to send after a change of a room or of the policy, and after an outage of the daemon.
//!
//! A recipient who gained a sender gets its state, since the sender's next update may be hours
//! away. A recipient who lost one gets nothing, and never again: `decisions` withholds it.

use std::collections::BTreeSet;

use presence_router_client::{ChangeEvent, Changed, Coverage, PairProduct};

use super::{Homeserver, Presence, Room, Rooms, server_of};

// === impl Homeserver ===

impl Homeserver {
    /// Takes the state of a room after an event in it: a join, a leave, or another fact.
    pub(crate) async fn change_room(&self, room_id: &str, room: Room) {
        let affected = self.rooms.write().unwrap().replace(room_id, room);
        let senders: Vec<_> = affected.iter().map(String::as_str).collect();
        for recipient in affected.iter().filter(|user| self.users.contains(*user)) {
            self.resend(recipient, &senders).await;
        }
        let own = affected.iter().filter(|user| self.is_own(user));
        let own: Vec<_> = own.filter_map(|user| self.presence().state_of(user)).collect();
        let servers: BTreeSet<_> = affected.iter().map(|user| server_of(user)).collect();
        for server in servers.into_iter().filter(|server| !self.server_names.contains(*server)) {
            self.send_snapshot(server.to_owned(), &own).await;
        }
    }

    /// Reads the rooms.
    pub(crate) fn with_rooms<T>(&self, read: impl FnOnce(&Rooms) -> T) -> T {
        read(&self.rooms.read().unwrap())
    }

    /// Takes an event of `Changes`.
    pub(crate) async fn follow(&self, event: ChangeEvent) {
        match event {
            ChangeEvent::Changed(Changed { gained, .. }) => self.show_gained(&gained).await,
            ChangeEvent::Reset { .. } => {
                let states = self.presence().states();
                for state in states {
                    self.pass_on(&state.user_id).await;
                }
            }
            ChangeEvent::Connected { .. } => self.make_up().await,
            // From here on, decisions have no answer, or an older one, and note it.
            _ => {}
        }
    }

    /// Passes on the states of the users about whom decisions had no answer.
    async fn make_up(&self) {
        for sender in self.decisions.take_withheld() {
            self.pass_on(&sender).await;
        }
    }

    async fn show_gained(&self, gained: &[PairProduct]) {
        let states = self.presence().states();
        for recipient in &self.users {
            let senders = self.decisions.senders_gained(recipient, gained, &states).await;
            let senders: Vec<_> = senders.iter().map(String::as_str).collect();
            self.resend(recipient, &senders).await;
        }
        for state in states.iter().filter(|state| self.is_own(&state.user_id)) {
            for destination in self.destinations(&state.user_id) {
                if is_gained_on(&destination, state, gained) {
                    self.send_snapshot(destination, std::slice::from_ref(state)).await;
                }
            }
        }
    }
}

/// Returns true if a user of a server may have gained the sender of a state.
fn is_gained_on(server: &str, state: &Presence, gained: &[PairProduct]) -> bool {
    gained.iter().any(|pairs| {
        pairs.senders.contains(&state.user_id)
            && pairs.recipients.coverage_on_server(server) != Coverage::Nobody
    })
}
