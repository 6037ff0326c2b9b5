//! Given rooms: facts about rooms, and their members.

use std::collections::HashMap;

use super::room_ids::NO_SUCH_ROOM;
use super::{REMOVE_ONE, Reader};
use crate::policy::given_rooms::{GivenRoom, GivenRooms};
use crate::policy::parse::yaml::{Node, Value};
use crate::policy::problem::{Position, ProblemCode};
use crate::policy::wording::quoted;
use presence_router_ids::PresenceSharing;

const GIVEN_ROOM_KEYS: &[&str] = &[
    "encrypted",
    "history_visibility",
    "join_rule",
    "members",
    "partial",
    "presence_sharing",
    "spaces",
];

/// Join rules of the Matrix specification ("m.room.join_rules").
pub(super) const JOIN_RULES: &[&str] =
    &["invite", "knock", "knock_restricted", "private", "public", "restricted"];

/// History visibilities of the Matrix specification ("Room History Visibility").
pub(super) const HISTORY_VISIBILITIES: &[&str] = &["invited", "joined", "shared", "world_readable"];

/// Hints of MSC4495.
pub(super) const HINTS: &[&str] = &["forbid", "suggest"];

impl Reader<'_> {
    /// Reads a file of rooms.
    pub(in crate::policy::parse) fn read_rooms_file(&mut self, root: &Node<'_>) -> GivenRooms {
        if matches!(root.value, Value::Null) {
            self.add_problem_with_help(
                ProblemCode::EmptyFile,
                Position::default(),
                "the file of rooms is empty",
                "write `{}` if nobody shares a room",
            );
            return GivenRooms::default();
        }
        if let Some((position, key)) = find_header(root) {
            self.add_problem_with_help(
                ProblemCode::UnknownKey,
                position,
                format!("unknown key `{key}`: the file itself is the map of room ids and rooms"),
                format!("remove `{key}:` and indent less"),
            );
            return GivenRooms::default();
        }
        self.read_given_rooms(root)
    }

    /// Reads a map of room ids and rooms.
    pub(super) fn read_given_rooms(&mut self, node: &Node<'_>) -> GivenRooms {
        let Value::Map(entries) = &node.value else {
            let message =
                format!("expected a map of room ids and rooms, found {}", node.type_name());
            self.add_problem(ProblemCode::WrongType, node.position, message);
            return GivenRooms::default();
        };
        let mut rooms = Vec::with_capacity(entries.len());
        let mut lines: HashMap<&str, u64> = HashMap::with_capacity(entries.len());
        for (key, value) in entries {
            let id = self.read_room_id(key);
            let room = self.read_given_room(id.unwrap_or(NO_SUCH_ROOM), value);
            if let Some(line) = id.and_then(|id| lines.insert(id, key.position.line)) {
                let id = quoted(id.unwrap_or_default());
                let message = format!("room {id} is already given in line {line}");
                let help = "remove one of the two, or merge their members";
                self.add_problem_with_help(ProblemCode::DuplicateKey, key.position, message, help);
            }
            rooms.extend(room);
        }
        GivenRooms::new(rooms)
    }

    fn read_given_room(&mut self, id: &str, node: &Node<'_>) -> Option<GivenRoom> {
        let Value::Map(entries) = &node.value else {
            let message =
                format!("expected a room, a map with `members`, found {}", node.type_name());
            self.add_problem(ProblemCode::WrongType, node.position, message);
            return None;
        };
        let keys = self.read_fields(entries, GIVEN_ROOM_KEYS, &[]);
        let mut room = GivenRoom::new(id);
        match keys.get("members") {
            Some(field) => room.members = self.read_room_members(field.value),
            None if !keys.has_unknown() => self.add_problem_with_help(
                ProblemCode::MissingKey,
                node.position,
                "a room needs `members`",
                "write a list of user ids",
            ),
            None => {}
        }
        let mut flag = |key| keys.get(key).and_then(|field| self.read_bool(field.value));
        room.encrypted = flag("encrypted").unwrap_or(false);
        room.partial = flag("partial").unwrap_or(false);
        let mut choice = |key, what, valid| {
            keys.get(key).and_then(|field| self.read_choice(field.value, what, valid))
        };
        if let Some(rule) = choice("join_rule", "join rule", JOIN_RULES) {
            room.join_rule = rule.to_owned();
        }
        if let Some(value) =
            choice("history_visibility", "history visibility", HISTORY_VISIBILITIES)
        {
            room.history_visibility = value.to_owned();
        }
        room.presence_sharing =
            choice("presence_sharing", "hint", HINTS).and_then(PresenceSharing::parse);
        if let Some(field) = keys.get("spaces") {
            let nodes = match &field.value.value {
                Value::List(items) if items.is_empty() => &[],
                _ => self.read_one_or_list(field.value, "room ids"),
            };
            let spaces = nodes.iter().filter_map(|node| self.read_room_id(node));
            room.spaces = spaces.map(str::to_owned).collect();
        }
        Some(room)
    }

    /// Reads the members of a room, each once.
    fn read_room_members(&mut self, node: &Node<'_>) -> Vec<String> {
        let members = self.read_users_or_none(node);
        let mut lines: HashMap<&str, u64> = HashMap::with_capacity(members.len());
        for member in &members {
            if let Some(line) = lines.insert(&member.id, member.position.line) {
                let message = format!("member {} is already in line {line}", quoted(&member.id));
                let code = ProblemCode::DuplicateValue;
                self.add_problem_with_help(code, member.position, message, REMOVE_ONE);
            }
        }
        members.into_iter().map(|member| member.id).collect()
    }
}

/// Returns the key of a test above all rooms of a file, if there is one.
fn find_header<'n>(root: &'n Node<'_>) -> Option<(Position, &'n str)> {
    let Value::Map(entries) = &root.value else { return None };
    let [(Node { position, value: Value::Text(key) }, _)] = entries.as_slice() else {
        return None;
    };
    matches!(key.as_ref(), "given" | "rooms").then_some((*position, key.as_ref()))
}
