//! Turns a tree of YAML into a [`Document`], with every check that needs one place of the
//! text only.
//!
//! Reading does not stop at the first problem: it reports the problem, puts a harmless
//! value in place of the wrong one, and checks the rest. The document of a policy with
//! problems serves to find further problems, and no other purpose.

mod content;
mod fields;
mod given_rooms;
mod globs;
mod hide;
mod members;
mod policy_tests;
mod room;
mod room_cases;
mod room_effects;
mod room_ids;
mod rule;
mod set;
mod share_room;
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

/// The help for a policy that lacks rules.
const WRITE_NO_RULES: &str = "write `rules: []` to show nobody to anybody";

/// The help for a text that is no user id.
const WRITE_A_USER_ID: &str = "write a whole user id such as `@bob:example.org`";

/// The help for an item that its list has twice.
const REMOVE_ONE: &str = "remove one of the two";

/// The help for a file that lacks tests.
const WRITE_NO_TESTS: &str = "write `tests: []` for a file without tests";

const POLICY_KEYS: &[&str] =
    &["groups", "inbound", "local", "ours", "outbound", "rooms", "rules", "servers", "tests"];
const TESTS_KEYS: &[&str] = &["tests"];

/// Reads a document: collects problems, and reads other files.
pub(super) struct Reader<'p> {
    problems: &'p mut Vec<Problem>,
    nearest: Nearest,
    files: &'p dyn Files,
    /// Ids of the members files read so far, by name.
    members: HashMap<String, Ids>,
}

impl<'p> Reader<'p> {
    pub(super) fn new(files: &'p dyn Files, problems: &'p mut Vec<Problem>) -> Self {
        Self { problems, nearest: Nearest::default(), files, members: HashMap::new() }
    }

    fn add_problem(&mut self, code: ProblemCode, position: Position, message: impl Into<String>) {
        self.problems.push(Problem::new(code, position, message));
    }

    fn add_problem_with_help(
        &mut self,
        code: ProblemCode,
        position: Position,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.problems.push(Problem::new(code, position, message).with_help(help));
    }

    pub(super) fn read_document(&mut self, root: &Node<'_>) -> Option<Document> {
        if matches!(root.value, Value::Null) {
            let message = "the policy is empty";
            self.add_problem_with_help(
                ProblemCode::EmptyFile,
                Position::default(),
                message,
                WRITE_NO_RULES,
            );
            return None;
        }
        let Value::Map(entries) = &root.value else {
            let message =
                format!("expected a map with `groups` and `rules`, found {}", root.type_name());
            self.add_problem(ProblemCode::WrongType, root.position, message);
            return None;
        };
        let fields = self.read_fields(entries, POLICY_KEYS, &[]);
        let groups = match fields.get("groups") {
            Some(field) => self.read_groups(field.value),
            // An unknown key may be a misspelt `groups`.
            None => (!fields.has_unknown()).then(Vec::new),
        };
        let mut rules = match fields.get("rules") {
            Some(field) => self.read_rules(field.value),
            None => {
                let message = "a policy needs `rules`";
                self.add_problem_with_help(
                    ProblemCode::MissingKey,
                    root.position,
                    message,
                    WRITE_NO_RULES,
                );
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
            let message = "the file of tests is empty";
            self.add_problem_with_help(
                ProblemCode::EmptyFile,
                Position::default(),
                message,
                WRITE_NO_TESTS,
            );
            return Default::default();
        }
        let Value::Map(entries) = &root.value else {
            self.add_problem(
                ProblemCode::WrongType,
                root.position,
                format!("expected a map with `tests`, found {}", root.type_name()),
            );
            return Default::default();
        };
        let fields = self.read_fields(entries, TESTS_KEYS, &[]);
        match fields.get("tests") {
            Some(field) => self.read_tests(field.value),
            None => {
                if !fields.has_unknown() {
                    self.add_problem_with_help(
                        ProblemCode::MissingKey,
                        root.position,
                        "a file of tests needs `tests`",
                        WRITE_NO_TESTS,
                    );
                }
                Default::default()
            }
        }
    }

    /// Reads `groups`. `None`: the text may have further groups, which cannot be read.
    fn read_groups(&mut self, node: &Node<'_>) -> Option<Vec<Group>> {
        let Value::Map(entries) = &node.value else {
            let message =
                format!("expected a map of group names and sets, found {}", node.type_name());
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
                // Nothing can refer to a text that is not a valid name.
                complete &= matches!(key.value, Value::Text(_));
                continue;
            };
            if let Some(line) = seen.get(name) {
                let message = format!("group {} is already declared in line {line}", quoted(name));
                let help = "rename one of the two groups, or merge their members";
                self.add_problem_with_help(
                    ProblemCode::DuplicateGroup,
                    key.position,
                    message,
                    help,
                );
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

    /// Reads a name that a group may have, in its declaration or in a reference.
    fn read_group_name<'n>(&mut self, node: &'n Node<'_>) -> Option<&'n str> {
        let name = self.read_name(node, "the name of a group")?;
        if name.contains(['*', '?']) {
            let message = format!("{} is a glob, not the name of a group", quoted(name));
            let help = "name each group: globs over names are valid in `within` only";
            self.add_problem_with_help(ProblemCode::UnexpectedGlob, node.position, message, help);
            return None;
        }
        Some(name)
    }

    /// Reads a name of any kind: a text without control characters that is not blank.
    fn read_name<'n>(&mut self, node: &'n Node<'_>, what: &str) -> Option<&'n str> {
        let name = self.read_text(node, what)?;
        if name.trim().is_empty() {
            self.add_problem(ProblemCode::EmptyText, node.position, format!("{what} is empty"));
            return None;
        }
        if name.contains(char::is_control) {
            let message = format!("{what}, {}, has a control character", quoted(name));
            self.add_problem_with_help(
                ProblemCode::ControlCharacter,
                node.position,
                message,
                "remove the character",
            );
            return None;
        }
        Some(name)
    }

    fn read_text<'n>(&mut self, node: &'n Node<'_>, what: &str) -> Option<&'n str> {
        match &node.value {
            Value::Text(text) => Some(text),
            Value::Number(_) | Value::Bool(_) => {
                let message = format!("expected {what}, found {}", node.type_name());
                self.add_problem_with_help(
                    ProblemCode::WrongType,
                    node.position,
                    message,
                    "put the value in quotes",
                );
                None
            }
            Value::Null | Value::List(_) | Value::Map(_) => {
                self.add_problem(
                    ProblemCode::WrongType,
                    node.position,
                    format!("expected {what}, found {}", node.type_name()),
                );
                None
            }
        }
    }

    fn read_bool(&mut self, node: &Node<'_>) -> Option<bool> {
        let Value::Bool(value) = node.value else {
            let message = format!("expected `true` or `false`, found {}", node.type_name());
            self.add_problem(ProblemCode::WrongType, node.position, message);
            return None;
        };
        Some(value)
    }

    /// Reads a list of at least one item. `what` describes the items in messages.
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
                let message = format!("expected a list of {what}, found {}", node.type_name());
                self.add_problem(ProblemCode::WrongType, node.position, message);
            }
        }
        &[]
    }

    /// Reads one text, or a list of at least one item. `what` describes the items in
    /// messages.
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
