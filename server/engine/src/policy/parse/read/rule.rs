//! Rules: the effect of each, and the pairs that it matches.

use std::collections::HashMap;

use presence_router_ids::Glob;

use super::fields::{Field, Fields};
use super::{Reader, UNSUPPORTED, WRITE_NO_RULES};
use crate::policy::document::{Pairs, Rule, SetExpr};
use crate::policy::parse::yaml::{Node, Value};
use crate::policy::problem::{Position, ProblemCode};
use crate::policy::wording::quoted;
use crate::routing::model::ruleset::{Effect, Relation};

const RULE_KEYS: &[&str] = &["allow", "deny", "hide", "name", "shadow"];
const RULE_KEYS_ELSEWHERE: &[(&str, &str)] = &[
    ("share_room", "`share_room` belongs in `allow`, `deny` or `hide`"),
    ("subscriptions", UNSUPPORTED),
];
const PAIRS_KEYS: &[&str] = &["from", "share_room", "to", "within"];
const PAIRS_KEYS_ELSEWHERE: &[(&str, &str)] = &[
    ("fields", "`fields` belongs to `hide`"),
    ("mutual", UNSUPPORTED),
    ("subscriptions", UNSUPPORTED),
    ("unless", "`unless` belongs to `hide`"),
];
/// The ways to say which pairs a rule matches, for messages.
const VALID_PAIRS: &str = "`from` and `to`, `within` or `share_room`";

impl Reader<'_> {
    pub(super) fn read_rules(&mut self, node: &Node<'_>) -> Vec<Rule> {
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            Value::Null => {
                let message = "expected a list of rules, found nothing";
                self.add_problem_with_help(
                    ProblemCode::WrongType,
                    node.position,
                    message,
                    WRITE_NO_RULES,
                );
                &[]
            }
            _ => {
                let message = format!("expected a list of rules, found {}", node.type_name());
                self.add_problem(ProblemCode::WrongType, node.position, message);
                &[]
            }
        };
        let mut rules = Vec::with_capacity(items.len());
        let mut seen = HashMap::with_capacity(items.len());
        for item in items {
            rules.extend(self.read_rule(item, &mut seen));
        }
        rules
    }

    fn read_rule<'n>(
        &mut self,
        node: &'n Node<'_>,
        seen: &mut HashMap<&'n str, u64>,
    ) -> Option<Rule> {
        let Value::Map(entries) = &node.value else {
            let message = format!(
                "expected a rule, a map with `name` and `allow`, `deny` or `hide`, found {}",
                node.type_name()
            );
            self.add_problem(ProblemCode::WrongType, node.position, message);
            return None;
        };
        let fields = self.read_fields(entries, RULE_KEYS, RULE_KEYS_ELSEWHERE);
        let name = self.read_rule_name(node, &fields, "a rule", seen);
        let effects = ["allow", "deny", "hide"].map(|key| fields.get(key));
        self.check_one_effect(node, &fields, &effects);
        let shadow = fields.get("shadow").and_then(|field| self.read_bool(field.value));
        let [allow, deny, hide] = effects;
        let allow = allow.and_then(|field| self.read_pairs(field.value, "allow"));
        let deny = deny.and_then(|field| self.read_pairs(field.value, "deny"));
        let hide = hide.and_then(|field| self.read_hide(field.value));
        let (effect, pairs, relation) = match (allow, deny, hide) {
            (Some((pairs, relation)), ..) => (Effect::Allow, pairs, relation),
            (_, Some((pairs, relation)), _) => (Effect::Deny, pairs, relation),
            (_, _, Some((hide, pairs, relation))) => (Effect::Hide(hide), pairs, relation),
            (None, None, None) => return None,
        };
        // A rule without a name, which is reported, still shows references to
        // undeclared groups.
        let (name, shadow) = (name.unwrap_or_default().to_owned(), shadow.unwrap_or(false));
        let (position, switch) = (node.position, false);
        Some(Rule { name, position, effect, shadow, switch, pairs, relation })
    }

    /// Reads the name of a rule. `kind` names this kind of rule in messages. `seen` has the
    /// names of earlier rules, each with its line.
    pub(super) fn read_rule_name<'n>(
        &mut self,
        node: &Node<'_>,
        keys: &Fields<'n, '_>,
        kind: &str,
        seen: &mut HashMap<&'n str, u64>,
    ) -> Option<&'n str> {
        let Some(field) = keys.get("name") else {
            self.add_problem_with_help(
                ProblemCode::MissingKey,
                node.position,
                format!("{kind} needs a `name`"),
                "write a `name` that no other rule has",
            );
            return None;
        };
        let name = self.read_name(field.value, "the name of a rule")?;
        if let Some(line) = seen.get(name) {
            let message = format!("rule {} is already defined in line {line}", quoted(name));
            self.add_problem_with_help(
                ProblemCode::DuplicateRule,
                field.value.position,
                message,
                "rename one of the two rules",
            );
        } else {
            seen.insert(name, field.value.position.line);
        }
        Some(name)
    }

    /// Reports a rule that has no effect, or several.
    fn check_one_effect(
        &mut self,
        node: &Node<'_>,
        keys: &Fields<'_, '_>,
        effects: &[Option<Field<'_, '_>>],
    ) {
        let mut positions: Vec<_> = effects.iter().flatten().map(|field| field.position).collect();
        positions.sort_unstable();
        match positions.as_slice() {
            [] if !keys.has_unknown() => {
                self.add_problem(
                    ProblemCode::MissingKey,
                    node.position,
                    "a rule needs one of `allow`, `deny` and `hide`",
                );
            }
            [_, more @ ..] => {
                for position in more {
                    self.add_problem_with_help(
                        ProblemCode::ConflictingKeys,
                        *position,
                        "a rule has one of `allow`, `deny` and `hide`, not several",
                        "write one rule for each",
                    );
                }
            }
            [] => {}
        }
    }

    fn read_pairs(&mut self, node: &Node<'_>, key: &str) -> Option<(Pairs, Option<Relation>)> {
        let Value::Map(entries) = &node.value else {
            self.add_problem(
                ProblemCode::WrongType,
                node.position,
                format!("expected a map with {VALID_PAIRS}, found {}", node.type_name()),
            );
            return None;
        };
        let fields = self.read_fields(entries, PAIRS_KEYS, PAIRS_KEYS_ELSEWHERE);
        self.read_pairs_of(node.position, &fields, key)
    }

    /// Reads the pairs of a rule, and the relation that it requires. Beside a relation, a
    /// side that is left out contains everyone.
    pub(super) fn read_pairs_of(
        &mut self,
        position: Position,
        keys: &Fields<'_, '_>,
        key: &str,
    ) -> Option<(Pairs, Option<Relation>)> {
        let relation = keys.get("share_room").map(|field| self.read_share_room(field.value));
        let (from, to) = (keys.get("from"), keys.get("to"));
        if let Some(within) = keys.get("within") {
            for other in [from, to].into_iter().flatten() {
                self.add_problem_with_help(
                    ProblemCode::ConflictingKeys,
                    other.position,
                    "`within` excludes `from` and `to`",
                    "write one rule for each",
                );
                self.read_set(other.value);
            }
            let groups = self.read_name(within.value, "a glob over the names of groups")?;
            let (groups, position) = (Glob::new(groups), within.value.position);
            return Some((Pairs::Within { groups, position }, relation));
        }
        match (from, to) {
            _ if relation.is_some() => {}
            (None, None) if !keys.has_unknown() => {
                self.add_problem(
                    ProblemCode::MissingKey,
                    position,
                    format!("`{key}` needs {VALID_PAIRS}"),
                );
            }
            (Some(from), None) => self.add_problem(
                ProblemCode::MissingKey,
                from.position,
                "`from` needs a `to` beside it, or a `share_room`",
            ),
            (None, Some(to)) => self.add_problem(
                ProblemCode::MissingKey,
                to.position,
                "`to` needs a `from` beside it, or a `share_room`",
            ),
            _ => {}
        }
        let from = from.map(|field| self.read_set(field.value));
        let to = to.map(|field| self.read_set(field.value));
        let left_out = match relation {
            Some(_) => SetExpr::Everyone,
            None if from.is_none() && to.is_none() => return None,
            None => SetExpr::nobody(),
        };
        let [from, to] = [from, to].map(|set| set.unwrap_or_else(|| left_out.clone()));
        Some((Pairs::Product { from, to }, relation))
    }
}
