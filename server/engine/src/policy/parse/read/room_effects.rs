//! Effects of rules about rooms: the state events that they add, and their denials.

use std::collections::HashSet;

use super::{REMOVE_ONE, Reader};
use crate::policy::document::room::{Denial, StateEvent};
use crate::policy::parse::yaml::{Node, Value};
use crate::policy::problem::{Problem, ProblemCode};
use crate::policy::wording::quoted;

/// The help for a text with more bytes than Matrix permits.
const SHORTEN_IT: &str = "shorten the text";

const EVENT_KEYS: &[&str] = &["content", "state_key", "type"];
const DENY_KEYS: &[&str] = &["errcode", "message", "status"];

/// Most bytes of an event's type, and of its state key.
const MAX_KEY_BYTES: usize = 255;

/// Most bytes of a content. An event has at most 65,536, and needs some of them for its
/// other parts.
const MAX_CONTENT_BYTES: usize = 60_000;

/// Types of events that the homeserver itself makes in every room.
const NOT_TO_ADD: &[&str] = &["m.room.create", "m.room.member"];

impl Reader<'_> {
    pub(super) fn read_state_events(&mut self, node: &Node<'_>) -> Vec<StateEvent> {
        let mut events = Vec::new();
        let mut seen = HashSet::new();
        for item in self.read_list(node, "state events") {
            let Some(event) = self.read_state_event(item) else { continue };
            if !seen.insert((event.event_type.clone(), event.state_key.clone())) {
                let (event_type, key) = (quoted(&event.event_type), quoted(&event.state_key));
                let message =
                    format!("the rule adds event {event_type} with state key {key} twice");
                self.add_problem_with_help(
                    ProblemCode::DuplicateEvent,
                    item.position,
                    message,
                    REMOVE_ONE,
                );
            }
            events.push(event);
        }
        events
    }

    fn read_state_event(&mut self, node: &Node<'_>) -> Option<StateEvent> {
        let Value::Map(entries) = &node.value else {
            let message = format!(
                "expected a state event, a map with `type` and `content`, found {}",
                node.type_name()
            );
            self.add_problem(ProblemCode::WrongType, node.position, message);
            return None;
        };
        let keys = self.read_fields(entries, EVENT_KEYS, &[]);
        for key in ["type", "content"] {
            if keys.get(key).is_none() && !keys.has_unknown() {
                self.add_problem(
                    ProblemCode::MissingKey,
                    node.position,
                    format!("a state event needs `{key}`"),
                );
            }
        }
        let event_type = keys.get("type").and_then(|field| {
            let event_type = self.read_event_type(field.value)?;
            if NOT_TO_ADD.contains(&event_type) {
                let message = format!("only the homeserver makes events of type `{event_type}`");
                self.add_problem_with_help(
                    ProblemCode::HomeserverEvent,
                    field.value.position,
                    message,
                    "remove the event",
                );
            }
            Some(event_type.to_owned())
        });
        let state_key = match keys.get("state_key") {
            Some(field) => self.read_text(field.value, "a state key").map(|key| {
                if key.len() > MAX_KEY_BYTES {
                    let message = format!(
                        "a state key has at most {MAX_KEY_BYTES} bytes, this has {}",
                        key.len()
                    );
                    self.problems.push(
                        Problem::new(ProblemCode::ValueTooLong, field.value.position, message)
                            .with_help(SHORTEN_IT),
                    );
                }
                key.to_owned()
            }),
            None => Some(String::new()),
        };
        let content = keys.get("content").and_then(|field| {
            let content = self.read_content(field.value)?;
            if content.len() > MAX_CONTENT_BYTES {
                let message = format!(
                    "a content has at most {MAX_CONTENT_BYTES} bytes as JSON, this has {}",
                    content.len()
                );
                self.add_problem_with_help(
                    ProblemCode::ValueTooLong,
                    field.value.position,
                    message,
                    SHORTEN_IT,
                );
            }
            Some(content)
        });
        Some(StateEvent { event_type: event_type?, state_key: state_key?, content: content? })
    }

    /// Reads the type of an event.
    pub(super) fn read_event_type<'n>(&mut self, node: &'n Node<'_>) -> Option<&'n str> {
        let event_type = self.read_name(node, "the type of an event")?;
        if event_type.len() > MAX_KEY_BYTES {
            let message = format!(
                "the type of an event has at most {MAX_KEY_BYTES} bytes, this has {}",
                event_type.len()
            );
            self.add_problem_with_help(
                ProblemCode::ValueTooLong,
                node.position,
                message,
                SHORTEN_IT,
            );
        }
        Some(event_type)
    }

    pub(super) fn read_denial(&mut self, node: &Node<'_>) -> Denial {
        let mut denial =
            Denial { errcode: "M_FORBIDDEN".to_owned(), message: String::new(), status: 403 };
        let Value::Map(entries) = &node.value else {
            let message = format!("expected a map with `message`, found {}", node.type_name());
            self.add_problem(ProblemCode::WrongType, node.position, message);
            return denial;
        };
        let keys = self.read_fields(entries, DENY_KEYS, &[]);
        if let Some(errcode) = keys.get("errcode").and_then(|field| self.read_errcode(field.value))
        {
            denial.errcode = errcode.to_owned();
        }
        match keys.get("message") {
            Some(field) => {
                let message = self.read_name(field.value, "a message for the requester");
                denial.message = message.unwrap_or_default().to_owned();
            }
            None if !keys.has_unknown() => {
                self.add_problem_with_help(
                    ProblemCode::MissingKey,
                    node.position,
                    "`deny` needs a `message`",
                    "write a `message` for the requester",
                );
            }
            None => {}
        }
        if let Some(field) = keys.get("status") {
            match field.value.value {
                Value::Number(Some(status @ 400..=499)) => {
                    denial.status = u16::try_from(status).unwrap_or(denial.status);
                }
                _ => {
                    let (code, found) = match field.value.value {
                        Value::Number(Some(number)) => {
                            (ProblemCode::NumberOutOfRange, number.to_string())
                        }
                        Value::Number(None) => {
                            (ProblemCode::NumberOutOfRange, "another number".to_owned())
                        }
                        _ => (ProblemCode::WrongType, field.value.type_name().to_owned()),
                    };
                    let message = format!("expected an HTTP status from 400 to 499, found {found}");
                    self.add_problem(code, field.value.position, message);
                }
            }
        }
        denial
    }

    /// Reads a Matrix error code: a namespace and a name, in capitals.
    pub(super) fn read_errcode<'n>(&mut self, node: &'n Node<'_>) -> Option<&'n str> {
        let text = self.read_text(node, "an errcode")?;
        let valid = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "._".contains(c);
        let parts = text.split_once('_');
        let is = parts.is_some_and(|(space, name)| !space.is_empty() && !name.is_empty())
            && text.starts_with(|c: char| c.is_ascii_uppercase())
            && text.chars().all(valid);
        if !is {
            let message = format!("{} is not an errcode", quoted(text));
            let help = "write an errcode such as `M_FORBIDDEN` or `ORG.EXAMPLE_NO_ROOMS`";
            self.add_problem_with_help(ProblemCode::NotAnErrcode, node.position, message, help);
        }
        is.then_some(text)
    }
}
