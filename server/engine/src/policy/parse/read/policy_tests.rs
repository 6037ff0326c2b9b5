//! Tests of a policy: claims about the audience or the interest of a subject.

use super::fields::{Field, Fields};
use super::{REMOVE_ONE, Reader, UNSUPPORTED, WRITE_A_USER_ID};
use crate::policy::document::room::RoomTest;
use crate::policy::document::{Given, Named, Only, SetExpr, Test, TestHides, side_key};
use crate::policy::given_rooms::GivenRooms;
use crate::policy::parse::yaml::{Node, Value};
use crate::policy::problem::ProblemCode;
use crate::policy::wording::quoted;
use crate::routing::model::side::Side;
use presence_router_ids::UserId;

const TEST_KEYS: &[&str] =
    &["given", "hides", "not", "only", "reaches", "recipient", "room", "sees", "sender"];
const TEST_KEYS_ELSEWHERE: &[(&str, &str)] = &[("rooms", "given rooms belong in `given`")];
const GIVEN_KEYS: &[&str] = &["groups", "rooms"];
const GIVEN_KEYS_OF_ROOM_TEST: &[&str] = &["groups"];
const GIVEN_KEYS_ELSEWHERE: &[(&str, &str)] =
    &[("blocks", UNSUPPORTED), ("subscriptions", UNSUPPORTED)];

/// The reason why a test of a room gives no rooms.
const ROOMS_OF_PAIRS: &str = "a test of a `room` is about no pair of users, who could share a room";

/// The forms of a test, for messages.
const FORMS: &str = "either `sender` with `reaches`, `only` or `not`, or `recipient` with `sees`, `only` or `not`, or `room`";

/// The claims of a test about its pairs.
struct Claims {
    yes: Vec<Named>,
    not: Vec<Named>,
    only: Option<Only>,
    hides: Option<TestHides>,
}

impl Reader<'_> {
    pub(super) fn read_tests(&mut self, node: &Node<'_>) -> (Vec<Test>, Vec<RoomTest>) {
        let Value::List(items) = &node.value else {
            let message = format!("expected a list of tests, found {}", node.type_name());
            self.add_problem(ProblemCode::WrongType, node.position, message);
            return Default::default();
        };
        let (mut tests, mut rooms) = (Vec::new(), Vec::new());
        for item in items {
            if is_about_a_room(item) {
                rooms.extend(self.read_room_case(item));
            } else {
                tests.extend(self.read_test(item));
            }
        }
        (tests, rooms)
    }

    fn read_test(&mut self, node: &Node<'_>) -> Option<Test> {
        let Value::Map(entries) = &node.value else {
            let message =
                format!("expected a test, a map with {FORMS}, found {}", node.type_name());
            self.add_problem(ProblemCode::WrongType, node.position, message);
            return None;
        };
        let keys = self.read_fields(entries, TEST_KEYS, TEST_KEYS_ELSEWHERE);
        let given = keys.get("given").map(|field| self.read_given(field.value));
        let (given, rooms) = given.unwrap_or_default();
        let Some((side, subject)) = self.read_test_side(node, &keys) else {
            self.read_claims(&keys, ["reaches", "sees"]);
            return None;
        };
        self.check_test_keys(node, &keys, side);
        let subject_position = subject.value.position;
        let subject = self.read_subject(subject.value);
        let Claims { yes, not, only, hides } = self.read_claims(&keys, [claim_key(side)]);
        let (position, subject) = (node.position, subject?);
        Some(Test {
            position,
            given,
            rooms,
            side,
            subject,
            subject_position,
            yes,
            not,
            only,
            hides,
        })
    }

    /// The side that a test is about, and its subject. `None`: the test has no subject.
    fn read_test_side<'n, 'a>(
        &mut self,
        node: &Node<'_>,
        keys: &Fields<'n, 'a>,
    ) -> Option<(Side, Field<'n, 'a>)> {
        match (keys.get("sender"), keys.get("recipient")) {
            (Some(sender), Some(recipient)) => {
                let position = sender.position.max(recipient.position);
                self.add_problem_with_help(
                    ProblemCode::ConflictingKeys,
                    position,
                    "a test has either `sender` or `recipient`, not both",
                    "write one test for each",
                );
                Some((Side::Sender, sender))
            }
            (Some(sender), None) => Some((Side::Sender, sender)),
            (None, Some(recipient)) => Some((Side::Recipient, recipient)),
            (None, None) => {
                if !keys.has_unknown() {
                    self.add_problem(
                        ProblemCode::MissingKey,
                        node.position,
                        format!("a test needs {FORMS}"),
                    );
                }
                None
            }
        }
    }

    /// Reports keys that do not go with the side of a test or with each other, and missing
    /// keys.
    fn check_test_keys(&mut self, node: &Node<'_>, keys: &Fields<'_, '_>, side: Side) {
        let (key, claim) = (side_key(side), claim_key(side));
        if let Some(room) = keys.get("room") {
            let message = format!("a test has either `{key}` or `room`, not both");
            self.add_problem_with_help(
                ProblemCode::ConflictingKeys,
                room.position,
                message,
                "write one test for each",
            );
        }
        let [yes, only, not, hides] = [claim, "only", "not", "hides"].map(|key| keys.get(key));
        // A test of both sides, which is reported already, may have either key.
        let has_both_sides = keys.get("sender").is_some() && keys.get("recipient").is_some();
        let wrong = keys.get(other_claim_key(side)).filter(|_| !has_both_sides);
        if let Some(wrong) = wrong {
            let message = format!("`{}` does not go with `{key}`", other_claim_key(side));
            let help = format!("write `{claim}`, `only`, `not` or `hides` beside `{key}`");
            self.add_problem_with_help(ProblemCode::ConflictingKeys, wrong.position, message, help);
        } else if yes.or(only).or(not).is_none() && !keys.has_unknown() {
            let message = format!("a `{key}` needs `{claim}`, `only` or `not` beside it");
            self.add_problem(ProblemCode::MissingKey, node.position, message);
        }
        if let (Some(_), Some(only)) = (yes, only) {
            let message = format!("a test has either `only` or `{claim}`, not both");
            let help = format!("remove `only` or `{claim}`");
            self.add_problem_with_help(ProblemCode::ConflictingKeys, only.position, message, help);
        }
        if let (None, Some(hides), false) = (yes.or(only), hides, keys.has_unknown()) {
            let message = format!("`hides` needs `{claim}` or `only` beside it");
            let help = "name the pairs that `hides` is about";
            self.add_problem_with_help(ProblemCode::MissingKey, hides.position, message, help);
        }
    }

    /// Reads the claims of a test about its pairs. `claim_keys` are `reaches`, `sees` or
    /// both.
    fn read_claims<const N: usize>(
        &mut self,
        keys: &Fields<'_, '_>,
        claim_keys: [&'static str; N],
    ) -> Claims {
        let mut users =
            |key| keys.get(key).map_or_else(Vec::new, |field| self.read_users(field.value));
        let yes = claim_keys.into_iter().flat_map(&mut users).collect();
        let not = users("not");
        let only = keys.get("only").map(|field| {
            let users = self.read_users_or_none(field.value);
            Only { position: field.value.position, users }
        });
        let hides = keys.get("hides").map(|field| {
            let hides = self.read_test_hides(field.value);
            TestHides { position: field.value.position, hides }
        });
        Claims { yes, not, only, hides }
    }

    /// Reads the users that a test is about. Unlike in other sets, the id of a user may
    /// look like a pattern.
    fn read_subject(&mut self, node: &Node<'_>) -> Option<SetExpr> {
        match &node.value {
            Value::Text(text) if text.starts_with('@') => self.read_user(node).map(SetExpr::User),
            _ => self.read_valid_set(node),
        }
    }

    /// Reads what a test gives: members of groups, and rooms.
    fn read_given(&mut self, node: &Node<'_>) -> (Vec<Given>, GivenRooms) {
        let Some(keys) = self.read_given_keys(node, GIVEN_KEYS, GIVEN_KEYS_ELSEWHERE) else {
            return Default::default();
        };
        let groups = keys.get("groups").map(|field| self.read_given_groups(field.value));
        let rooms = keys.get("rooms").map(|field| self.read_given_rooms(field.value));
        (groups.unwrap_or_default(), rooms.unwrap_or_default())
    }

    /// Reads what a test of a room gives: members of groups. Rules about rooms have no
    /// relations, so that rooms would have no effect.
    pub(super) fn read_given_of_room_test(&mut self, node: &Node<'_>) -> Vec<Given> {
        let elsewhere = [GIVEN_KEYS_ELSEWHERE, &[("rooms", ROOMS_OF_PAIRS)]].concat();
        let keys = self.read_given_keys(node, GIVEN_KEYS_OF_ROOM_TEST, &elsewhere);
        let groups = keys.and_then(|keys| keys.get("groups"));
        groups.map_or_else(Vec::new, |field| self.read_given_groups(field.value))
    }

    /// Reads the map of a `given`, which has at least one of the valid keys.
    fn read_given_keys<'n, 'a>(
        &mut self,
        node: &'n Node<'a>,
        valid: &'static [&'static str],
        elsewhere: &[(&str, &str)],
    ) -> Option<Fields<'n, 'a>> {
        let some = valid.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" or ");
        let Value::Map(entries) = &node.value else {
            self.add_problem(
                ProblemCode::WrongType,
                node.position,
                format!("expected a map with {some}, found {}", node.type_name()),
            );
            return None;
        };
        let keys = self.read_fields(entries, valid, elsewhere);
        if !keys.has_known() && !keys.has_unknown() {
            self.add_problem_with_help(
                ProblemCode::MissingKey,
                node.position,
                format!("`given` needs {some}"),
                if valid.contains(&"rooms") {
                    "write a map of group names and user ids as `groups`, a map of room ids and rooms as `rooms`, or remove `given`"
                } else {
                    "write a map of group names and user ids as `groups`, or remove `given`"
                },
            );
        }
        Some(keys)
    }

    fn read_given_groups(&mut self, node: &Node<'_>) -> Vec<Given> {
        let Value::Map(groups) = &node.value else {
            let message =
                format!("expected a map of group names and user ids, found {}", node.type_name());
            self.add_problem(ProblemCode::WrongType, node.position, message);
            return Vec::new();
        };
        let mut given: Vec<Given> = Vec::with_capacity(groups.len());
        for (key, value) in groups {
            let members = self.read_users_or_none(value).into_iter().map(|user| user.id).collect();
            let Some(group) = self.read_group_name(key) else { continue };
            if given.iter().any(|given| given.group == group) {
                self.add_problem_with_help(
                    ProblemCode::DuplicateValue,
                    key.position,
                    format!("`given` has group {} twice", quoted(group)),
                    REMOVE_ONE,
                );
                continue;
            }
            given.push(Given { group: group.to_owned(), position: key.position, members });
        }
        given
    }

    /// Reads one user or a list of users. The list may be empty, since `[]` is a claim too.
    pub(super) fn read_users_or_none(&mut self, node: &Node<'_>) -> Vec<Named> {
        match &node.value {
            Value::List(items) if items.is_empty() => Vec::new(),
            _ => self.read_users(node),
        }
    }

    /// Reads one user or a list of users.
    pub(super) fn read_users(&mut self, node: &Node<'_>) -> Vec<Named> {
        let nodes = match &node.value {
            Value::Text(_) => std::slice::from_ref(node),
            _ => self.read_list(node, "user ids"),
        };
        nodes.iter().filter_map(|node| self.read_user(node)).collect()
    }

    pub(super) fn read_user(&mut self, node: &Node<'_>) -> Option<Named> {
        let text = self.read_text(node, "a user id")?;
        match UserId::parse(text) {
            Ok(_) => Some(Named { id: text.to_owned(), position: node.position }),
            Err(error) => {
                self.add_problem_with_help(
                    ProblemCode::NotAUserId,
                    node.position,
                    format!("{} is not a user id: {error}", quoted(text)),
                    WRITE_A_USER_ID,
                );
                None
            }
        }
    }
}

/// True if a test is about a room instead of presence.
fn is_about_a_room(node: &Node<'_>) -> bool {
    let Value::Map(entries) = &node.value else { return false };
    let has = |wanted: &str| {
        entries.iter().any(|(key, _)| matches!(&key.value, Value::Text(key) if key == wanted))
    };
    has("room") && !has("sender") && !has("recipient")
}

/// The key that lists the users who form a visible pair with the subject.
fn claim_key(side: Side) -> &'static str {
    match side {
        Side::Sender => "reaches",
        Side::Recipient => "sees",
    }
}

/// The key of the other side, which is not valid beside a subject on this side.
fn other_claim_key(side: Side) -> &'static str {
    match side {
        Side::Sender => claim_key(Side::Recipient),
        Side::Recipient => claim_key(Side::Sender),
    }
}
