//! The question about one sender and all recipients of one server.

use std::collections::HashSet;

use presence_router_proto::ids::{Coverage, RoomConditions};

use super::{Basis, Verdict, source::Answer};
use crate::{Fields, Set, answer::Counterparts, list::server_of};

/// The question if any recipient on a server sees a sender, from
/// [`Visibility::server_sees`](crate::Visibility::server_sees).
///
/// The sender's room-mates on the server are each decided about. The server's other users share
/// no room with the sender; the homeserver knows only those whom the policy lists, and a server
/// of which an open set may contain users counts as one that has such users.
#[derive(Clone, Debug)]
pub struct ServerQuestion<'a> {
    destination: &'a str,
    sender: &'a str,
    presence: &'a str,
    audience: Answer,
}

/// The search for recipients of the server.
struct Search<'q> {
    destination: &'q str,
    sender: &'q str,
    presence: &'q str,
    counterparts: Counterparts<'q>,
    /// The fields that are hidden from some of the recipients found. `None`: none was found.
    hidden: Option<Fields>,
}

// === impl ServerQuestion ===

impl<'a> ServerQuestion<'a> {
    pub(super) fn new(
        destination: &'a str,
        sender: &'a str,
        presence: &'a str,
        audience: Answer,
    ) -> Self {
        Self { destination, sender, presence, audience }
    }

    /// Returns true if the verdict may need facts about rooms. If false,
    /// [`ServerQuestion::decide`] neither looks at room-mates nor calls its function.
    pub fn depends_on_rooms(&self) -> bool {
        let counterparts = self.counterparts();
        counterparts.depends_on_rooms()
            && counterparts
                .as_set()
                .is_some_and(|set| set.coverage_on_server(self.destination) != Coverage::Nobody)
    }

    /// Returns the conditions that the verdict needs facts about, sorted: for each of them, and
    /// each room-mate of the sender on the server, if the two share a room that meets it. Empty
    /// if the verdict needs none.
    pub fn needed_conditions(&self) -> Vec<&RoomConditions> {
        if !self.depends_on_rooms() {
            return Vec::new();
        }
        self.counterparts().room_conditions(Some(self.presence))
    }

    /// Returns the verdict, by the function `share_room(sender, room_mate, conditions)` of
    /// [`Visibility`](crate::Visibility).
    ///
    /// `room_mates` are all users with whom the sender shares a room, excluded rooms left aside;
    /// those of other servers and the sender itself are ignored. For every other user of the
    /// server, no room is shared.
    pub fn decide<'m>(
        &self,
        room_mates: impl IntoIterator<Item = &'m str>,
        share_room: impl Fn(&str, &str, &RoomConditions) -> Option<bool>,
    ) -> Verdict {
        let (destination, sender) = (self.destination, self.sender);
        let counterparts = self.counterparts();
        let mut search =
            Search { destination, sender, presence: self.presence, counterparts, hidden: None };
        let mut known = HashSet::new();
        if self.depends_on_rooms() {
            let on_server = |user: &&str| server_of(user) == Some(destination);
            known.extend(room_mates.into_iter().filter(on_server));
            for room_mate in &known {
                search.add_user(room_mate, &|conditions| share_room(sender, room_mate, conditions));
            }
        }
        search.add_strangers(&known);
        Verdict::new(search.hidden, self.basis())
    }

    fn basis(&self) -> Basis {
        self.audience.basis
    }

    fn counterparts(&self) -> Counterparts<'_> {
        self.audience.counterparts_of(self.sender)
    }
}

// === impl Search ===

impl<'q> Search<'q> {
    /// Adds a user, if it is a recipient.
    fn add_user(
        &mut self,
        user: &str,
        share_room: &impl Fn(&'q RoomConditions) -> Option<bool>,
    ) -> bool {
        let hidden = self.counterparts.hidden_if_visible(user, self.presence, share_room);
        if let Some(hidden) = hidden {
            self.hide(hidden);
        }
        hidden.is_some()
    }

    /// Adds the recipients with whom the sender shares no room: all but the known room-mates.
    fn add_strangers(&mut self, room_mates: &HashSet<&str>) {
        let Some(set) = self.counterparts.as_set() else { return };
        let hides: Vec<_> = self.counterparts.hides_for(self.presence).collect();
        let open = set.open_coverage_by_strangers(self.destination) != Coverage::Nobody;
        if open {
            self.hide(Fields::NONE);
        }
        let (destination, sender) = (self.destination, self.sender);
        let listed = |set: &'q Set| set.candidates_on_server(destination).into_iter();
        let is_stranger = |user: &&str| *user != sender && !room_mates.contains(user);
        if hides.is_empty() {
            // The first recipient decides.
            if self.hidden.is_none() {
                listed(set).filter(is_stranger).any(|user| self.add_user(user, &no_room));
            }
            return;
        }
        for user in listed(set).filter(is_stranger) {
            self.add_user(user, &no_room);
        }
        if !open {
            return;
        }
        for hide in hides {
            for user in listed(&hide.users).filter(is_stranger) {
                self.add_user(user, &no_room);
            }
            if hide.users.open_coverage_by_strangers(destination) != Coverage::Nobody {
                self.hide(hide.fields);
            }
        }
    }

    fn hide(&mut self, fields: Fields) {
        self.hidden = Some(self.hidden.unwrap_or(Fields::NONE).union(fields));
    }
}

/// The fact about a user with whom no room is shared.
#[expect(clippy::unnecessary_wraps, reason = "a fact may be unknown; this one never is")]
fn no_room(_: &RoomConditions) -> Option<bool> {
    Some(false)
}
