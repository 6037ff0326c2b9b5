//! A tree of YAML to a [`Document`]: every check that needs one place only.
//!
//! Nothing stops at the first problem. What is wrong is noted, and something
//! harmless stands in for it, so that the rest can be checked; a document of a
//! policy with problems is good for finding more of them, and for nothing else.

mod content;
mod fields;
mod globs;
mod hide;
mod members;
mod policy_tests;
mod room;
mod room_cases;
mod room_effects;
mod rule;
mod set;
mod switches;

use std::collections::HashMap;

use crate::policy::document::room::RoomTest;
use crate::policy::document::{Document, Group, SetExpr, Test};
use crate::policy::files::Files;
use crate::policy::nearest::Nearest;
use crate::policy::parse::yaml::{Node, Value};
use crate::policy::problem::{Position, Problem, ProblemCode};
use crate::policy::wording::quoted;
use crate::routing::model::ruleset::Ids;

/// The reason why a key of a later version is not valid.
const UNSUPPORTED: &str = "not supported by this version";

const POLICY_KEYS: &[&str] =
    &["groups", "inbound", "local", "ours", "outbound", "rooms", "rules", "servers", "tests"];
const TESTS_KEYS: &[&str] = &["tests"];

/// Reads a document: collects problems, and reads other files.
pub(super) struct Reader<'p> {
    problems: &'p mut Vec<Problem>,
    nearest: Nearest,
    files: &'p dyn Files,
    /// Members files that were read, by name.
    members: HashMap<String, Ids>,
}

impl<'p> Reader<'p> {
    pub(super) fn new(files: &'p dyn Files, problems: &'p mut Vec<Problem>) -> Self {
        Self { problems, nearest: Nearest::default(), files, members: HashMap::new() }
    }

    fn add_problem(&mut self, code: ProblemCode, position: Position, message: impl Into<String>) {
        self.problems.push(Problem::new(code, position, message));
    }

    pub(super) fn read_document(&mut self, root: &Node<'_>) -> Option<Document> {
        if matches!(root.value, Value::Null) {
            let message = "the policy is empty; write `rules: []` to show nobody to anybody";
            self.add_problem(ProblemCode::EmptyFile, Position::default(), message);
            return None;
        }
        let Value::Map(entries) = &root.value else {
            let message =
                format!("expected a map with `groups` and `rules`, found {}", root.kind());
            self.add_problem(ProblemCode::WrongType, root.position, message);
            return None;
        };
        let fields = self.read_fields(entries, POLICY_KEYS, &[]);
        let groups = match fields.get("groups") {
            Some(field) => self.read_groups(field.value),
            // With a key that nobody knows, groups may well be under it.
            None => (!fields.has_unknown()).then(Vec::new),
        };
        let mut rules = match fields.get("rules") {
            Some(field) => self.read_rules(field.value),
            None => {
                let message = "a policy needs `rules`; write `rules: []` to show nobody to anybody";
                self.add_problem(ProblemCode::MissingKey, root.position, message);
                Vec::new()
            }
        };
        let ours = self.read_switches(&fields, &mut rules);
        let rooms =
            fields.get("rooms").map_or_else(Vec::new, |field| self.read_room_rules(field.value));
        let tests = fields.get("tests").map(|field| self.read_tests(field.value));
        let (tests, room_tests) = tests.unwrap_or_default();
        let ours_position =
            fields.get("ours").map(|field| field.value.position).unwrap_or_default();
        Some(Document { groups: groups?, rules, ours, ours_position, rooms, tests, room_tests })
    }

    pub(super) fn read_tests_file(&mut self, root: &Node<'_>) -> (Vec<Test>, Vec<RoomTest>) {
        if matches!(root.value, Value::Null) {
            let message = "the file is empty; write `tests: []` if it is to have no tests";
            self.add_problem(ProblemCode::EmptyFile, Position::default(), message);
            return Default::default();
        }
        let Value::Map(entries) = &root.value else {
            self.add_problem(
                ProblemCode::WrongType,
                root.position,
                format!("expected a map with `tests`, found {}", root.kind()),
            );
            return Default::default();
        };
        let fields = self.read_fields(entries, TESTS_KEYS, &[]);
        match fields.get("tests") {
            Some(field) => self.read_tests(field.value),
            None => {
                if !fields.has_unknown() {
                    self.add_problem(
                        ProblemCode::MissingKey,
                        root.position,
                        "a file of tests needs `tests`",
                    );
                }
                Default::default()
            }
        }
    }

    /// `None`: there may be groups more than could be read.
    fn read_groups(&mut self, node: &Node<'_>) -> Option<Vec<Group>> {
        let Value::Map(entries) = &node.value else {
            let message = format!("expected a map of group names and sets, found {}", node.kind());
            self.add_problem(ProblemCode::WrongType, node.position, message);
            return None;
        };
        let mut groups = Vec::with_capacity(entries.len());
        let mut seen: HashMap<&str, u64> = HashMap::with_capacity(entries.len());
        let mut complete = true;
        for (key, value) in entries {
            let (members, directory) = match self.read_group_members(value) {
                Some(members) => (members, false),
                None => (SetExpr::nobody(), true),
            };
            let Some(name) = self.read_group_name(key) else {
                // A text that is no name cannot be referred to either.
                complete &= matches!(key.value, Value::Text(_));
                continue;
            };
            if let Some(line) = seen.get(name) {
                let message = format!("group {} is already declared in line {line}", quoted(name));
                self.add_problem(ProblemCode::DuplicateGroup, key.position, message);
            } else {
                seen.insert(name, key.position.line);
            }
            groups.push(Group {
                name: name.to_owned(),
                position: key.position,
                members,
                directory,
            });
        }
        complete.then_some(groups)
    }

    /// A name that a group may have, wherever it stands.
    fn read_group_name<'n>(&mut self, node: &'n Node<'_>) -> Option<&'n str> {
        let name = self.read_name(node, "the name of a group")?;
        if name.contains(['*', '?']) {
            let message = format!(
                "{} is not the name of a group: globs are valid in `within` only",
                quoted(name)
            );
            self.add_problem(ProblemCode::UnexpectedGlob, node.position, message);
            return None;
        }
        Some(name)
    }

    /// A name of anything: some text that fits on a line.
    fn read_name<'n>(&mut self, node: &'n Node<'_>, what: &str) -> Option<&'n str> {
        let name = self.read_text(node, what)?;
        if name.trim().is_empty() {
            self.add_problem(ProblemCode::EmptyText, node.position, format!("{what} is empty"));
            return None;
        }
        if name.contains(char::is_control) {
            let message = format!("{} is not {what}: it holds a control character", quoted(name));
            self.add_problem(ProblemCode::ControlCharacter, node.position, message);
            return None;
        }
        Some(name)
    }

    fn read_text<'n>(&mut self, node: &'n Node<'_>, what: &str) -> Option<&'n str> {
        match &node.value {
            Value::Text(text) => Some(text),
            Value::Number(_) | Value::Bool(_) => {
                let message = format!("expected {what}, found {}; put it in quotes", node.kind());
                self.add_problem(ProblemCode::WrongType, node.position, message);
                None
            }
            Value::Null | Value::List(_) | Value::Map(_) => {
                self.add_problem(
                    ProblemCode::WrongType,
                    node.position,
                    format!("expected {what}, found {}", node.kind()),
                );
                None
            }
        }
    }

    fn read_bool(&mut self, node: &Node<'_>) -> Option<bool> {
        let Value::Bool(value) = node.value else {
            let message = format!("expected `true` or `false`, found {}", node.kind());
            self.add_problem(ProblemCode::WrongType, node.position, message);
            return None;
        };
        Some(value)
    }

    /// A list of at least one. `what` are its items.
    fn read_list<'n, 'a>(&mut self, node: &'n Node<'a>, what: &str) -> &'n [Node<'a>] {
        match &node.value {
            Value::List(items) if !items.is_empty() => return items,
            Value::List(_) => {
                self.add_problem(
                    ProblemCode::EmptyList,
                    node.position,
                    format!("expected a list of {what}, found an empty one"),
                );
            }
            _ => {
                let message = format!("expected a list of {what}, found {}", node.kind());
                self.add_problem(ProblemCode::WrongType, node.position, message);
            }
        }
        &[]
    }

    /// One text, or a list of at least one. `what` are its items.
    pub(super) fn read_one_or_list<'n, 'a>(
        &mut self,
        node: &'n Node<'a>,
        what: &str,
    ) -> &'n [Node<'a>] {
        match &node.value {
            Value::Text(_) => std::slice::from_ref(node),
            _ => self.read_list(node, what),
        }
    }
}
