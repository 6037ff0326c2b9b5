//! A tree of YAML to a [`Document`]: every check that needs one place only.
//!
//! Nothing stops at the first problem. What is wrong is noted, and something
//! harmless stands in for it, so that the rest can be checked; a document of a
//! policy with problems is good for finding more of them, and for nothing else.

mod fields;
mod set;

use std::collections::HashMap;

use presence_router_proto::glob::Glob;

use super::document::{Document, Group, Pairs, Rule, SetExpr};
use super::problem::{Nearest, Place, Problem, quoted};
use super::yaml::{self, Node, Value};
use crate::routing::plan::Effect;

const POLICY_KEYS: &[&str] = &["groups", "rules"];
const POLICY_KEYS_LATER: &[&str] = &["inbound", "local", "ours", "outbound", "tests"];
const RULE_KEYS: &[&str] = &["allow", "deny", "name"];
const RULE_KEYS_LATER: &[&str] = &["hide", "shadow", "subscriptions"];
const PAIRS_KEYS: &[&str] = &["from", "to", "within"];
const PAIRS_KEYS_LATER: &[&str] = &["mutual", "subscriptions"];

/// Reads a policy as far as it can be read. `None`: not far enough to say
/// whether what refers to a group is right.
pub(super) fn document(text: &[u8], problems: &mut Vec<Problem>) -> Option<Document> {
    let root = match yaml::parse(text) {
        Ok(root) => root,
        Err(problem) => {
            problems.push(problem);
            return None;
        }
    };
    Reader { problems, nearest: Nearest::default() }.document(&root)
}

/// What reading needs: where to note problems.
struct Reader<'p> {
    problems: &'p mut Vec<Problem>,
    nearest: Nearest,
}

impl Reader<'_> {
    fn problem(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Problem::new(place, message));
    }

    fn document(&mut self, root: &Node<'_>) -> Option<Document> {
        let Value::Map(entries) = &root.value else {
            let message =
                format!("expected a map with `groups` and `rules`, found {}", root.kind());
            self.problem(root.place, message);
            return None;
        };
        let fields = self.fields(entries, POLICY_KEYS, POLICY_KEYS_LATER);
        let groups = match fields.get("groups") {
            Some(field) => self.groups(field.value),
            // With a key that nobody knows, groups may well be under it.
            None => (!fields.has_unknown()).then(Vec::new),
        };
        let rules = match fields.get("rules") {
            Some(field) => self.rules(field.value),
            None => {
                let message = "a policy needs `rules`; write `rules: []` to show nobody to anybody";
                self.problem(root.place, message);
                Vec::new()
            }
        };
        Some(Document { groups: groups?, rules })
    }

    /// `None`: there may be groups more than could be read.
    fn groups(&mut self, node: &Node<'_>) -> Option<Vec<Group>> {
        let Value::Map(entries) = &node.value else {
            let message = format!("expected a map of group names and sets, found {}", node.kind());
            self.problem(node.place, message);
            return None;
        };
        let mut groups = Vec::with_capacity(entries.len());
        let mut seen: HashMap<&str, u64> = HashMap::with_capacity(entries.len());
        let mut complete = true;
        for (key, value) in entries {
            let members = self.set(value);
            let Some(name) = self.group_name(key) else {
                // A text that is no name cannot be referred to either.
                complete &= matches!(key.value, Value::Text(_));
                continue;
            };
            if let Some(line) = seen.get(name) {
                let message = format!("group {} is already declared in line {line}", quoted(name));
                self.problem(key.place, message);
            } else {
                seen.insert(name, key.place.line);
            }
            groups.push(Group { name: name.to_owned(), place: key.place, members });
        }
        complete.then_some(groups)
    }

    /// A name that a group may have, wherever it stands.
    fn group_name<'n>(&mut self, node: &'n Node<'_>) -> Option<&'n str> {
        let name = self.name(node, "the name of a group")?;
        if name.contains(['*', '?']) {
            let message = format!(
                "{} is not the name of a group: globs are valid in `within` only",
                quoted(name)
            );
            self.problem(node.place, message);
            return None;
        }
        Some(name)
    }

    /// A name of anything: some text that fits on a line.
    fn name<'n>(&mut self, node: &'n Node<'_>, what: &str) -> Option<&'n str> {
        let name = self.text(node, what)?;
        if name.trim().is_empty() {
            self.problem(node.place, format!("{what} is empty"));
            return None;
        }
        if name.contains(char::is_control) {
            let message = format!("{} is not {what}: it holds a control character", quoted(name));
            self.problem(node.place, message);
            return None;
        }
        Some(name)
    }

    fn text<'n>(&mut self, node: &'n Node<'_>, what: &str) -> Option<&'n str> {
        match &node.value {
            Value::Text(text) => Some(text),
            Value::Number | Value::Bool => {
                let message = format!("expected {what}, found {}; put it in quotes", node.kind());
                self.problem(node.place, message);
                None
            }
            Value::Null | Value::List(_) | Value::Map(_) => {
                self.problem(node.place, format!("expected {what}, found {}", node.kind()));
                None
            }
        }
    }

    fn rules(&mut self, node: &Node<'_>) -> Vec<Rule> {
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            Value::Null => {
                let message = "expected a list of rules, found nothing; write `rules: []` to show nobody to anybody";
                self.problem(node.place, message);
                &[]
            }
            _ => {
                let message = format!("expected a list of rules, found {}", node.kind());
                self.problem(node.place, message);
                &[]
            }
        };
        let mut rules = Vec::with_capacity(items.len());
        let mut seen = HashMap::with_capacity(items.len());
        for item in items {
            rules.extend(self.rule(item, &mut seen));
        }
        rules
    }

    fn rule<'n>(&mut self, node: &'n Node<'_>, seen: &mut HashMap<&'n str, u64>) -> Option<Rule> {
        let Value::Map(entries) = &node.value else {
            let message = format!(
                "expected a rule, a map with `name` and `allow` or `deny`, found {}",
                node.kind()
            );
            self.problem(node.place, message);
            return None;
        };
        let fields = self.fields(entries, RULE_KEYS, RULE_KEYS_LATER);
        let name = match fields.get("name") {
            Some(field) => self.name(field.value, "the name of a rule").inspect(|name| {
                if let Some(line) = seen.get(name) {
                    let message =
                        format!("there is already a rule {} in line {line}", quoted(name));
                    self.problems.push(Problem::new(field.value.place, message));
                } else {
                    seen.insert(name, field.value.place.line);
                }
            }),
            None => {
                self.problem(node.place, "a rule needs a `name`");
                None
            }
        };
        let (allow, deny) = (fields.get("allow"), fields.get("deny"));
        match (allow, deny) {
            (Some(allow), Some(deny)) => {
                let message = "a rule has either `allow` or `deny`, not both; make two rules of it";
                self.problem(allow.place.max(deny.place), message);
            }
            (None, None) if !fields.has_unknown() => {
                self.problem(node.place, "a rule needs either `allow` or `deny`");
            }
            _ => {}
        }
        let allowed = allow.and_then(|field| self.pairs(field.value, "allow"));
        let denied = deny.and_then(|field| self.pairs(field.value, "deny"));
        let (effect, pairs) = match (allowed, denied) {
            (Some(pairs), _) => (Effect::Allow, pairs),
            (None, Some(pairs)) => (Effect::Deny, pairs),
            (None, None) => return None,
        };
        // Without its name, which is noted, it is still good for finding
        // groups that are not declared.
        let name = name.unwrap_or_default().to_owned();
        Some(Rule { name, place: node.place, effect, pairs })
    }

    fn pairs(&mut self, node: &Node<'_>, key: &str) -> Option<Pairs> {
        const VALID: &str = "either `from` and `to`, or `within`";
        let Value::Map(entries) = &node.value else {
            self.problem(node.place, format!("expected a map with {VALID}, found {}", node.kind()));
            return None;
        };
        let fields = self.fields(entries, PAIRS_KEYS, PAIRS_KEYS_LATER);
        let (from, to) = (fields.get("from"), fields.get("to"));
        if let Some(within) = fields.get("within") {
            for other in [from, to].into_iter().flatten() {
                let message =
                    "`within` stands alone, without `from` and `to`; make two rules of it";
                self.problem(other.place, message);
                self.set(other.value);
            }
            let groups = self.name(within.value, "a glob over the names of groups")?;
            return Some(Pairs::Within { groups: Glob::new(groups), place: within.value.place });
        }
        match (from, to) {
            (None, None) if !fields.has_unknown() => {
                self.problem(node.place, format!("`{key}` needs {VALID}"));
            }
            (Some(from), None) => self.problem(from.place, "`from` needs a `to` beside it"),
            (None, Some(to)) => self.problem(to.place, "`to` needs a `from` beside it"),
            _ => {}
        }
        let from = from.map(|field| self.set(field.value));
        let to = to.map(|field| self.set(field.value));
        if from.is_none() && to.is_none() {
            return None;
        }
        let nobody = || SetExpr::Union(Vec::new());
        Some(Pairs::Product { from: from.unwrap_or_else(nobody), to: to.unwrap_or_else(nobody) })
    }
}
