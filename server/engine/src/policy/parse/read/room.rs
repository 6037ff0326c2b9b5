//! Rules about rooms: which rooms each matches, and what it does to them.

use std::collections::{HashMap, HashSet};

use presence_router_ids::Glob;

use super::{Reader, UNSUPPORTED};
use crate::policy::document::room::{
    Denial, PRESETS, RoomEffect, RoomRule, StateEvent, VISIBILITIES, When,
};
use crate::policy::parse::yaml::{Node, Value};
use crate::policy::problem::Problem;
use crate::policy::wording::{quoted, quoted_list};

const ROOM_KEYS: &[&str] = &["add", "deny", "name", "when"];
const ROOM_KEYS_ELSEWHERE: &[(&str, &str)] =
    &[("allow", "rooms are created unless a rule denies it"), ("shadow", UNSUPPORTED)];
const WHEN_KEYS: &[&str] = &["admin", "invites", "name", "preset", "requester", "visibility"];
const EVENT_KEYS: &[&str] = &["content", "state_key", "type"];
const DENY_KEYS: &[&str] = &["errcode", "message", "status"];

/// Most bytes of an event's type, and of its state key.
const MAX_KEY_BYTES: usize = 255;

/// Most bytes of a content. An event has at most 65,536, and needs some of them
/// for all else.
const MAX_CONTENT_BYTES: usize = 60_000;

/// What the homeserver makes by itself, in every room.
const NOT_TO_ADD: &[&str] = &["m.room.create", "m.room.member"];

impl Reader<'_> {
    pub(super) fn rooms(&mut self, node: &Node<'_>) -> Vec<RoomRule> {
        let Value::List(items) = &node.value else {
            let message = format!("expected a list of rules about rooms, found {}", node.kind());
            self.problem(node.position, message);
            return Vec::new();
        };
        let mut seen = HashMap::with_capacity(items.len());
        items.iter().filter_map(|item| self.room_rule(item, &mut seen)).collect()
    }

    fn room_rule<'n>(
        &mut self,
        node: &'n Node<'_>,
        seen: &mut HashMap<&'n str, u64>,
    ) -> Option<RoomRule> {
        let Value::Map(entries) = &node.value else {
            let message = format!(
                "expected a rule about rooms, a map with `name` and `add` or `deny`, found {}",
                node.kind()
            );
            self.problem(node.position, message);
            return None;
        };
        let keys = self.fields(entries, ROOM_KEYS, ROOM_KEYS_ELSEWHERE);
        let name = self.rule_name(node, &keys, "a rule about rooms", seen);
        let when = keys.get("when").map(|field| self.when(field.value)).unwrap_or_default();
        let (add, deny) = (keys.get("add"), keys.get("deny"));
        match (add, deny) {
            (None, None) if !keys.has_unknown() => {
                self.problem(node.position, "a rule about rooms needs one of `add` and `deny`");
            }
            (Some(add), Some(deny)) => {
                let message =
                    "a rule about rooms has either `add` or `deny`, not both; make a rule of each";
                self.problem(add.position.max(deny.position), message);
            }
            _ => {}
        }
        let add = add.map(|field| RoomEffect::Add(self.state_events(field.value)));
        let deny = deny.map(|field| RoomEffect::Deny(self.denial(field.value)));
        let (name, effect) = (name.unwrap_or_default().to_owned(), add.or(deny));
        // Without its effect, which is noted, it is still good for finding groups
        // that are not declared.
        let effect = effect.unwrap_or(RoomEffect::Add(Vec::new()));
        Some(RoomRule { name, position: node.position, when, effect })
    }

    fn when(&mut self, node: &Node<'_>) -> When {
        let Value::Map(entries) = &node.value else {
            let message = format!(
                "expected a map with some of {}, found {}",
                quoted_list(WHEN_KEYS.iter().copied()),
                node.kind()
            );
            self.problem(node.position, message);
            return When::default();
        };
        let keys = self.fields(entries, WHEN_KEYS, &[]);
        if !keys.has_known() && !keys.has_unknown() {
            let message = "`when` is empty; leave it away for a rule about every room";
            self.problem(node.position, message);
        }
        When {
            requester: keys.get("requester").map(|field| self.set(field.value)),
            presets: keys.get("preset").map(|field| {
                let nodes = self.one_or_list(field.value, "presets");
                let mut presets: Vec<_> =
                    nodes.iter().filter_map(|node| self.choice(node, "preset", PRESETS)).collect();
                presets.sort_unstable();
                presets.dedup();
                presets
            }),
            visibility: keys
                .get("visibility")
                .and_then(|field| self.choice(field.value, "visibility", VISIBILITIES)),
            invites: keys.get("invites").map(|field| self.set(field.value)),
            names: keys.get("name").map(|field| {
                let nodes = self.one_or_list(field.value, "globs over names of rooms");
                let names =
                    nodes.iter().filter_map(|node| self.name(node, "a glob over names of rooms"));
                names.map(Glob::new).collect()
            }),
            admin: keys.get("admin").and_then(|field| self.flag(field.value)),
        }
    }

    /// One of a few words.
    pub(super) fn choice(
        &mut self,
        node: &Node<'_>,
        what: &str,
        valid: &'static [&'static str],
    ) -> Option<&'static str> {
        let text = self.text(node, &format!("a {what}"))?;
        if let Some(known) = valid.iter().find(|known| **known == text) {
            return Some(known);
        }
        let list = quoted_list(valid.iter().copied());
        let mut message = format!("unknown {what} {}; valid here are {list}", quoted(text));
        if let Some(near) = self.nearest.of(text, valid.iter().copied()) {
            message.push_str(&format!("; did you mean `{near}`?"));
        }
        self.problem(node.position, message);
        None
    }

    fn state_events(&mut self, node: &Node<'_>) -> Vec<StateEvent> {
        let mut events = Vec::new();
        let mut seen = HashSet::new();
        for item in self.list(node, "state events") {
            let Some(event) = self.state_event(item) else { continue };
            if !seen.insert((event.event_type.clone(), event.state_key.clone())) {
                let (event_type, key) = (quoted(&event.event_type), quoted(&event.state_key));
                let message = format!("an event {event_type} with state key {key} is added twice");
                self.problem(item.position, message);
            }
            events.push(event);
        }
        events
    }

    fn state_event(&mut self, node: &Node<'_>) -> Option<StateEvent> {
        let Value::Map(entries) = &node.value else {
            let message = format!(
                "expected a state event, a map with `type` and `content`, found {}",
                node.kind()
            );
            self.problem(node.position, message);
            return None;
        };
        let keys = self.fields(entries, EVENT_KEYS, &[]);
        for key in ["type", "content"] {
            if keys.get(key).is_none() && !keys.has_unknown() {
                self.problem(node.position, format!("a state event needs `{key}`"));
            }
        }
        let event_type = keys.get("type").and_then(|field| {
            let event_type = self.event_type(field.value)?;
            if NOT_TO_ADD.contains(&event_type) {
                let message = format!("`{event_type}` is made by the homeserver alone");
                self.problem(field.value.position, message);
            }
            Some(event_type.to_owned())
        });
        let state_key = match keys.get("state_key") {
            Some(field) => self.text(field.value, "a state key").map(|key| {
                if key.len() > MAX_KEY_BYTES {
                    let message = format!(
                        "a state key has at most {MAX_KEY_BYTES} bytes, this has {}",
                        key.len()
                    );
                    self.problems.push(Problem::new(field.value.position, message));
                }
                key.to_owned()
            }),
            None => Some(String::new()),
        };
        let content = keys.get("content").and_then(|field| {
            let content = self.content(field.value)?;
            if content.len() > MAX_CONTENT_BYTES {
                let message = format!(
                    "a content has at most {MAX_CONTENT_BYTES} bytes as JSON, this has {}",
                    content.len()
                );
                self.problem(field.value.position, message);
            }
            Some(content)
        });
        Some(StateEvent { event_type: event_type?, state_key: state_key?, content: content? })
    }

    /// The type of an event.
    pub(super) fn event_type<'n>(&mut self, node: &'n Node<'_>) -> Option<&'n str> {
        let event_type = self.name(node, "the type of an event")?;
        if event_type.len() > MAX_KEY_BYTES {
            let message = format!(
                "the type of an event has at most {MAX_KEY_BYTES} bytes, this has {}",
                event_type.len()
            );
            self.problem(node.position, message);
        }
        Some(event_type)
    }

    fn denial(&mut self, node: &Node<'_>) -> Denial {
        let mut denial =
            Denial { errcode: "M_FORBIDDEN".to_owned(), message: String::new(), status: 403 };
        let Value::Map(entries) = &node.value else {
            let message = format!("expected a map with `message`, found {}", node.kind());
            self.problem(node.position, message);
            return denial;
        };
        let keys = self.fields(entries, DENY_KEYS, &[]);
        if let Some(errcode) = keys.get("errcode").and_then(|field| self.errcode(field.value)) {
            denial.errcode = errcode.to_owned();
        }
        match keys.get("message") {
            Some(field) => {
                let message = self.name(field.value, "a message for the requester");
                denial.message = message.unwrap_or_default().to_owned();
            }
            None if !keys.has_unknown() => {
                self.problem(node.position, "`deny` needs a `message` for the requester");
            }
            None => {}
        }
        if let Some(field) = keys.get("status") {
            match field.value.value {
                Value::Number(Some(status @ 400..=499)) => {
                    denial.status = u16::try_from(status).unwrap_or(denial.status);
                }
                _ => {
                    let message = "expected an HTTP status from 400 to 499";
                    self.problem(field.value.position, message);
                }
            }
        }
        denial
    }

    /// A Matrix error code: a namespace and a name, in capitals.
    pub(super) fn errcode<'n>(&mut self, node: &'n Node<'_>) -> Option<&'n str> {
        let text = self.text(node, "an errcode")?;
        let valid = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "._".contains(c);
        let parts = text.split_once('_');
        let is = parts.is_some_and(|(space, name)| !space.is_empty() && !name.is_empty())
            && text.starts_with(|c: char| c.is_ascii_uppercase())
            && text.chars().all(valid);
        if !is {
            let message = format!(
                "{} is not an errcode: they are written as `M_FORBIDDEN` or `ORG.EXAMPLE_NO_ROOMS`",
                quoted(text)
            );
            self.problem(node.position, message);
        }
        is.then_some(text)
    }
}
