//! The content of a `hide` rule: fields, and the presence values with which these fields
//! stay visible.

use super::fields::valid_values;
use super::{REMOVE_ONE, Reader, UNSUPPORTED};
use crate::policy::document::Pairs;
use crate::policy::parse::yaml::{Node, Value};
use crate::policy::problem::ProblemCode;
use crate::policy::wording::{quoted, quoted_list};
use crate::routing::model::ruleset::{Fields, Hide, Relation};

const HIDE_KEYS: &[&str] = &["fields", "from", "share_room", "to", "unless", "within"];
const HIDE_KEYS_ELSEWHERE: &[(&str, &str)] =
    &[("mutual", UNSUPPORTED), ("subscriptions", UNSUPPORTED)];
const TEST_HIDES_KEYS: &[&str] = &["fields", "unless"];
const UNLESS_KEYS: &[&str] = &["presence"];
const FIELDS: &[&str] = &["currently_active", "last_active_ts", "presence", "status_msg"];

impl Reader<'_> {
    pub(super) fn read_hide(&mut self, node: &Node<'_>) -> Option<(Hide, Pairs, Option<Relation>)> {
        const VALID: &str = "`fields`, and `from` and `to`, `within` or `share_room`";
        let Value::Map(entries) = &node.value else {
            self.add_problem(
                ProblemCode::WrongType,
                node.position,
                format!("expected a map with {VALID}, found {}", node.type_name()),
            );
            return None;
        };
        let keys = self.read_fields(entries, HIDE_KEYS, HIDE_KEYS_ELSEWHERE);
        let mut fields = Fields::default();
        match keys.get("fields") {
            Some(field) => self.read_hidden_fields(field.value, &mut fields),
            None if !keys.has_unknown() => {
                let help = format!("name some of {}", quoted_list(FIELDS.iter().copied()));
                self.add_problem_with_help(
                    ProblemCode::MissingKey,
                    node.position,
                    "`hide` needs `fields`",
                    help,
                );
            }
            None => {}
        }
        let unless =
            keys.get("unless").map_or_else(Box::default, |field| self.read_unless(field.value));
        // Problems of the pairs are reported even where `fields` is missing.
        let (pairs, relation) = self.read_pairs_of(node.position, &keys, "hide")?;
        Some((Hide { fields, unless }, pairs, relation))
    }

    /// Reads the value of a test's `hides`: a map, or a list of maps. Its list of fields
    /// may be empty.
    pub(super) fn read_test_hides(&mut self, node: &Node<'_>) -> Vec<Hide> {
        const VALID: &str = "`fields`, and `unless` or not";
        let nodes = match &node.value {
            Value::Map(_) => std::slice::from_ref(node),
            Value::List(items) if !items.is_empty() => items,
            _ => {
                let message = format!(
                    "expected a map with {VALID}, or a list of them, found {}",
                    node.type_name()
                );
                self.add_problem(ProblemCode::WrongType, node.position, message);
                &[]
            }
        };
        let mut hides = Vec::with_capacity(nodes.len());
        for node in nodes {
            let Value::Map(entries) = &node.value else {
                let message = format!("expected a map with {VALID}, found {}", node.type_name());
                self.add_problem(ProblemCode::WrongType, node.position, message);
                continue;
            };
            let keys = self.read_fields(entries, TEST_HIDES_KEYS, &[]);
            let mut fields = Fields::default();
            match keys.get("fields") {
                Some(field) if matches!(&field.value.value, Value::List(items) if items.is_empty()) =>
                    {}
                Some(field) => self.read_hidden_fields(field.value, &mut fields),
                None if !keys.has_unknown() => {
                    let valid = quoted_list(FIELDS.iter().copied());
                    let help = format!("name some of {valid}, or write `[]` if nothing is hidden");
                    self.add_problem_with_help(
                        ProblemCode::MissingKey,
                        node.position,
                        "`hides` needs `fields`",
                        help,
                    );
                }
                None => {}
            }
            let unless =
                keys.get("unless").map_or_else(Box::default, |field| self.read_unless(field.value));
            hides.push(Hide { fields, unless });
        }
        hides
    }

    fn read_hidden_fields(&mut self, node: &Node<'_>, fields: &mut Fields) {
        for item in self.read_one_or_list(node, "fields") {
            let Some(text) = self.read_text(item, "the name of a field") else { continue };
            let field = match text {
                "currently_active" => &mut fields.currently_active,
                "last_active_ts" => &mut fields.last_active_ts,
                "presence" => &mut fields.presence,
                "status_msg" => &mut fields.status_msg,
                _ => {
                    let message = format!("unknown field {}", quoted(text));
                    let help =
                        valid_values(FIELDS, self.nearest.find(text, FIELDS.iter().copied()));
                    self.add_problem_with_help(
                        ProblemCode::UnknownValue,
                        item.position,
                        message,
                        help,
                    );
                    continue;
                }
            };
            if std::mem::replace(field, true) {
                self.add_problem_with_help(
                    ProblemCode::DuplicateValue,
                    item.position,
                    format!("the list names field `{text}` twice"),
                    REMOVE_ONE,
                );
            }
        }
    }

    /// Reads presence values, sorted. Any text is valid: the Matrix specification may add
    /// values.
    fn read_unless(&mut self, node: &Node<'_>) -> Box<[Box<str>]> {
        let Value::Map(entries) = &node.value else {
            let message = format!("expected a map with `presence`, found {}", node.type_name());
            self.add_problem(ProblemCode::WrongType, node.position, message);
            return Box::default();
        };
        let keys = self.read_fields(entries, UNLESS_KEYS, &[]);
        let Some(field) = keys.get("presence") else {
            if !keys.has_unknown() {
                self.add_problem_with_help(
                    ProblemCode::MissingKey,
                    node.position,
                    "`unless` needs `presence`",
                    "name one presence value or a list of them",
                );
            }
            return Box::default();
        };
        let mut values: Vec<Box<str>> = Vec::new();
        for item in self.read_one_or_list(field.value, "presence values") {
            let Some(text) = self.read_name(item, "a presence value") else { continue };
            match values.binary_search_by(|value| (**value).cmp(text)) {
                Ok(_) => {
                    let message = format!("the list names presence value {} twice", quoted(text));
                    self.add_problem_with_help(
                        ProblemCode::DuplicateValue,
                        item.position,
                        message,
                        REMOVE_ONE,
                    );
                }
                Err(at) => values.insert(at, text.into()),
            }
        }
        values.into()
    }
}
