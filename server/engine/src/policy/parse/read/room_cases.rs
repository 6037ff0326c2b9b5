//! Tests of rules about rooms: the wanted outcome for a room.

use super::Reader;
use super::fields::Fields;
use crate::policy::document::Named;
use crate::policy::document::room::{
    PRESETS, RoomTest, TestRoom, VISIBILITIES, WantedDenial, WantedOutcome,
};
use crate::policy::parse::yaml::{Node, Value};
use crate::policy::problem::ProblemCode;

const ROOM_TEST_KEYS: &[&str] = &["adds", "denied", "given", "not", "room"];
const ROOM_KEYS: &[&str] = &["admin", "invites", "name", "preset", "requester", "visibility"];

impl Reader<'_> {
    /// Reads a test whose keys show that it is about a room.
    pub(super) fn read_room_case(&mut self, node: &Node<'_>) -> Option<RoomTest> {
        let Value::Map(entries) = &node.value else { return None };
        let keys = self.read_fields(entries, ROOM_TEST_KEYS, &[]);
        let given = keys
            .get("given")
            .map_or_else(Vec::new, |field| self.read_given_of_room_test(field.value));
        let room = keys.get("room").and_then(|field| self.read_test_room(field.value));
        let needed = ["adds", "not", "denied"];
        if needed.iter().all(|key| keys.get(key).is_none()) && !keys.has_unknown() {
            let message = "a `room` needs `adds`, `not` or `denied` beside it";
            self.add_problem(ProblemCode::MissingKey, node.position, message);
        }
        let [adds, not] = ["adds", "not"].map(|key| self.read_event_types(&keys, key));
        let denied = keys.get("denied").and_then(|field| self.read_wanted_denial(field.value));
        Some(RoomTest { position: node.position, given, room: room?, adds, not, denied })
    }

    fn read_wanted_denial(&mut self, node: &Node<'_>) -> Option<WantedDenial> {
        let outcome = match node.value {
            Value::Bool(false) => WantedOutcome::Created,
            Value::Bool(true) => {
                self.add_problem_with_help(
                    ProblemCode::WrongType,
                    node.position,
                    "expected an errcode or `false`, found `true`",
                    "write the errcode that the room is denied with",
                );
                return None;
            }
            _ => WantedOutcome::DeniedWith(self.read_errcode(node)?.to_owned()),
        };
        Some(WantedDenial { position: node.position, outcome })
    }

    fn read_event_types(&mut self, keys: &Fields<'_, '_>, key: &str) -> Vec<Named> {
        let Some(field) = keys.get(key) else { return Vec::new() };
        let nodes = self.read_one_or_list(field.value, "types of events");
        let types = nodes.iter().filter_map(|node| {
            let id = self.read_event_type(node)?.to_owned();
            Some(Named { id, position: node.position })
        });
        types.collect()
    }

    fn read_test_room(&mut self, node: &Node<'_>) -> Option<TestRoom> {
        let Value::Map(entries) = &node.value else {
            let message =
                format!("expected a room, a map with `requester`, found {}", node.type_name());
            self.add_problem(ProblemCode::WrongType, node.position, message);
            return None;
        };
        let keys = self.read_fields(entries, ROOM_KEYS, &[]);
        let requester = match keys.get("requester") {
            Some(field) => self.read_user(field.value).map(|user| user.id),
            None => {
                if !keys.has_unknown() {
                    self.add_problem(
                        ProblemCode::MissingKey,
                        node.position,
                        "a room needs a `requester`",
                    );
                }
                None
            }
        };
        let admin = keys.get("admin").and_then(|field| self.read_bool(field.value));
        let preset =
            keys.get("preset").map(|field| self.read_choice(field.value, "preset", PRESETS));
        let visibility = keys
            .get("visibility")
            .map(|field| self.read_choice(field.value, "visibility", VISIBILITIES));
        let invites =
            keys.get("invites").map_or_else(Vec::new, |field| self.read_users(field.value));
        let name = keys.get("name").map(|field| self.read_name(field.value, "the name of a room"));
        Some(TestRoom {
            requester: requester?,
            admin: admin.unwrap_or(false),
            preset: preset.flatten(),
            visibility: visibility.flatten(),
            invites,
            name: name.flatten().map(str::to_owned),
        })
    }
}
