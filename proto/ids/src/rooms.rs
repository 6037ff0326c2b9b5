//! Conditions on the rooms that two users share, and their evaluation by a homeserver.
//!
//! A rule with `share_room` requires that both users are joined to a room that meets all of
//! its conditions. The daemon never knows rooms: it sends the conditions, and the homeserver
//! evaluates them by this module. A fact that the homeserver does not know is `None`, and the
//! answer is then `None` as well, unless another condition decides it. The place of the
//! conditions in an answer says if `None` shows presence: it never does.

mod capabilities;

use std::fmt;

use crate::{Glob, UserGlob, all_of, any_of};

pub use self::capabilities::{RoomCapabilities, RoomCapability};

/// Conditions that one room must meet, all of them. Without a condition, every room does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomConditions(Box<[RoomCondition]>);

/// A condition on one room. Every condition is about the room only, and never about the two
/// users, so that sharing a room is a symmetric relation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RoomCondition {
    /// The room has at most this number of joined members.
    AtMost(MemberCount),

    /// The room has at least this number of joined members.
    AtLeast(MemberCount),

    /// The room is encrypted (has an `m.room.encryption` state event), or is not.
    Encrypted(bool),

    /// The room's join rule is one of these, sorted. The rule of a room without an
    /// `m.room.join_rules` event is `invite` (Matrix specification, "m.room.join_rules").
    JoinRule(Box<[Box<str>]>),

    /// The room's history visibility is one of these, sorted. The visibility of a room without
    /// an `m.room.history_visibility` event is `shared` (Matrix specification, "Room History
    /// Visibility").
    HistoryVisibility(Box<[Box<str>]>),

    /// The room's id matches one of these globs. Ids of room version 12 contain no server name.
    Rooms(Box<[Glob]>),

    /// The room's id matches none of these globs.
    NotRooms(Box<[Glob]>),

    /// The space with this room id lists the room as its child: it has an `m.space.child` state
    /// event for the room whose `via` is not empty. One level; `m.space.parent` never counts,
    /// because every creator of a room can forge it.
    Space(Box<str>),

    /// The room has this hint for the sharing of presence (MSC4495,
    /// `m.room.presence_sharing`).
    PresenceSharing(PresenceSharing),
}

/// A number of members with membership `join`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberCount {
    /// The number.
    pub members: u64,

    /// Members that match one of these patterns do not count, such as bridge bots. Sorted.
    pub not_counting: Box<[UserGlob]>,
}

/// A room's hint for the sharing of presence (MSC4495).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PresenceSharing {
    /// Clients are asked to share presence with the room.
    Suggest,

    /// Clients are asked not to share presence with the room.
    Forbid,
}

/// The facts about one room, as far as a homeserver knows them. `None`: the homeserver cannot
/// know the fact, for example the number of members of a room whose state is partial.
pub trait RoomFacts {
    /// Returns the room's id.
    fn room_id(&self) -> &str;

    /// Counts the members with membership `join` that match none of the patterns.
    fn joined_members(&self, not_counting: &[UserGlob]) -> Option<u64>;

    /// Returns true if the room is encrypted.
    fn is_encrypted(&self) -> Option<bool>;

    /// Returns the join rule: `invite` if the room has no such event.
    fn join_rule(&self) -> Option<&str>;

    /// Returns the history visibility: `shared` if the room has no such event.
    fn history_visibility(&self) -> Option<&str>;

    /// Returns true if a space lists the room as its child, as [`RoomCondition::Space`] defines
    /// it. A homeserver that is not in the space cannot know this.
    fn is_in_space(&self, space: &str) -> Option<bool>;

    /// Returns true if the room has this hint. A room without a hint has none of the two.
    fn has_presence_sharing(&self, hint: PresenceSharing) -> Option<bool>;
}

// === impl RoomFacts ===

impl<R: RoomFacts> RoomFacts for &R {
    fn room_id(&self) -> &str {
        (*self).room_id()
    }

    fn joined_members(&self, not_counting: &[UserGlob]) -> Option<u64> {
        (*self).joined_members(not_counting)
    }

    fn is_encrypted(&self) -> Option<bool> {
        (*self).is_encrypted()
    }

    fn join_rule(&self) -> Option<&str> {
        (*self).join_rule()
    }

    fn history_visibility(&self) -> Option<&str> {
        (*self).history_visibility()
    }

    fn is_in_space(&self, space: &str) -> Option<bool> {
        (*self).is_in_space(space)
    }

    fn has_presence_sharing(&self, hint: PresenceSharing) -> Option<bool> {
        (*self).has_presence_sharing(hint)
    }
}

// === impl RoomConditions ===

impl RoomConditions {
    /// Creates conditions. Their order has no meaning: conditions in another order are equal.
    pub fn new(conditions: impl IntoIterator<Item = RoomCondition>) -> Self {
        let mut conditions: Vec<_> = conditions.into_iter().collect();
        conditions.sort_unstable();
        conditions.dedup();
        Self(conditions.into())
    }

    /// Returns the conditions, sorted.
    pub fn iter(&self) -> std::slice::Iter<'_, RoomCondition> {
        self.0.iter()
    }

    /// Returns true if every room meets the conditions.
    pub fn is_any_room(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns what a homeserver must be able to evaluate: the relation, and the kind of each
    /// condition.
    pub fn needed_capabilities(&self) -> RoomCapabilities {
        let kinds = self.0.iter().map(RoomCondition::capability);
        kinds.fold(RoomCapability::RoomMates.into(), RoomCapabilities::with)
    }

    /// Returns true if a room meets all conditions, `None` if a missing fact decides it.
    pub fn are_met_by(&self, room: &impl RoomFacts) -> Option<bool> {
        all_of(self.0.iter().map(|condition| condition.is_met_by(room)))
    }

    /// Returns true if any of some rooms meets all conditions, `None` if a missing fact decides
    /// it. For the rooms that two users share, this is whether a rule's `share_room` holds.
    pub fn are_met_by_any<R: RoomFacts>(&self, rooms: impl IntoIterator<Item = R>) -> Option<bool> {
        any_of(rooms.into_iter().map(|room| self.are_met_by(&room)))
    }
}

impl<'a> IntoIterator for &'a RoomConditions {
    type Item = &'a RoomCondition;
    type IntoIter = std::slice::Iter<'a, RoomCondition>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

// === impl RoomCondition ===

impl RoomCondition {
    /// Returns what a homeserver must be able to evaluate for this condition.
    pub fn capability(&self) -> RoomCapability {
        match self {
            Self::AtMost(_) => RoomCapability::AtMost,
            Self::AtLeast(_) => RoomCapability::AtLeast,
            Self::Encrypted(_) => RoomCapability::Encrypted,
            Self::JoinRule(_) => RoomCapability::JoinRule,
            Self::HistoryVisibility(_) => RoomCapability::HistoryVisibility,
            Self::Rooms(_) => RoomCapability::Rooms,
            Self::NotRooms(_) => RoomCapability::NotRooms,
            Self::Space(_) => RoomCapability::Space,
            Self::PresenceSharing(_) => RoomCapability::PresenceSharing,
        }
    }

    /// Returns true if a room meets the condition, `None` if the fact is missing.
    pub fn is_met_by(&self, room: &impl RoomFacts) -> Option<bool> {
        let is_one_of = |values: &[Box<str>], value: &str| values.iter().any(|one| **one == *value);
        match self {
            Self::AtMost(count) => Some(room.joined_members(&count.not_counting)? <= count.members),
            Self::AtLeast(count) => {
                Some(room.joined_members(&count.not_counting)? >= count.members)
            }
            Self::Encrypted(wanted) => Some(room.is_encrypted()? == *wanted),
            Self::JoinRule(rules) => Some(is_one_of(rules, room.join_rule()?)),
            Self::HistoryVisibility(values) => Some(is_one_of(values, room.history_visibility()?)),
            Self::Rooms(globs) => Some(globs.iter().any(|glob| glob.matches(room.room_id()))),
            Self::NotRooms(globs) => Some(!globs.iter().any(|glob| glob.matches(room.room_id()))),
            Self::Space(space) => room.is_in_space(space),
            Self::PresenceSharing(hint) => room.has_presence_sharing(*hint),
        }
    }
}

// === impl MemberCount ===

impl MemberCount {
    /// Creates a number of members. Members that match a pattern do not count.
    pub fn new(members: u64, not_counting: impl IntoIterator<Item = UserGlob>) -> Self {
        let mut patterns: Vec<_> = not_counting.into_iter().collect();
        patterns.sort_unstable();
        patterns.dedup();
        Self { members, not_counting: patterns.into() }
    }

    /// Returns true if a member counts.
    pub fn counts(&self, user_id: &str) -> bool {
        !self.not_counting.iter().any(|pattern| pattern.matches(user_id))
    }
}

// === impl PresenceSharing ===

impl PresenceSharing {
    /// Both hints.
    pub const ALL: [Self; 2] = [Self::Suggest, Self::Forbid];

    /// Returns the hint as the event spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suggest => "suggest",
            Self::Forbid => "forbid",
        }
    }

    /// Returns the hint with a spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hint| hint.as_str() == text)
    }
}

impl fmt::Display for PresenceSharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
