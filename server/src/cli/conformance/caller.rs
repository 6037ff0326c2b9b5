//! A caller of a scenario: what it states in its requests, and the rooms by which it evaluates
//! the answers.

use std::sync::Arc;

use presence_router_engine::GivenRooms;
use presence_router_ids::{RoomCapabilities, RoomCapability, RoomConditions};
use presence_router_proto::rooms::capability_values;

/// A homeserver that asks.
#[derive(Clone, Debug, Default)]
pub(super) struct Caller {
    pub(super) server_names: Vec<String>,
    /// What it evaluates of rooms.
    pub(super) capabilities: RoomCapabilities,
    /// The rooms that it knows.
    pub(super) rooms: Arc<GivenRooms>,
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

/// Returns the rooms of a scenario file, which have the form of `given` in a policy's tests.
///
/// # Errors
///
/// The problems, in words.
pub(super) fn read_rooms(rooms: &serde_json::Value) -> Result<GivenRooms, String> {
    // JSON is YAML.
    GivenRooms::parse("rooms", rooms.to_string().as_bytes())
        .map_err(|problems| problems.to_string())
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
    use presence_router_engine::GivenRoom;

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
