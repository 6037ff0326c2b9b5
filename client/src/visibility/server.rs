//! The question about one sender and all recipients of one server.

use std::collections::HashSet;

use presence_router_proto::ids::{Coverage, RoomConditions};

use super::{Basis, Verdict, source::Answer};
use crate::{Fields, Set, SharedAnswer, answer::Counterparts, list::server_of};

/// The question if any recipient on a server sees a sender, from
/// [`Visibility::server_sees`](crate::Visibility::server_sees).
///
/// The sender's room-mates on the server are each decided about. Of the server's other users,
/// the homeserver knows only those whom the policy lists; a server of which an open set may contain users counts as one that has such users.
#[derive(Clone, Debug)]
pub struct ServerQuestion<'a> {
    destination: &'a str,
    sender: &'a str,
    presence: &'a str,
    audience: Answer,
}

/// The users with whom a sender shares a room, for [`ServerQuestion::decide`]. Rooms that the
/// homeserver excludes from presence do not count. Users of other servers, and the sender, are
/// ignored.
#[derive(Clone, Copy, Debug)]
pub struct RoomMates<I> {
    users: I,
    complete: bool,
}

/// The search for recipients of the server.
struct Search<'q> {
    destination: &'q str,
    sender: &'q str,
    presence: &'q str,
    counterparts: Counterparts<'q>,
    /// The fields that all hides together take away.
    most_hidden: Fields,
    /// If the sender shares a room with users who are no known room-mates. `None`: unknown.
    fact_about_strangers: Option<bool>,
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

    /// Asks the question of an answer that the caller has: the audience of the sender, from a
    /// near-cache.
    pub fn of_audience(
        destination: &'a str,
        sender: &'a str,
        presence: &'a str,
        audience: SharedAnswer,
    ) -> Self {
        Self::new(destination, sender, presence, Answer::remembered(audience))
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
    /// For users of the server who are not among the room-mates, no room is shared, or none is
    /// known to be shared if the room-mates are [incomplete](RoomMates::incomplete).
    ///
    /// Evaluates no rule about the room-mates of other servers, so that all room-mates of the
    /// sender may be given; a list of those on the server saves their comparison. Stops at the
    /// first recipient from whom every field is hidden that any hide takes away.
    pub fn decide<'m>(
        &self,
        room_mates: RoomMates<impl IntoIterator<Item = &'m str>>,
        share_room: impl Fn(&str, &str, &RoomConditions) -> Option<bool>,
    ) -> Verdict {
        let (destination, sender) = (self.destination, self.sender);
        let counterparts = self.counterparts();
        let hides = counterparts.hides_for(self.presence);
        let most_hidden = hides.fold(Fields::NONE, |all, hide| all.union(hide.fields));
        let mut search = Search {
            destination,
            sender,
            presence: self.presence,
            counterparts,
            most_hidden,
            fact_about_strangers: room_mates.complete.then_some(false),
            hidden: None,
        };
        search.add_unlisted_strangers();
        let mut known = HashSet::new();
        if self.depends_on_rooms() {
            for room_mate in room_mates.users {
                if search.is_decided() {
                    break;
                }
                if server_of(room_mate) == Some(destination) && known.insert(room_mate) {
                    search.add_user(room_mate, &|conditions| {
                        share_room(sender, room_mate, conditions)
                    });
                }
            }
        }
        search.add_listed_strangers(&known);
        Verdict::new(search.hidden, self.basis())
    }

    fn basis(&self) -> Basis {
        self.audience.basis
    }

    fn counterparts(&self) -> Counterparts<'_> {
        self.audience.counterparts_of(self.sender)
    }
}

// === impl RoomMates ===

impl<I> RoomMates<I> {
    /// All room-mates: with every other user the sender shares no room.
    pub fn complete(users: I) -> Self {
        Self { users, complete: true }
    }

    /// The known room-mates, while the sender is in a room that may have members on the server
    /// whom the homeserver does not know, such as a room whose state is partial. The sender may
    /// share a room with every other user of the server: a `deny` or `hide` with a shared room then
    /// applies to them, and an `allow`, also for those who share none, does not.
    pub fn incomplete(users: I) -> Self {
        Self { users, complete: false }
    }
}

// === impl Search ===

impl<'q> Search<'q> {
    /// Returns true if no further recipient changes the verdict.
    fn is_decided(&self) -> bool {
        self.hidden == Some(self.most_hidden)
    }

    /// Adds a user, if it is a recipient.
    fn add_user(&mut self, user: &str, share_room: &impl Fn(&'q RoomConditions) -> Option<bool>) {
        let hidden = self.counterparts.hidden_if_visible(user, self.presence, share_room);
        if let Some(hidden) = hidden {
            self.hide(hidden);
        }
    }

    /// Adds the recipients whom no list contains and who are no known room-mates.
    fn add_unlisted_strangers(&mut self) {
        if !self.has_unlisted_strangers() {
            return;
        }
        self.hide(Fields::NONE);
        let counterparts = self.counterparts;
        for hide in counterparts.hides_for(self.presence) {
            let hidden_from = match self.fact_about_strangers {
                Some(_) => hide.users.open_coverage_by_strangers(self.destination),
                None => hide.users.open_coverage_in_some_rooms(self.destination),
            };
            if hidden_from != Coverage::Nobody {
                self.hide(hide.fields);
            }
        }
    }

    /// Adds the recipients whom a list contains and who are no known room-mates.
    fn add_listed_strangers(&mut self, room_mates: &HashSet<&str>) {
        let Some(set) = self.counterparts.as_set() else { return };
        self.add_strangers_of(set, room_mates);
        if self.has_unlisted_strangers() {
            // Only a hide lists them.
            let counterparts = self.counterparts;
            for hide in counterparts.hides_for(self.presence) {
                self.add_strangers_of(&hide.users, room_mates);
            }
        }
    }

    /// Adds the recipients whom a set lists and who are no known room-mates.
    fn add_strangers_of(&mut self, set: &'q Set, room_mates: &HashSet<&str>) {
        if self.is_decided() {
            return;
        }
        let fact = self.fact_about_strangers;
        for user in set.candidates_on_server(self.destination) {
            if self.is_decided() {
                return;
            }
            if user != self.sender && !room_mates.contains(user) {
                self.add_user(user, &|_| fact);
            }
        }
    }

    fn has_unlisted_strangers(&self) -> bool {
        let covers = |set: &Set| match self.fact_about_strangers {
            Some(_) => set.open_coverage_by_strangers(self.destination),
            None => set.open_coverage_in_any_rooms(self.destination),
        };
        self.counterparts.as_set().is_some_and(|set| covers(set) != Coverage::Nobody)
    }

    fn hide(&mut self, fields: Fields) {
        self.hidden = Some(self.hidden.unwrap_or(Fields::NONE).union(fields));
    }
}
