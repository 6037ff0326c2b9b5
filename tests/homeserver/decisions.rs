//! The eight decisions of a homeserver about presence. Each is one call of `Visibility`, and its
//! evaluation over the rooms. No other file of this homeserver decides who sees what.
//!
//! A decision without an answer of the daemon shows nothing, or what `WhenAway` says. It notes
//! the senders, so that `changes` can make up for what was withheld.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard};

use presence_router_client::{PairProduct, RoomMates, Verdict, Visibility};

use super::{Presence, Rooms};

/// The client of the daemon, and the rooms that it does not know.
pub(super) struct Decisions {
    visibility: Visibility,
    rooms: Arc<RwLock<Rooms>>,
    /// The homeserver's own names.
    server_names: BTreeSet<String>,
    /// Senders about whom a decision had no answer of the daemon.
    withheld: Mutex<BTreeSet<String>>,
}

// === impl Decisions ===

impl Decisions {
    pub(super) fn new(
        visibility: Visibility,
        rooms: Arc<RwLock<Rooms>>,
        server_names: BTreeSet<String>,
    ) -> Self {
        Self { visibility, rooms, server_names, withheld: Mutex::default() }
    }

    /// 1. `/sync`: returns what a recipient is shown of some states.
    pub(super) async fn filter_sync(&self, recipient: &str, states: &[Presence]) -> Vec<Presence> {
        let senders: Vec<_> = states.iter().map(sender_and_presence).collect();
        let Ok(question) = self.visibility.filter(recipient, &senders).await else {
            self.withhold(states);
            return Vec::new();
        };
        let rooms = self.rooms();
        let verdict =
            question.decide(|one, other, conditions| rooms.share_room(one, other, conditions));
        if verdict.basis.is_without_answer() {
            self.withhold(states);
        }
        let shown = verdict.visible.iter();
        shown.map(|sender| states[sender.index].without(sender.hidden)).collect()
    }

    /// 2. `GET /presence/{userId}/status`: returns what the requester is shown of a state.
    pub(super) async fn show_status(&self, requester: &str, state: &Presence) -> Option<Presence> {
        let verdict = self.verdict_about(requester, state).await?;
        verdict.visible.then(|| state.without(verdict.hidden))
    }

    /// 3. Federation out: returns the copy of a state for a server, whose users may all see it.
    pub(super) async fn copy_for_server(
        &self,
        destination: &str,
        state: &Presence,
    ) -> Option<Presence> {
        let (sender, presence) = sender_and_presence(state);
        let Ok(question) = self.visibility.server_sees(destination, sender, presence).await else {
            self.withhold([state]);
            return None;
        };
        let rooms = self.rooms();
        let room_mates = RoomMates::complete(rooms.room_mates(sender));
        let verdict = question
            .decide(room_mates, |one, other, conditions| rooms.share_room(one, other, conditions));
        if verdict.basis.is_without_answer() {
            self.withhold([state]);
        }
        verdict.visible.then(|| state.without(verdict.hidden))
    }

    /// 4. Snapshots for servers that joined a room: returns their copies of some states.
    pub(super) async fn snapshot_for_server(
        &self,
        destination: &str,
        states: &[Presence],
    ) -> Vec<Presence> {
        let mut copies = Vec::new();
        for state in states {
            copies.extend(self.copy_for_server(destination, state).await);
        }
        copies
    }

    /// 5. Federation in: returns true if any of our own users may see a state of another server.
    pub(super) async fn is_for_us(&self, state: &Presence) -> bool {
        for name in &self.server_names {
            if self.copy_for_server(name, state).await.is_some() {
                return true;
            }
        }
        false
    }

    /// 6. Whom to wake: returns those of some waiting users who may see a state.
    pub(super) async fn recipients_to_wake(
        &self,
        state: &Presence,
        waiting: Vec<String>,
    ) -> Vec<String> {
        let mut recipients = Vec::new();
        for user in waiting {
            let verdict = self.verdict_about(&user, state).await;
            if verdict.is_none_or(|verdict| verdict.basis.is_without_answer()) {
                self.withhold([state]);
            }
            if verdict.is_some_and(|verdict| verdict.visible) {
                recipients.push(user);
            }
        }
        recipients
    }

    /// 7. Application services: returns what each user of a service is shown of some states.
    pub(super) async fn filter_for_service(
        &self,
        users: &BTreeSet<String>,
        states: &[Presence],
    ) -> Vec<(String, Presence)> {
        let mut shown = Vec::new();
        for user in users {
            let of_user = self.filter_sync(user, states).await;
            shown.extend(of_user.into_iter().map(|state| (user.clone(), state)));
        }
        shown
    }

    /// 8. After `Changed`: returns the senders, among some states, whom a recipient has gained.
    pub(super) async fn senders_gained(
        &self,
        recipient: &str,
        gained: &[PairProduct],
        states: &[Presence],
    ) -> Vec<String> {
        let is_gained = |state: &&Presence| {
            gained.iter().any(|pairs| pairs.contains(&state.user_id, recipient))
        };
        let states: Vec<_> = states.iter().filter(is_gained).cloned().collect();
        let shown = self.filter_sync(recipient, &states).await;
        shown.into_iter().map(|state| state.user_id).collect()
    }

    /// Returns the verdict about a pair. `None`: the question failed.
    async fn verdict_about(&self, recipient: &str, state: &Presence) -> Option<Verdict> {
        let (sender, presence) = sender_and_presence(state);
        let question = self.visibility.sees(recipient, sender, presence).await.ok()?;
        let rooms = self.rooms();
        Some(question.decide(|one, other, conditions| rooms.share_room(one, other, conditions)))
    }

    /// Returns the senders about whom decisions had no answer, and forgets them.
    pub(super) fn take_withheld(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.withheld.lock().unwrap())
    }

    fn withhold<'s>(&self, states: impl IntoIterator<Item = &'s Presence>) {
        let senders = states.into_iter().map(|state| state.user_id.clone());
        self.withheld.lock().unwrap().extend(senders);
    }

    fn rooms(&self) -> RwLockReadGuard<'_, Rooms> {
        self.rooms.read().unwrap()
    }
}

/// The sender of a state, and its presence, on which hides may depend.
fn sender_and_presence(state: &Presence) -> (&str, &str) {
    (&state.user_id, &state.presence)
}
