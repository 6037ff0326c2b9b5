//! `share_room`: the relation that a rule requires between sender and recipient, and its
//! conditions on the shared room.
//!
//! Conditions that contradict each other are valid and get a warning, see `lint`.

use presence_router_ids::{MemberCount, PresenceSharing, RoomCondition, RoomConditions, UserGlob};

use super::fields::Fields;
use super::given_rooms::{HINTS, HISTORY_VISIBILITIES, JOIN_RULES};
use super::globs::parse_user_glob;
use super::{REMOVE_ONE, Reader, UNSUPPORTED};
use crate::policy::parse::yaml::{Node, Value};
use crate::policy::problem::ProblemCode;
use crate::policy::wording::quoted;
use crate::routing::model::ruleset::Relation;

const CONDITION_KEYS: &[&str] = &[
    "at_least",
    "at_most",
    "encrypted",
    "history_visibility",
    "join_rule",
    "not_counting",
    "not_rooms",
    "presence_sharing",
    "rooms",
    "space",
];
const CONDITION_KEYS_ELSEWHERE: &[(&str, &str)] = &[
    ("from", "`from` belongs beside `share_room`"),
    ("subscriptions", UNSUPPORTED),
    ("to", "`to` belongs beside `share_room`"),
    ("within", "`within` belongs beside `share_room`"),
];

/// Most members in a condition. No homeserver holds a larger room.
const MAX_MEMBERS: i64 = 1_000_000;

/// Most items in a list of a condition: answers carry the conditions, and a homeserver
/// compares every shared room with each item.
const MAX_ITEMS: usize = 100;

impl Reader<'_> {
    /// Reads the value of `share_room`. Returns the relation of any room in place of an
    /// invalid one.
    pub(super) fn read_share_room(&mut self, node: &Node<'_>) -> Relation {
        let any_room = RoomConditions::default();
        match &node.value {
            Value::Bool(true) => Relation::ShareRoom(any_room),
            Value::Bool(false) => Relation::ShareNoRoom,
            Value::Map(entries) => {
                let keys = self.read_fields(entries, CONDITION_KEYS, CONDITION_KEYS_ELSEWHERE);
                if !keys.has_known() && !keys.has_unknown() {
                    self.add_problem_with_help(
                        ProblemCode::EmptyCondition,
                        node.position,
                        "`share_room` is empty",
                        "write `share_room: true` for any room",
                    );
                }
                Relation::ShareRoom(self.read_room_conditions(&keys))
            }
            _ => {
                let message = format!(
                    "expected `true`, `false` or a map of conditions, found {}",
                    node.type_name()
                );
                let help = match &node.value {
                    Value::Text(text) if text.starts_with('!') => {
                        "write `{ rooms: .. }` for the id of a room"
                    }
                    _ => "",
                };
                self.add_problem_with_help(ProblemCode::WrongType, node.position, message, help);
                Relation::ShareRoom(any_room)
            }
        }
    }

    fn read_room_conditions(&mut self, keys: &Fields<'_, '_>) -> RoomConditions {
        let mut conditions = self.read_member_counts(keys);
        if let Some(field) = keys.get("encrypted") {
            conditions.extend(self.read_bool(field.value).map(RoomCondition::Encrypted));
        }
        let mut values = |key, what, valid| {
            let field = keys.get(key)?;
            let values = self.read_each_once(field.value, what, |this, node| {
                this.read_choice(node, what, valid)
            });
            let mut values: Vec<Box<str>> = values.into_iter().map(Box::from).collect();
            values.sort_unstable();
            Some(values.into_boxed_slice())
        };
        conditions
            .extend(values("join_rule", "join rule", JOIN_RULES).map(RoomCondition::JoinRule));
        conditions.extend(
            values("history_visibility", "history visibility", HISTORY_VISIBILITIES)
                .map(RoomCondition::HistoryVisibility),
        );
        let mut globs = |key| {
            let field = keys.get(key)?;
            let mut globs = self.read_each_once(field.value, "glob", Self::read_room_glob);
            globs.sort_unstable();
            Some(globs.into_boxed_slice())
        };
        conditions.extend(globs("rooms").map(RoomCondition::Rooms));
        conditions.extend(globs("not_rooms").map(RoomCondition::NotRooms));
        if let Some(field) = keys.get("space") {
            let space = self.read_space(field.value);
            conditions.extend(space.map(|space| RoomCondition::Space(space.into())));
        }
        if let Some(field) = keys.get("presence_sharing") {
            let hint = self.read_choice(field.value, "hint", HINTS);
            let hint = hint.and_then(PresenceSharing::parse);
            conditions.extend(hint.map(RoomCondition::PresenceSharing));
        }
        RoomConditions::new(conditions)
    }

    /// Reads `at_least` and `at_most`. Members that match `not_counting` count for neither.
    fn read_member_counts(&mut self, keys: &Fields<'_, '_>) -> Vec<RoomCondition> {
        let [at_least, at_most] = ["at_least", "at_most"].map(|key| keys.get(key));
        let mut not_counting: Vec<UserGlob> = Vec::new();
        if let Some(field) = keys.get("not_counting") {
            if at_least.or(at_most).is_none() && !keys.has_unknown() {
                self.add_problem_with_help(
                    ProblemCode::MissingKey,
                    field.position,
                    "`not_counting` needs `at_most` or `at_least` beside it",
                    "write the number of members, or remove `not_counting`",
                );
            }
            not_counting = self.read_each_once(field.value, "pattern", |this, node| {
                this.read_glob(node, "a pattern", parse_user_glob)
            });
        }
        let at_least = at_least.and_then(|field| self.read_member_number(field.value));
        let at_most = at_most.and_then(|field| self.read_member_number(field.value));
        let count = |members| MemberCount::new(members, not_counting.clone());
        let at_least = at_least.map(|members| RoomCondition::AtLeast(count(members)));
        let at_most = at_most.map(|members| RoomCondition::AtMost(count(members)));
        at_least.into_iter().chain(at_most).collect()
    }

    fn read_member_number(&mut self, node: &Node<'_>) -> Option<u64> {
        let (code, found) = match node.value {
            Value::Number(Some(members @ 1..=MAX_MEMBERS)) => return u64::try_from(members).ok(),
            Value::Number(Some(number)) => (ProblemCode::NumberOutOfRange, number.to_string()),
            Value::Number(None) => (ProblemCode::NumberOutOfRange, "another number".to_owned()),
            _ => (ProblemCode::WrongType, node.type_name().to_owned()),
        };
        let message =
            format!("expected a number of members from 1 to {MAX_MEMBERS}, found {found}");
        let help = match &node.value {
            Value::Text(text) if text.parse::<u64>().is_ok() => "remove the quotes",
            _ => "",
        };
        self.add_problem_with_help(code, node.position, message, help);
        None
    }

    /// Reads one item, or a list of at least one and at most [`MAX_ITEMS`], each once. `what`
    /// names an item in messages.
    fn read_each_once<T: PartialEq>(
        &mut self,
        node: &Node<'_>,
        what: &str,
        read: impl Fn(&mut Self, &Node<'_>) -> Option<T>,
    ) -> Vec<T> {
        let nodes = match &node.value {
            Value::List(items) if items.is_empty() => {
                let message = format!("expected a {what} or a list of them, found an empty list");
                self.add_problem(ProblemCode::EmptyList, node.position, message);
                return Vec::new();
            }
            Value::List(items) if items.len() > MAX_ITEMS => {
                let found = items.len();
                let message = format!(
                    "a condition has at most {MAX_ITEMS} items in a list, this has {found}"
                );
                self.add_problem_with_help(
                    ProblemCode::TooManyItems,
                    node.position,
                    message,
                    "write fewer, with `*` and `?`, or divide the list among several rules",
                );
                return Vec::new();
            }
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut read_items: Vec<T> = Vec::with_capacity(nodes.len());
        for node in nodes {
            let Some(item) = read(self, node) else { continue };
            if read_items.contains(&item) {
                let written = if let Value::Text(text) = &node.value { text } else { "" };
                let message = format!("the list names {what} {} twice", quoted(written));
                self.add_problem_with_help(
                    ProblemCode::DuplicateValue,
                    node.position,
                    message,
                    REMOVE_ONE,
                );
                continue;
            }
            read_items.push(item);
        }
        read_items
    }
}
