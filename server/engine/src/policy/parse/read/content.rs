//! Contents of events: turns YAML into the JSON that Matrix permits.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use super::{REMOVE_ONE, Reader};
use crate::policy::parse::yaml::{Node, Value};
use crate::policy::problem::ProblemCode;
use crate::policy::wording::quoted;

/// The largest whole number that every JSON parser keeps exact; its negative is the
/// smallest. Matrix permits no other numbers in events (specification, appendix
/// "Canonical JSON").
const MAX_NUMBER: u64 = (1 << 53) - 1;

impl Reader<'_> {
    /// Reads a JSON object and returns its text.
    pub(super) fn read_content(&mut self, node: &Node<'_>) -> Option<String> {
        if !matches!(node.value, Value::Map(_)) {
            let message =
                format!("expected the content of an event, a map, found {}", node.type_name());
            self.add_problem(ProblemCode::WrongType, node.position, message);
            return None;
        }
        Some(self.read_json(node)?.to_string())
    }

    /// Reads any JSON value. The recursion is no deeper than YAML may nest.
    fn read_json(&mut self, node: &Node<'_>) -> Option<Json> {
        match &node.value {
            Value::Null => Some(Json::Null),
            Value::Bool(value) => Some(Json::Bool(*value)),
            Value::Text(text) => Some(Json::String(text.to_string())),
            Value::Number(Some(number)) if number.unsigned_abs() <= MAX_NUMBER => {
                Some(Json::from(*number))
            }
            Value::Number(_) => {
                let message =
                    format!("events contain whole numbers from -{MAX_NUMBER} to {MAX_NUMBER} only");
                self.add_problem_with_help(
                    ProblemCode::NumberOutOfRange,
                    node.position,
                    message,
                    "put other numbers in quotes",
                );
                None
            }
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(|item| self.read_json(item)).collect();
                items.into_iter().collect::<Option<Vec<_>>>().map(Json::Array)
            }
            Value::Map(entries) => {
                let mut object = Map::new();
                let mut lines: HashMap<&str, u64> = HashMap::new();
                let mut complete = true;
                for (key, value) in entries {
                    let value = self.read_json(value);
                    let name = self.read_text(key, "a key");
                    if let Some(line) = name.and_then(|name| lines.insert(name, key.position.line))
                    {
                        let name = quoted(name.unwrap_or_default());
                        let message = format!("key {name} is already given in line {line}");
                        self.add_problem_with_help(
                            ProblemCode::DuplicateKey,
                            key.position,
                            message,
                            REMOVE_ONE,
                        );
                    }
                    match (name, value) {
                        (Some(name), Some(value)) => {
                            object.insert(name.to_owned(), value);
                        }
                        _ => complete = false,
                    }
                }
                complete.then_some(Json::Object(object))
            }
        }
    }
}
