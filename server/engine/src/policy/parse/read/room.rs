//! Rules about rooms and their conditions. `room_effects` reads the effects of these
//! rules.

use std::collections::HashMap;

use presence_router_ids::Glob;

use super::fields::valid_values;
use super::{Reader, UNSUPPORTED};
use crate::policy::document::room::{
    AdminCondition, PRESETS, RoomEffect, RoomRule, VISIBILITIES, When,
};
use crate::policy::parse::yaml::{Node, Value};
use crate::policy::problem::ProblemCode;
use crate::policy::wording::{quoted, quoted_list};

const ROOM_KEYS: &[&str] = &["add", "deny", "name", "when"];
const ROOM_KEYS_ELSEWHERE: &[(&str, &str)] =
    &[("allow", "a room is created unless a rule denies it"), ("shadow", UNSUPPORTED)];
const WHEN_KEYS: &[&str] = &["admin", "invites", "name", "preset", "requester", "visibility"];

impl Reader<'_> {
    pub(super) fn read_room_rules(&mut self, node: &Node<'_>) -> Vec<RoomRule> {
        let Value::List(items) = &node.value else {
            let message =
                format!("expected a list of rules about rooms, found {}", node.type_name());
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
                node.type_name()
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
                let message = "a rule about rooms has either `add` or `deny`, not both";
                self.add_problem_with_help(
                    ProblemCode::ConflictingKeys,
                    add.position.max(deny.position),
                    message,
                    "write one rule for each",
                );
            }
            _ => {}
        }
        let add = add.map(|field| RoomEffect::Add(self.read_state_events(field.value)));
        let deny = deny.map(|field| RoomEffect::Deny(self.read_denial(field.value)));
        let (name, effect) = (name.unwrap_or_default().to_owned(), add.or(deny));
        // A rule without an effect, which is reported, still shows references to
        // undeclared groups.
        let effect = effect.unwrap_or(RoomEffect::Add(Vec::new()));
        Some(RoomRule { name, position: node.position, when, effect })
    }

    fn read_when(&mut self, node: &Node<'_>) -> When {
        let Value::Map(entries) = &node.value else {
            let message = format!(
                "expected a map with some of {}, found {}",
                quoted_list(WHEN_KEYS.iter().copied()),
                node.type_name()
            );
            self.add_problem(ProblemCode::WrongType, node.position, message);
            return When::default();
        };
        let keys = self.read_fields(entries, WHEN_KEYS, &[]);
        if !keys.has_known() && !keys.has_unknown() {
            let help = "remove `when` for a rule about every room";
            self.add_problem_with_help(
                ProblemCode::EmptyCondition,
                node.position,
                "`when` is empty",
                help,
            );
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

    /// Reads a text that is one of a few valid ones.
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
        let message = format!("unknown {what} {}", quoted(text));
        let help = valid_values(valid, self.nearest.find(text, valid.iter().copied()));
        self.add_problem_with_help(ProblemCode::UnknownValue, node.position, message, help);
        None
    }
}
