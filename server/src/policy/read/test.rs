//! Tests: what somebody's audience or interest is to hold.

use super::{LATER, Reader};
use crate::policy::document::room::RoomTest;
use crate::policy::document::{Given, Named, Test};
use crate::policy::problem::quoted;
use crate::policy::yaml::{Node, Value};
use crate::routing::relation::Side;
use crate::routing::user_id::UserId;

const TEST_KEYS: &[&str] = &["given", "not", "reaches", "recipient", "room", "sees", "sender"];
const GIVEN_KEYS: &[&str] = &["groups"];
const GIVEN_KEYS_ELSEWHERE: &[(&str, &str)] = &[("blocks", LATER), ("subscriptions", LATER)];

impl Reader<'_> {
    pub(super) fn tests(&mut self, node: &Node<'_>) -> (Vec<Test>, Vec<RoomTest>) {
        let Value::List(items) = &node.value else {
            let message = format!("expected a list of tests, found {}", node.kind());
            self.problem(node.place, message);
            return Default::default();
        };
        let (mut tests, mut rooms) = (Vec::new(), Vec::new());
        for item in items {
            if is_about_a_room(item) {
                rooms.extend(self.room_test(item));
            } else {
                tests.extend(self.test(item));
            }
        }
        (tests, rooms)
    }

    fn test(&mut self, node: &Node<'_>) -> Option<Test> {
        const VALID: &str = "either `sender` with `reaches` or `not`, or `recipient` with `sees` or `not`, or `room`";
        let Value::Map(entries) = &node.value else {
            let message = format!("expected a test, a map with {VALID}, found {}", node.kind());
            self.problem(node.place, message);
            return None;
        };
        let keys = self.fields(entries, TEST_KEYS, &[]);
        let given = keys.get("given").map_or_else(Vec::new, |field| self.given(field.value));
        let [sender, recipient] = ["sender", "recipient"].map(|key| keys.get(key));
        let (side, user, verb, wrong) = match (sender, recipient) {
            (Some(sender), Some(recipient)) => {
                let place = sender.place.max(recipient.place);
                let message =
                    "a test has either `sender` or `recipient`, not both; make two tests of it";
                self.problem(place, message);
                (Side::Sender, sender, "reaches", None)
            }
            (Some(sender), None) => (Side::Sender, sender, "reaches", Some("sees")),
            (None, Some(recipient)) => (Side::Recipient, recipient, "sees", Some("reaches")),
            (None, None) => {
                if !keys.has_unknown() {
                    self.problem(node.place, format!("a test needs {VALID}"));
                }
                for key in ["reaches", "sees", "not"] {
                    keys.get(key).map(|field| self.users(field.value));
                }
                return None;
            }
        };
        if let Some(room) = keys.get("room") {
            let message = format!(
                "a test has either `{}` or `room`, not both; make two tests of it",
                name(side)
            );
            self.problem(room.place, message);
        }
        let user = self.user(user.value);
        if let Some(wrong) = wrong.and_then(|key| keys.get(key)) {
            let message = format!("a `{}` has `{verb}` and `not` beside it", name(side));
            self.problem(wrong.place, message);
        } else if keys.get(verb).is_none() && keys.get("not").is_none() && !keys.has_unknown() {
            let message = format!("a `{}` needs `{verb}` or `not` beside it", name(side));
            self.problem(node.place, message);
        }
        let [yes, not] = [verb, "not"]
            .map(|key| keys.get(key).map_or_else(Vec::new, |field| self.users(field.value)));
        Some(Test { place: node.place, given, side, user: user?, yes, not })
    }

    pub(super) fn given(&mut self, node: &Node<'_>) -> Vec<Given> {
        let Value::Map(entries) = &node.value else {
            self.problem(
                node.place,
                format!("expected a map with `groups`, found {}", node.kind()),
            );
            return Vec::new();
        };
        let keys = self.fields(entries, GIVEN_KEYS, GIVEN_KEYS_ELSEWHERE);
        let Some(field) = keys.get("groups") else {
            if !keys.has_unknown() {
                self.problem(node.place, "`given` needs `groups`");
            }
            return Vec::new();
        };
        let Value::Map(groups) = &field.value.value else {
            let message =
                format!("expected a map of group names and user ids, found {}", field.value.kind());
            self.problem(field.value.place, message);
            return Vec::new();
        };
        let mut given: Vec<Given> = Vec::with_capacity(groups.len());
        for (key, value) in groups {
            let members = match &value.value {
                // Said to be empty, to whoever reads the test.
                Value::List(items) if items.is_empty() => Vec::new(),
                _ => self.users(value).into_iter().map(|user| user.id).collect(),
            };
            let Some(group) = self.group_name(key) else { continue };
            if given.iter().any(|given| given.group == group) {
                self.problem(key.place, format!("group {} is given twice", quoted(group)));
                continue;
            }
            given.push(Given { group: group.to_owned(), place: key.place, members });
        }
        given
    }

    /// One user or a list of them.
    pub(super) fn users(&mut self, node: &Node<'_>) -> Vec<Named> {
        let nodes = match &node.value {
            Value::Text(_) => std::slice::from_ref(node),
            _ => self.list(node, "user ids"),
        };
        nodes.iter().filter_map(|node| self.user(node)).collect()
    }

    pub(super) fn user(&mut self, node: &Node<'_>) -> Option<Named> {
        let text = self.text(node, "a user id")?;
        match UserId::parse(text) {
            Ok(_) => Some(Named { id: text.to_owned(), place: node.place }),
            Err(error) => {
                self.problem(node.place, format!("{} is not a user id: {error}", quoted(text)));
                None
            }
        }
    }
}

/// Whether a test is about a room, and about nobody's presence.
fn is_about_a_room(node: &Node<'_>) -> bool {
    let Value::Map(entries) = &node.value else { return false };
    let has = |wanted: &str| {
        entries.iter().any(|(key, _)| matches!(&key.value, Value::Text(key) if key == wanted))
    };
    has("room") && !has("sender") && !has("recipient")
}

/// The key that a side is written as.
fn name(side: Side) -> &'static str {
    match side {
        Side::Sender => "sender",
        Side::Recipient => "recipient",
    }
}
