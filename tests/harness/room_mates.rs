//! Sets of room-mates in answers, and capabilities, as the contract defines them: read from its
//! messages without the product's conversions.

use presence_router_ids::RoomCapability;
use presence_router_proto::v1::room_condition::Condition;
use presence_router_proto::v1::{
    Capability, JoinedMembers, RoomCondition, RoomMates, RoomPresenceSharing, RoomValues,
};

use crate::oracle::Homeserver;
use crate::oracle::rooms::{Room, all};

/// Returns the values by which a homeserver states what it evaluates.
pub(crate) fn stated(capabilities: &[RoomCapability]) -> Vec<i32> {
    capabilities.iter().map(|one| value(*one).into()).collect()
}

/// Whether a user is a room-mate of another, to a homeserver that must have stated that it
/// evaluates this.
pub(super) fn are_room_mates(
    homeserver: Homeserver<'_>,
    mates: &RoomMates,
    one: &str,
    other: &str,
) -> Option<bool> {
    let mut needed = vec![RoomCapability::RoomMates];
    needed.extend(mates.all_of.iter().map(|condition| kind(known(condition))));
    for capability in needed {
        let is_stated = homeserver.capabilities.contains(&capability);
        assert!(is_stated, "{capability:?} is not stated, and needed: {mates:?}");
    }
    let is_met = |room: &Room| all(mates.all_of.iter().map(|one| is_met_by(known(one), room)));
    homeserver.rooms.share(one, other, is_met)
}

fn known(condition: &RoomCondition) -> &Condition {
    condition.condition.as_ref().expect("a condition that this client knows")
}

fn value(capability: RoomCapability) -> Capability {
    match capability {
        RoomCapability::RoomMates => Capability::RoomMates,
        RoomCapability::AtMost => Capability::RoomAtMost,
        RoomCapability::AtLeast => Capability::RoomAtLeast,
        RoomCapability::Encrypted => Capability::RoomEncrypted,
        RoomCapability::JoinRule => Capability::RoomJoinRule,
        RoomCapability::HistoryVisibility => Capability::RoomHistoryVisibility,
        RoomCapability::Rooms => Capability::RoomRooms,
        RoomCapability::NotRooms => Capability::RoomNotRooms,
        RoomCapability::Space => Capability::RoomSpace,
        RoomCapability::PresenceSharing => Capability::RoomPresenceSharing,
    }
}

fn kind(condition: &Condition) -> RoomCapability {
    match condition {
        Condition::AtMost(_) => RoomCapability::AtMost,
        Condition::AtLeast(_) => RoomCapability::AtLeast,
        Condition::Encrypted(_) => RoomCapability::Encrypted,
        Condition::JoinRule(_) => RoomCapability::JoinRule,
        Condition::HistoryVisibility(_) => RoomCapability::HistoryVisibility,
        Condition::Rooms(_) => RoomCapability::Rooms,
        Condition::NotRooms(_) => RoomCapability::NotRooms,
        Condition::Space(_) => RoomCapability::Space,
        Condition::PresenceSharing(_) => RoomCapability::PresenceSharing,
    }
}

fn is_met_by(condition: &Condition, room: &Room) -> Option<bool> {
    let count = |members: &JoinedMembers| {
        let patterns = members.not_counting.iter();
        room.count(patterns.map(|pattern| pattern.split_once(':').expect("a pattern")))
    };
    let is_one_of = |list: &RoomValues, value: Option<&str>| {
        assert!(!list.values.is_empty() && list.values.is_sorted(), "{list:?}");
        value.map(|value| list.values.iter().any(|one| one == value))
    };
    let is_id = |list: &RoomValues| Some(room.is_any_of(list.values.iter().map(String::as_str)));
    match condition {
        Condition::AtMost(most) => Some(count(most)? <= most.members),
        Condition::AtLeast(least) => Some(count(least)? >= least.members),
        Condition::Encrypted(wanted) => room.encrypted.map(|is| is == *wanted),
        Condition::JoinRule(rules) => is_one_of(rules, room.join_rule),
        Condition::HistoryVisibility(values) => is_one_of(values, room.history_visibility),
        Condition::Rooms(globs) => is_id(globs),
        Condition::NotRooms(globs) => is_id(globs).map(|is| !is),
        Condition::Space(space) => room.spaces.get(space.as_str()).copied(),
        Condition::PresenceSharing(hint) => {
            let wanted = match RoomPresenceSharing::try_from(*hint) {
                Ok(RoomPresenceSharing::Suggest) => "suggest",
                Ok(RoomPresenceSharing::Forbid) => "forbid",
                other => panic!("no hint: {other:?}"),
            };
            room.hint.map(|hint| hint == wanted)
        }
    }
}
