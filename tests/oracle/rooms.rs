//! Rooms as a homeserver knows them, and conditions on them, with nothing clever: the
//! product's own evaluation is not used.

use std::collections::{BTreeMap, BTreeSet};

use presence_router_engine::unstable::routing::model::ruleset::Relation;
use presence_router_ids::{
    MemberCount, PresenceSharing, RoomCapability, RoomCondition, RoomConditions,
};

use super::{glob, split};

/// All rooms that a homeserver does not exclude from presence.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rooms(pub(crate) Vec<Room>);

/// The facts about a room. `None`: the homeserver does not know the fact.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    pub(crate) id: &'static str,
    /// The users with membership `join`.
    pub(crate) members: BTreeSet<String>,
    /// True if the homeserver does not know the number of members.
    pub(crate) partial: bool,
    pub(crate) encrypted: Option<bool>,
    pub(crate) join_rule: Option<&'static str>,
    pub(crate) history_visibility: Option<&'static str>,
    /// Spaces of which the homeserver knows if they list the room as their child.
    pub(crate) spaces: BTreeMap<&'static str, bool>,
    /// The hint for the sharing of presence, empty if the room has none.
    pub(crate) hint: Option<&'static str>,
}

/// Returns what a homeserver must be able to evaluate for a relation.
pub(crate) fn needed_capabilities(relation: &Relation) -> Vec<RoomCapability> {
    let kind = |condition: &RoomCondition| match condition {
        RoomCondition::AtMost(_) => RoomCapability::AtMost,
        RoomCondition::AtLeast(_) => RoomCapability::AtLeast,
        RoomCondition::Encrypted(_) => RoomCapability::Encrypted,
        RoomCondition::JoinRule(_) => RoomCapability::JoinRule,
        RoomCondition::HistoryVisibility(_) => RoomCapability::HistoryVisibility,
        RoomCondition::Rooms(_) => RoomCapability::Rooms,
        RoomCondition::NotRooms(_) => RoomCapability::NotRooms,
        RoomCondition::Space(_) => RoomCapability::Space,
        RoomCondition::PresenceSharing(_) => RoomCapability::PresenceSharing,
    };
    let mut needed = vec![RoomCapability::RoomMates];
    if let Relation::ShareRoom(conditions) = relation {
        needed.extend(conditions.iter().map(kind));
    }
    needed
}

/// Conjunction in three values.
pub(crate) fn all(verdicts: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    let verdicts: Vec<_> = verdicts.into_iter().collect();
    match verdicts.contains(&Some(false)) {
        true => Some(false),
        false => (!verdicts.contains(&None)).then_some(true),
    }
}

/// Disjunction in three values.
pub(crate) fn any(verdicts: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    let verdicts: Vec<_> = verdicts.into_iter().collect();
    match verdicts.contains(&Some(true)) {
        true => Some(true),
        false => (!verdicts.contains(&None)).then_some(false),
    }
}

// === impl Rooms ===

impl Rooms {
    /// Whether a relation holds for two users.
    pub(crate) fn hold(&self, relation: &Relation, one: &str, other: &str) -> Option<bool> {
        match relation {
            Relation::ShareRoom(conditions) => self.share_room(one, other, conditions),
            Relation::ShareNoRoom => {
                self.share(one, other, |_| Some(true)).map(|shares_any| !shares_any)
            }
        }
    }

    /// Whether two users share a room that meets all conditions.
    pub(crate) fn share_room(
        &self,
        one: &str,
        other: &str,
        conditions: &RoomConditions,
    ) -> Option<bool> {
        self.share(one, other, |room| all(conditions.iter().map(|condition| room.meets(condition))))
    }

    /// Whether two users share a room that meets something.
    pub(crate) fn share(
        &self,
        one: &str,
        other: &str,
        is_met: impl Fn(&Room) -> Option<bool>,
    ) -> Option<bool> {
        let is_in = |room: &&Room| room.members.contains(one) && room.members.contains(other);
        any(self.0.iter().filter(is_in).map(is_met))
    }
}

// === impl Room ===

impl Room {
    /// The number of members without those that match a pattern of user ids.
    pub(crate) fn count<'p>(
        &self,
        not_counting: impl Iterator<Item = (&'p str, &'p str)> + Clone,
    ) -> Option<u64> {
        let counts = |member: &&String| {
            let (user, server) = split(member);
            !not_counting.clone().any(|(user_glob, server_glob)| {
                glob(user_glob.as_bytes(), user.as_bytes())
                    && glob(server_glob.as_bytes(), server.as_bytes())
            })
        };
        (!self.partial).then(|| self.members.iter().filter(counts).count() as u64)
    }

    /// Whether one of some globs matches the room's id.
    pub(crate) fn is_any_of<'g>(&self, mut globs: impl Iterator<Item = &'g str>) -> bool {
        globs.any(|pattern| glob(pattern.as_bytes(), self.id.as_bytes()))
    }

    fn meets(&self, condition: &RoomCondition) -> Option<bool> {
        let count = |count: &MemberCount| {
            let patterns = count.not_counting.iter();
            self.count(patterns.map(|one| (one.user().as_str(), one.server().as_str())))
        };
        let is_one_of = |values: &[Box<str>], value: Option<&str>| {
            value.map(|value| values.iter().any(|one| &**one == value))
        };
        match condition {
            RoomCondition::AtMost(most) => Some(count(most)? <= most.members),
            RoomCondition::AtLeast(least) => Some(count(least)? >= least.members),
            RoomCondition::Encrypted(wanted) => self.encrypted.map(|is| is == *wanted),
            RoomCondition::JoinRule(rules) => is_one_of(rules, self.join_rule),
            RoomCondition::HistoryVisibility(values) => is_one_of(values, self.history_visibility),
            RoomCondition::Rooms(globs) => {
                Some(self.is_any_of(globs.iter().map(|one| one.as_str())))
            }
            RoomCondition::NotRooms(globs) => {
                Some(!self.is_any_of(globs.iter().map(|one| one.as_str())))
            }
            RoomCondition::Space(space) => self.spaces.get(&**space).copied(),
            RoomCondition::PresenceSharing(hint) => {
                let wanted = match hint {
                    PresenceSharing::Suggest => "suggest",
                    PresenceSharing::Forbid => "forbid",
                };
                self.hint.map(|hint| hint == wanted)
            }
        }
    }
}
