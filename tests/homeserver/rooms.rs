//! The rooms that a homeserver is in: members, and the facts that conditions are about.

use std::collections::{BTreeMap, BTreeSet};

use presence_router_client::{PresenceSharing, RoomConditions, RoomFacts, UserGlob};

use super::server_of;

/// All rooms that the homeserver is in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rooms {
    rooms: BTreeMap<String, Room>,
    /// The ids of the rooms that each user is joined to.
    rooms_of: BTreeMap<String, BTreeSet<String>>,
}

/// The state of a room, as far as it concerns presence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    /// Users with membership `join`.
    pub(crate) members: BTreeSet<String>,
    pub(crate) encrypted: bool,
    /// `None`: the room has no such event.
    pub(crate) join_rule: Option<String>,
    /// `None`: the room has no such event.
    pub(crate) history_visibility: Option<String>,
    /// Ids of the spaces that list the room as their child.
    pub(crate) spaces: BTreeSet<String>,
    pub(crate) presence_sharing: Option<PresenceSharing>,
    /// True if the homeserver has not got the room's whole state yet, after a join that is faster
    /// than the transfer of the state. Then it does not know the number of members.
    pub(crate) partial: bool,
}

/// A room and its id.
#[derive(Clone, Copy)]
struct RoomWithId<'a> {
    id: &'a str,
    room: &'a Room,
}

// === impl Rooms ===

impl Rooms {
    /// Replaces a room, and returns the users whose presence may be shown to others than before:
    /// its members before and after. Any fact can show a pair or withhold it. A leave can show
    /// one as well, if a rule denies the room, or requires that no room is shared.
    pub(crate) fn replace(&mut self, room_id: &str, room: Room) -> BTreeSet<String> {
        let before = self.rooms.remove(room_id).unwrap_or_default();
        for left in before.members.difference(&room.members) {
            if let Some(rooms) = self.rooms_of.get_mut(left) {
                rooms.remove(room_id);
            }
        }
        for member in &room.members {
            self.rooms_of.entry(member.clone()).or_default().insert(room_id.to_owned());
        }
        let affected = before.members.union(&room.members).cloned().collect();
        self.rooms.insert(room_id.to_owned(), room);
        affected
    }

    /// Returns all rooms.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Room)> {
        self.rooms.iter().map(|(id, room)| (id.as_str(), room))
    }

    /// Returns a copy of a room, empty if there is none with this id.
    pub(crate) fn room(&self, room_id: &str) -> Room {
        self.rooms.get(room_id).cloned().unwrap_or_default()
    }

    /// Returns true if two users share a room that meets some conditions, `None` if a fact that
    /// the homeserver does not know decides it.
    pub(crate) fn share_room(
        &self,
        one: &str,
        other: &str,
        conditions: &RoomConditions,
    ) -> Option<bool> {
        let of_other = self.rooms_of.get(other);
        let shared = self.rooms_of(one).filter(|id| of_other.is_some_and(|ids| ids.contains(*id)));
        let rooms = shared.filter_map(|id| Some(RoomWithId { id, room: self.rooms.get(id)? }));
        conditions.are_met_by_any(rooms)
    }

    /// Returns the users who share a room with a user, and the user itself.
    pub(crate) fn room_mates(&self, user: &str) -> BTreeSet<&str> {
        let rooms = self.rooms_of(user).filter_map(|id| self.rooms.get(id));
        rooms.flat_map(|room| &room.members).map(String::as_str).collect()
    }

    /// Returns the servers on which a user's room-mates live.
    pub(crate) fn servers(&self, user: &str) -> BTreeSet<&str> {
        self.room_mates(user).into_iter().map(server_of).collect()
    }

    fn rooms_of(&self, user: &str) -> impl Iterator<Item = &str> {
        self.rooms_of.get(user).into_iter().flatten().map(String::as_str)
    }
}

// === impl RoomWithId ===

impl RoomFacts for RoomWithId<'_> {
    fn room_id(&self) -> &str {
        self.id
    }

    fn joined_members(&self, not_counting: &[UserGlob]) -> Option<u64> {
        let counts = |user: &&String| !not_counting.iter().any(|pattern| pattern.matches(user));
        let number = self.room.members.iter().filter(counts).count();
        if self.room.partial { None } else { u64::try_from(number).ok() }
    }

    fn is_encrypted(&self) -> Option<bool> {
        Some(self.room.encrypted)
    }

    fn join_rule(&self) -> Option<&str> {
        Some(self.room.join_rule.as_deref().unwrap_or("invite"))
    }

    fn history_visibility(&self) -> Option<&str> {
        Some(self.room.history_visibility.as_deref().unwrap_or("shared"))
    }

    fn is_in_space(&self, space: &str) -> Option<bool> {
        Some(self.room.spaces.contains(space))
    }

    fn has_presence_sharing(&self, hint: PresenceSharing) -> Option<bool> {
        Some(self.room.presence_sharing == Some(hint))
    }
}
