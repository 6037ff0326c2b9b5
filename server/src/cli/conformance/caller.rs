//! A caller of a scenario: what it states in its requests, and the rooms by which it evaluates
//! the answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use presence_router_engine::{GivenRoom, GivenRooms};
use presence_router_ids::{PresenceSharing, RoomCapabilities, RoomCapability, RoomConditions};
use presence_router_proto::rooms::capability_values;
use serde::Deserialize;

/// A homeserver that asks.
#[derive(Clone, Debug, Default)]
pub(super) struct Caller {
    pub(super) server_names: Vec<String>,
    /// What it evaluates of rooms.
    pub(super) capabilities: RoomCapabilities,
    /// The rooms that it knows.
    pub(super) rooms: Arc<GivenRooms>,
}

/// The rooms of a scenario file: the facts about each, by its id.
pub(super) type RoomsById = BTreeMap<String, RoomEntry>;

/// The facts about a room. Left-out facts are those of a room without such a state event.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoomEntry {
    members: Vec<String>,
    encrypted: Option<bool>,
    join_rule: Option<String>,
    history_visibility: Option<String>,
    #[serde(default)]
    spaces: Vec<String>,
    presence_sharing: Option<Hint>,
    #[serde(default)]
    partial: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Hint {
    Suggest,
    Forbid,
}

// === impl Caller ===

impl Caller {
    /// Returns what the caller states in a request.
    pub(super) fn stated_capabilities(&self) -> impl Iterator<Item = i32> {
        capability_values(self.capabilities).map(i32::from)
    }

    /// Returns true if two users share a room that meets all conditions, `None` if a missing
    /// fact decides it.
    pub(super) fn share_room(
        &self,
        one: &str,
        other: &str,
        conditions: &RoomConditions,
    ) -> Option<bool> {
        self.rooms.share_room(one, other, conditions)
    }

    /// Returns the caller in words.
    pub(super) fn describe(&self) -> String {
        let names = self.server_names.join(", ");
        if self.rooms.is_empty() || self.capabilities == RoomCapabilities::ALL {
            return names;
        }
        let evaluates = RoomCapability::ALL.into_iter().filter(|one| self.evaluates(*one));
        let evaluates: Vec<_> = evaluates.map(capability_name).collect();
        if evaluates.is_empty() {
            format!("{names}, which evaluates no rooms")
        } else {
            format!("{names}, which evaluates {}", evaluates.join(", "))
        }
    }

    fn evaluates(&self, capability: RoomCapability) -> bool {
        self.capabilities.covers(capability.into())
    }
}

/// Returns the capabilities with these names.
///
/// # Errors
///
/// If a name is none: the reason, in words.
pub(super) fn read_capabilities(names: &[String]) -> Result<RoomCapabilities, String> {
    let find = |name: &String| {
        let found = RoomCapability::ALL.into_iter().find(|one| capability_name(*one) == *name);
        found.ok_or_else(|| {
            let valid = RoomCapability::ALL.map(capability_name).join(", ");
            format!("there is no capability `{name}`: valid names are {valid}")
        })
    };
    names.iter().map(find).collect()
}

/// Returns the rooms of a scenario file.
pub(super) fn read_rooms(rooms: RoomsById) -> GivenRooms {
    GivenRooms::new(rooms.into_iter().map(|(id, entry)| {
        let unset = GivenRoom::new(id);
        GivenRoom {
            members: entry.members,
            encrypted: entry.encrypted.unwrap_or(unset.encrypted),
            join_rule: entry.join_rule.unwrap_or(unset.join_rule),
            history_visibility: entry.history_visibility.unwrap_or(unset.history_visibility),
            spaces: entry.spaces,
            presence_sharing: entry.presence_sharing.map(|hint| match hint {
                Hint::Suggest => PresenceSharing::Suggest,
                Hint::Forbid => PresenceSharing::Forbid,
            }),
            partial: entry.partial,
            id: unset.id,
        }
    }))
}

/// Returns a capability's name in scenario files: `room_mates`, or the key of a condition.
fn capability_name(capability: RoomCapability) -> String {
    let value = capability_values(capability.into()).next();
    let name = value.map(|value| value.as_str_name().trim_start_matches("CAPABILITY_"));
    let name = name.unwrap_or_default().to_lowercase();
    match name.strip_prefix("room_") {
        Some(condition) if capability != RoomCapability::RoomMates => condition.to_owned(),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_capability_has_a_name() {
        let names = RoomCapability::ALL.map(capability_name);
        assert_eq!(read_capabilities(&names), Ok(RoomCapabilities::ALL));
        assert_eq!(read_capabilities(&[]), Ok(RoomCapabilities::NONE));
        assert_eq!(names[..3].join(" "), "room_mates at_most at_least");
        let why = read_capabilities(&["at_mots".to_owned()]).unwrap_err();
        assert!(
            why.starts_with(
                "there is no capability `at_mots`: valid names are room_mates, at_most"
            ),
            "{why}"
        );
    }

    #[test]
    fn a_caller_is_described_by_what_it_evaluates() {
        let room = GivenRoom { members: vec!["@ann:x".into()], ..GivenRoom::new("!a") };
        let rooms = Arc::new(GivenRooms::new([room]));
        let some = RoomCapabilities::from(RoomCapability::RoomMates).with(RoomCapability::Space);
        for (capabilities, expected) in [
            (RoomCapabilities::ALL, "x"),
            (RoomCapabilities::NONE, "x, which evaluates no rooms"),
            (some, "x, which evaluates room_mates, space"),
        ] {
            let caller =
                Caller { server_names: vec!["x".into()], capabilities, rooms: rooms.clone() };
            assert_eq!(caller.describe(), expected);
            let without_rooms = Caller { rooms: Arc::default(), ..caller };
            assert_eq!(without_rooms.describe(), "x");
        }
    }
}
