//! Rooms that a person writes down: those of a policy's test, or of a file beside a question.
//!
//! The daemon knows no rooms, so a policy's `share_room` stays open unless somebody gives
//! rooms. These are the facts that a homeserver would evaluate conditions by. [`rooms`] and
//! [`document::room`] are about rules for new rooms instead.
//!
//! [`rooms`]: super::rooms
//! [`document::room`]: super::document::room

mod evidence;
mod memory;

use std::collections::HashMap;

use presence_router_ids::{PresenceSharing, RoomConditions, RoomFacts, UserGlob};
use roaring::RoaringBitmap;

pub use self::evidence::RelationFinding;
pub(super) use self::memory::RememberedRooms;

/// The join rule of a room without an `m.room.join_rules` event (Matrix specification).
const DEFAULT_JOIN_RULE: &str = "invite";

/// The history visibility of a room without an `m.room.history_visibility` event (Matrix
/// specification).
const DEFAULT_HISTORY_VISIBILITY: &str = "shared";

/// Given rooms. Users share exactly these.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GivenRooms {
    /// Sorted by id, each id once.
    rooms: Vec<GivenRoom>,
    /// For each member of any room, the numbers of the rooms: their indices.
    rooms_of: HashMap<String, RoaringBitmap>,
}

/// The facts about a given room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenRoom {
    /// The id, which begins with `!`.
    pub id: String,

    /// The users with membership `join`, each once.
    pub members: Vec<String>,

    /// True if the room is encrypted.
    pub encrypted: bool,

    /// The join rule.
    pub join_rule: String,

    /// The history visibility.
    pub history_visibility: String,

    /// Ids of the spaces that list the room as their child.
    pub spaces: Vec<String>,

    /// The hint for the sharing of presence, if the room has one.
    pub presence_sharing: Option<PresenceSharing>,

    /// True if the homeserver does not know the number of members, as for a room whose state
    /// is partial. The members share the room nevertheless.
    pub partial: bool,
}

// === impl GivenRooms ===

impl GivenRooms {
    /// Creates given rooms. Of rooms with one id, the last one counts.
    pub fn new(rooms: impl IntoIterator<Item = GivenRoom>) -> Self {
        let by_id: HashMap<String, GivenRoom> =
            rooms.into_iter().map(|room| (room.id.clone(), room)).collect();
        let mut rooms: Vec<GivenRoom> = by_id.into_values().collect();
        rooms.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let mut rooms_of: HashMap<String, RoaringBitmap> = HashMap::new();
        for (number, room) in (0..).zip(&rooms) {
            for member in &room.members {
                match rooms_of.get_mut(member) {
                    Some(numbers) => drop(numbers.insert(number)),
                    None => drop(rooms_of.insert(member.clone(), [number].into())),
                }
            }
        }
        Self { rooms, rooms_of }
    }

    /// Returns true if there are no rooms, so that nobody shares one.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Returns the rooms, sorted by id.
    pub fn iter(&self) -> std::slice::Iter<'_, GivenRoom> {
        self.rooms.iter()
    }

    /// Returns the members of all rooms, each once, in no order.
    pub(super) fn members(&self) -> impl Iterator<Item = &str> {
        self.rooms_of.keys().map(String::as_str)
    }

    /// Returns the rooms that two users share, sorted by id.
    pub fn shared_by(&self, one: &str, other: &str) -> impl Iterator<Item = &GivenRoom> {
        self.numbers_shared_by(one, other).into_iter().filter_map(|number| self.room(number))
    }

    /// Returns true if a user is in any of the rooms.
    pub(super) fn is_in_any_room(&self, user: &str) -> bool {
        self.rooms_of.contains_key(user)
    }

    /// Returns the users who share any room with a user: some of them several times, and the user
    /// as well.
    pub fn room_mates(&self, user: &str) -> impl Iterator<Item = &str> {
        let rooms = self.rooms_of.get(user).into_iter().flatten();
        let rooms = rooms.filter_map(|number| self.room(number));
        rooms.flat_map(|room| &room.members).map(String::as_str)
    }

    /// Returns true if two users share a room that meets all conditions. `None`: it depends on
    /// the number of members of a room whose state is partial.
    pub fn share_room(&self, one: &str, other: &str, conditions: &RoomConditions) -> Option<bool> {
        conditions.are_met_by_any(self.shared_by(one, other))
    }

    fn room(&self, number: u32) -> Option<&GivenRoom> {
        self.rooms.get(usize::try_from(number).ok()?)
    }

    fn numbers_shared_by(&self, one: &str, other: &str) -> RoaringBitmap {
        let rooms = self.rooms_of.get(one).zip(self.rooms_of.get(other));
        rooms.map(|(one, other)| one & other).unwrap_or_default()
    }
}

impl<'r> IntoIterator for &'r GivenRooms {
    type Item = &'r GivenRoom;
    type IntoIter = std::slice::Iter<'r, GivenRoom>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

// === impl GivenRoom ===

impl GivenRoom {
    /// Creates a room without members, with the facts of a room that has no state events for
    /// them.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            members: Vec::new(),
            encrypted: false,
            join_rule: DEFAULT_JOIN_RULE.to_owned(),
            history_visibility: DEFAULT_HISTORY_VISIBILITY.to_owned(),
            spaces: Vec::new(),
            presence_sharing: None,
            partial: false,
        }
    }
}

impl RoomFacts for GivenRoom {
    fn room_id(&self) -> &str {
        &self.id
    }

    fn joined_members(&self, not_counting: &[UserGlob]) -> Option<u64> {
        if self.partial {
            return None;
        }
        let counts = |member: &&String| !not_counting.iter().any(|glob| glob.matches(member));
        let number = match not_counting {
            // A room may have 100,000 members, and most conditions have no patterns.
            [] => self.members.len(),
            _ => self.members.iter().filter(counts).count(),
        };
        u64::try_from(number).ok()
    }

    fn is_encrypted(&self) -> Option<bool> {
        Some(self.encrypted)
    }

    fn join_rule(&self) -> Option<&str> {
        Some(&self.join_rule)
    }

    fn history_visibility(&self) -> Option<&str> {
        Some(&self.history_visibility)
    }

    fn is_in_space(&self, space: &str) -> Option<bool> {
        Some(self.spaces.iter().any(|own| own == space))
    }

    fn has_presence_sharing(&self, hint: PresenceSharing) -> Option<bool> {
        Some(self.presence_sharing == Some(hint))
    }
}
