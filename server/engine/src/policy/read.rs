//! A tree of YAML to a [`Document`]: every check that needs one place only.
//!
//! Nothing stops at the first problem. What is wrong is noted, and something
//! harmless stands in for it, so that the rest can be checked; a document of a
//! policy with problems is good for finding more of them, and for nothing else.

mod content;
mod fields;
mod hide;
mod members;
mod room;
mod room_test;
mod rule;
mod scope;
mod set;
pub(super) mod test;

use std::collections::{BTreeSet, HashMap};

use super::document::room::RoomTest;
use super::document::{Document, Group, SetExpr, Test};
use super::problem::{Nearest, Place, Problem, quoted};
use super::yaml::{self, Node, Value};
use super::{Files, LATER};
use crate::routing::model::ruleset::Ids;

const POLICY_KEYS: &[&str] =
    &["groups", "inbound", "local", "ours", "outbound", "rooms", "rules", "servers", "tests"];
const TESTS_KEYS: &[&str] = &["tests"];

/// Reads a policy as far as it can be read. `None`: not far enough to say
/// whether what refers to a group is right.
pub(super) fn document(
    text: &[u8],
    files: &dyn Files,
    problems: &mut Vec<Problem>,
) -> Option<Document> {
    match yaml::parse(text) {
        Ok(root) => Reader::new(files, problems).document(&root),
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

/// Names of the files that a policy names, also where that is a mistake.
pub(super) fn named_files(text: &[u8]) -> BTreeSet<String> {
    fn note(node: &Node<'_>, names: &mut BTreeSet<String>) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| note(item, names)),
            Value::Map(entries) => entries.iter().for_each(|entry| match entry {
                (Node { value: Value::Text(key), .. }, Node { value: Value::Text(name), .. })
                    if key == "members_file" =>
                {
                    names.insert(name.to_string());
                }
                (_, value) => note(value, names),
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }
    let mut names = BTreeSet::new();
    if let Ok(root) = yaml::parse(text) {
        note(&root, &mut names);
    }
    names
}

/// Reads a file of tests alone.
pub(super) fn tests(text: &[u8], problems: &mut Vec<Problem>) -> (Vec<Test>, Vec<RoomTest>) {
    match yaml::parse(text) {
        Ok(root) => Reader::new(&super::NoFiles, problems).tests_alone(&root),
        Err(problem) => {
            problems.push(problem);
            Default::default()
        }
    }
}

/// What reading needs: where to note problems, and other files.
struct Reader<'p> {
    problems: &'p mut Vec<Problem>,
    nearest: Nearest,
    files: &'p dyn Files,
    /// Members files that were read, by name.
    members: HashMap<String, Ids>,
}

impl<'p> Reader<'p> {
    fn new(files: &'p dyn Files, problems: &'p mut Vec<Problem>) -> Self {
        Self { problems, nearest: Nearest::default(), files, members: HashMap::new() }
    }

    fn problem(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Problem::new(place, message));
    }

    fn document(&mut self, root: &Node<'_>) -> Option<Document> {
        if matches!(root.value, Value::Null) {
            let message = "the policy is empty; write `rules: []` to show nobody to anybody";
            self.problem(Place::default(), message);
            return None;
        }
        let Value::Map(entries) = &root.value else {
            let message =
                format!("expected a map with `groups` and `rules`, found {}", root.kind());
            self.problem(root.place, message);
            return None;
        };
        let fields = self.fields(entries, POLICY_KEYS, &[]);
        let groups = match fields.get("groups") {
            Some(field) => self.groups(field.value),
            // With a key that nobody knows, groups may well be under it.
            None => (!fields.has_unknown()).then(Vec::new),
        };
        let mut rules = match fields.get("rules") {
            Some(field) => self.rules(field.value),
            None => {
                let message = "a policy needs `rules`; write `rules: []` to show nobody to anybody";
                self.problem(root.place, message);
                Vec::new()
            }
        };
        let ours = self.scope(&fields, &mut rules);
        let rooms = fields.get("rooms").map_or_else(Vec::new, |field| self.rooms(field.value));
        let tests = fields.get("tests").map(|field| self.tests(field.value));
        let (tests, room_tests) = tests.unwrap_or_default();
        let ours_place = fields.get("ours").map(|field| field.value.place).unwrap_or_default();
        Some(Document { groups: groups?, rules, ours, ours_place, rooms, tests, room_tests })
    }

    fn tests_alone(&mut self, root: &Node<'_>) -> (Vec<Test>, Vec<RoomTest>) {
        if matches!(root.value, Value::Null) {
            let message = "the file is empty; write `tests: []` if it is to have no tests";
            self.problem(Place::default(), message);
            return Default::default();
        }
        let Value::Map(entries) = &root.value else {
            self.problem(root.place, format!("expected a map with `tests`, found {}", root.kind()));
            return Default::default();
        };
        let fields = self.fields(entries, TESTS_KEYS, &[]);
        match fields.get("tests") {
            Some(field) => self.tests(field.value),
            None => {
                if !fields.has_unknown() {
                    self.problem(root.place, "a file of tests needs `tests`");
                }
                Default::default()
            }
        }
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
            let (members, directory) = match self.group_members(value) {
                Some(members) => (members, false),
                None => (SetExpr::nobody(), true),
            };
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
            groups.push(Group { name: name.to_owned(), place: key.place, members, directory });
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
            Value::Number(_) | Value::Bool(_) => {
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

    fn flag(&mut self, node: &Node<'_>) -> Option<bool> {
        let Value::Bool(value) = node.value else {
            let message = format!("expected `true` or `false`, found {}", node.kind());
            self.problem(node.place, message);
            return None;
        };
        Some(value)
    }

    /// A list of at least one. `what` are its items.
    fn list<'n, 'a>(&mut self, node: &'n Node<'a>, what: &str) -> &'n [Node<'a>] {
        match &node.value {
            Value::List(items) if !items.is_empty() => return items,
            Value::List(_) => {
                self.problem(node.place, format!("expected a list of {what}, found an empty one"));
            }
            _ => {
                let message = format!("expected a list of {what}, found {}", node.kind());
                self.problem(node.place, message);
            }
        }
        &[]
    }

    /// One text, or a list of at least one. `what` are its items.
    pub(super) fn one_or_list<'n, 'a>(&mut self, node: &'n Node<'a>, what: &str) -> &'n [Node<'a>] {
        match &node.value {
            Value::Text(_) => std::slice::from_ref(node),
            _ => self.list(node, what),
        }
    }
}
