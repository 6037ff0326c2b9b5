//! Conversion of conditions on rooms, between the contract's messages and [`crate::ids`].

use presence_router_ids::{
    Glob, MemberCount, PresenceSharing, RoomCapabilities, RoomCapability, RoomCondition,
    RoomConditions, UserGlob,
};

use crate::v1::{
    Capability, JoinedMembers, RoomCondition as Message, RoomMates, RoomPresenceSharing,
    RoomValues, room_condition::Condition,
};

/// The error for a condition that is unset, malformed, or of a kind that this version does not
/// know: the answer that contains it is no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCondition;

/// Each part of `share_room` that a homeserver can evaluate, with its value in the contract.
const CAPABILITIES: [(RoomCapability, Capability); RoomCapability::ALL.len()] = [
    (RoomCapability::RoomMates, Capability::RoomMates),
    (RoomCapability::AtMost, Capability::RoomAtMost),
    (RoomCapability::AtLeast, Capability::RoomAtLeast),
    (RoomCapability::Encrypted, Capability::RoomEncrypted),
    (RoomCapability::JoinRule, Capability::RoomJoinRule),
    (RoomCapability::HistoryVisibility, Capability::RoomHistoryVisibility),
    (RoomCapability::Rooms, Capability::RoomRooms),
    (RoomCapability::NotRooms, Capability::RoomNotRooms),
    (RoomCapability::Space, Capability::RoomSpace),
    (RoomCapability::PresenceSharing, Capability::RoomPresenceSharing),
];

/// Returns what a caller evaluates of `share_room`, by its `capabilities`. Values about other
/// parts of the contract are ignored.
pub fn room_capabilities(capabilities: impl IntoIterator<Item = Capability>) -> RoomCapabilities {
    let of = |value| CAPABILITIES.iter().find(|(_, one)| *one == value).map(|(of, _)| *of);
    capabilities.into_iter().filter_map(of).collect()
}

/// Returns the values by which a caller states what it evaluates of `share_room`.
pub fn capability_values(capabilities: RoomCapabilities) -> impl Iterator<Item = Capability> {
    let is_stated = move |of: &RoomCapability| capabilities.covers((*of).into());
    CAPABILITIES.iter().filter(move |(of, _)| is_stated(of)).map(|(_, value)| *value)
}

// === impl RoomMates ===

impl From<&RoomConditions> for RoomMates {
    fn from(conditions: &RoomConditions) -> Self {
        Self { all_of: conditions.iter().map(Message::from).collect() }
    }
}

impl TryFrom<&RoomMates> for RoomConditions {
    type Error = UnknownCondition;

    fn try_from(message: &RoomMates) -> Result<Self, UnknownCondition> {
        let conditions = message.all_of.iter().map(read_condition);
        Ok(Self::new(conditions.collect::<Result<Vec<_>, _>>()?))
    }
}

// === impl RoomCondition ===

impl From<&RoomCondition> for Message {
    fn from(condition: &RoomCondition) -> Self {
        let texts = |values: &[Box<str>]| RoomValues {
            values: values.iter().map(|value| value.to_string()).collect(),
        };
        let globs = |values: &[Glob]| RoomValues {
            values: values.iter().map(|glob| glob.as_str().to_owned()).collect(),
        };
        let condition = match condition {
            RoomCondition::AtMost(count) => Condition::AtMost(count.into()),
            RoomCondition::AtLeast(count) => Condition::AtLeast(count.into()),
            RoomCondition::Encrypted(encrypted) => Condition::Encrypted(*encrypted),
            RoomCondition::JoinRule(rules) => Condition::JoinRule(texts(rules)),
            RoomCondition::HistoryVisibility(values) => Condition::HistoryVisibility(texts(values)),
            RoomCondition::Rooms(rooms) => Condition::Rooms(globs(rooms)),
            RoomCondition::NotRooms(rooms) => Condition::NotRooms(globs(rooms)),
            RoomCondition::Space(space) => Condition::Space(space.to_string()),
            RoomCondition::PresenceSharing(hint) => Condition::PresenceSharing(
                match hint {
                    PresenceSharing::Suggest => RoomPresenceSharing::Suggest,
                    PresenceSharing::Forbid => RoomPresenceSharing::Forbid,
                }
                .into(),
            ),
        };
        Self { condition: Some(condition) }
    }
}

impl From<&MemberCount> for JoinedMembers {
    fn from(count: &MemberCount) -> Self {
        Self {
            members: count.members,
            not_counting: count.not_counting.iter().map(UserGlob::to_pattern).collect(),
        }
    }
}

fn read_condition(message: &Message) -> Result<RoomCondition, UnknownCondition> {
    let texts = |list: &RoomValues| match list.values.as_slice() {
        [] => Err(UnknownCondition),
        values => Ok(sorted(values.iter().map(|value| value.as_str().into()))),
    };
    let globs = |list: &RoomValues| match list.values.as_slice() {
        [] => Err(UnknownCondition),
        values => Ok(sorted(values.iter().map(|value| Glob::new(value.as_str())))),
    };
    Ok(match message.condition.as_ref().ok_or(UnknownCondition)? {
        Condition::AtMost(count) => RoomCondition::AtMost(read_count(count)?),
        Condition::AtLeast(count) => RoomCondition::AtLeast(read_count(count)?),
        Condition::Encrypted(encrypted) => RoomCondition::Encrypted(*encrypted),
        Condition::JoinRule(values) => RoomCondition::JoinRule(texts(values)?),
        Condition::HistoryVisibility(values) => RoomCondition::HistoryVisibility(texts(values)?),
        Condition::Rooms(rooms) => RoomCondition::Rooms(globs(rooms)?),
        Condition::NotRooms(rooms) => RoomCondition::NotRooms(globs(rooms)?),
        Condition::Space(space) if space.is_empty() => return Err(UnknownCondition),
        Condition::Space(space) => RoomCondition::Space(space.as_str().into()),
        Condition::PresenceSharing(hint) => {
            RoomCondition::PresenceSharing(match RoomPresenceSharing::try_from(*hint) {
                Ok(RoomPresenceSharing::Suggest) => PresenceSharing::Suggest,
                Ok(RoomPresenceSharing::Forbid) => PresenceSharing::Forbid,
                Ok(RoomPresenceSharing::Unspecified) | Err(_) => return Err(UnknownCondition),
            })
        }
    })
}

fn read_count(message: &JoinedMembers) -> Result<MemberCount, UnknownCondition> {
    let patterns = message.not_counting.iter().map(|pattern| UserGlob::parse(pattern));
    let patterns = patterns.collect::<Option<Vec<_>>>().ok_or(UnknownCondition)?;
    Ok(MemberCount::new(message.members, patterns))
}

fn sorted<T: Ord>(values: impl Iterator<Item = T>) -> Box<[T]> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.dedup();
    values.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_survive_the_wire_and_name_their_capability() {
        let text = |value: &str| -> Box<[Box<str>]> { [value.into()].into() };
        let count = MemberCount::new(2, UserGlob::parse("@*-bot:*"));
        let globs: Box<[Glob]> = [Glob::new("!a*"), Glob::new("!b:example.org")].into();
        let all = [
            RoomCondition::AtMost(count.clone()),
            RoomCondition::AtLeast(count),
            RoomCondition::Encrypted(false),
            RoomCondition::JoinRule(text("public")),
            RoomCondition::HistoryVisibility(text("shared")),
            RoomCondition::Rooms(globs.clone()),
            RoomCondition::NotRooms(globs),
            RoomCondition::Space("!space:example.org".into()),
            RoomCondition::PresenceSharing(PresenceSharing::Forbid),
        ];
        let conditions = RoomConditions::new(all.clone());
        assert_eq!(RoomConditions::try_from(&RoomMates::from(&conditions)), Ok(conditions.clone()));
        assert_eq!(conditions.needed_capabilities(), RoomCapabilities::ALL);
        let values: Vec<_> = capability_values(RoomCapabilities::ALL).collect();
        assert_eq!(values.len(), all.len() + 1);
        for one in RoomCapability::ALL {
            let values: Vec<_> = capability_values(one.into()).collect();
            assert_eq!(room_capabilities(values), one.into(), "{one:?}");
        }
        let others = [Capability::Touch, Capability::NamedServers, Capability::Unspecified];
        assert_eq!(room_capabilities(others), RoomCapabilities::NONE);
    }

    #[test]
    fn an_unknown_condition_is_no_verdict() {
        let unset = Message { condition: None };
        let no_values = Condition::Rooms(RoomValues::default());
        let no_space = Condition::Space(String::new());
        let no_pattern =
            Condition::AtMost(JoinedMembers { members: 2, not_counting: vec!["bot".to_owned()] });
        let unknown_hint = Condition::PresenceSharing(99);
        let set = [no_values, no_space, no_pattern, unknown_hint, Condition::PresenceSharing(0)];
        let set = set.map(|condition| Message { condition: Some(condition) });
        for condition in set.into_iter().chain([unset]) {
            let encrypted = Message { condition: Some(Condition::Encrypted(true)) };
            let message = RoomMates { all_of: vec![encrypted, condition] };
            assert_eq!(RoomConditions::try_from(&message), Err(UnknownCondition), "{message:?}");
        }
    }
}
