//! Rules about rooms: which rooms each matches. `room_effects` reads what it does to
//! them.

use std::collections::HashMap;

use presence_router_ids::Glob;

use super::{Reader, UNSUPPORTED};
use crate::policy::document::room::{
    AdminCondition, PRESETS, RoomEffect, RoomRule, VISIBILITIES, When,
};
use crate::policy::parse::yaml::{Node, Value};
use crate::policy::problem::ProblemCode;
use crate::policy::wording::{quoted, quoted_list};

const ROOM_KEYS: &[&str] = &["add", "deny", "name", "when"];
const ROOM_KEYS_ELSEWHERE: &[(&str, &str)] =
    &[("allow", "rooms are created unless a rule denies it"), ("shadow", UNSUPPORTED)];
const WHEN_KEYS: &[&str] = &["admin", "invites", "name", "preset", "requester", "visibility"];

impl Reader<'_> {
    pub(super) fn read_room_rules(&mut self, node: &Node<'_>) -> Vec<RoomRule> {
        let Value::List(items) = &node.value else {
            let message = format!("expected a list of rules about rooms, found {}", node.kind());
            self.add_problem(ProblemCode::WrongType, node.position, message);
            return Vec::new();
        };
        let mut seen = HashMap::with_capacity(items.len());
        items.iter().filter_map(|item| self.read_room_rule(item, &mut seen)).collect()
    }

    fn read_room_rule<'n>(
        &mut self,
        node: &'n Node<'_>,
        seen: &mut HashMap<&'n str, u64>,
    ) -> Option<RoomRule> {
        let Value::Map(entries) = &node.value else {
            let message = format!(
                "expected a rule about rooms, a map with `name` and `add` or `deny`, found {}",
                node.kind()
            );
            self.add_problem(ProblemCode::WrongType, node.position, message);
            return None;
        };
        let keys = self.read_fields(entries, ROOM_KEYS, ROOM_KEYS_ELSEWHERE);
        let name = self.read_rule_name(node, &keys, "a rule about rooms", seen);
        let when = keys.get("when").map(|field| self.read_when(field.value)).unwrap_or_default();
        let (add, deny) = (keys.get("add"), keys.get("deny"));
        match (add, deny) {
            (None, None) if !keys.has_unknown() => {
                self.add_problem(
                    ProblemCode::MissingKey,
                    node.position,
                    "a rule about rooms needs one of `add` and `deny`",
                );
            }
            (Some(add), Some(deny)) => {
                let message =
                    "a rule about rooms has either `add` or `deny`, not both; make a rule of each";
                self.add_problem(
                    ProblemCode::ConflictingKeys,
                    add.position.max(deny.position),
                    message,
                );
            }
            _ => {}
        }
        let add = add.map(|field| RoomEffect::Add(self.read_state_events(field.value)));
        let deny = deny.map(|field| RoomEffect::Deny(self.read_denial(field.value)));
        let (name, effect) = (name.unwrap_or_default().to_owned(), add.or(deny));
        // Without its effect, which is noted, it is still good for finding groups
        // that are not declared.
        let effect = effect.unwrap_or(RoomEffect::Add(Vec::new()));
        Some(RoomRule { name, position: node.position, when, effect })
    }

    fn read_when(&mut self, node: &Node<'_>) -> When {
        let Value::Map(entries) = &node.value else {
            let message = format!(
                "expected a map with some of {}, found {}",
                quoted_list(WHEN_KEYS.iter().copied()),
                node.kind()
            );
            self.add_problem(ProblemCode::WrongType, node.position, message);
            return When::default();
        };
        let keys = self.read_fields(entries, WHEN_KEYS, &[]);
        if !keys.has_known() && !keys.has_unknown() {
            let message = "`when` is empty; leave it away for a rule about every room";
            self.add_problem(ProblemCode::EmptyCondition, node.position, message);
        }
        When {
            requester: keys.get("requester").map(|field| self.read_set(field.value)),
            presets: keys.get("preset").map(|field| {
                let nodes = self.read_one_or_list(field.value, "presets");
                let mut presets: Vec<_> = nodes
                    .iter()
                    .filter_map(|node| self.read_choice(node, "preset", PRESETS))
                    .collect();
                presets.sort_unstable();
                presets.dedup();
                presets
            }),
            visibility: keys
                .get("visibility")
                .and_then(|field| self.read_choice(field.value, "visibility", VISIBILITIES)),
            invites: keys.get("invites").map(|field| self.read_set(field.value)),
            names: keys.get("name").map(|field| {
                let nodes = self.read_one_or_list(field.value, "globs over names of rooms");
                let names = nodes
                    .iter()
                    .filter_map(|node| self.read_name(node, "a glob over names of rooms"));
                names.map(Glob::new).collect()
            }),
            admin: keys.get("admin").and_then(|field| {
                Some(match self.read_bool(field.value)? {
                    true => AdminCondition::MustBe,
                    false => AdminCondition::MustNotBe,
                })
            }),
        }
    }

    /// One of a few words.
    pub(super) fn read_choice(
        &mut self,
        node: &Node<'_>,
        what: &str,
        valid: &'static [&'static str],
    ) -> Option<&'static str> {
        let text = self.read_text(node, &format!("a {what}"))?;
        if let Some(known) = valid.iter().find(|known| **known == text) {
            return Some(known);
        }
        let list = quoted_list(valid.iter().copied());
        let mut message = format!("unknown {what} {}; valid here are {list}", quoted(text));
        if let Some(near) = self.nearest.find(text, valid.iter().copied()) {
            message.push_str(&format!("; did you mean `{near}`?"));
        }
        self.add_problem(ProblemCode::UnknownValue, node.position, message);
        None
    }
}
