//! Expressions for sets of users.

use super::fields::{Field, Fields};
use super::globs;
use super::{Reader, WRITE_A_USER_ID};
use crate::policy::document::{Named, SetExpr};
use crate::policy::parse::yaml::{Node, Value};
use crate::policy::problem::{Position, ProblemCode};
use crate::policy::wording::quoted;
use presence_router_ids::UserId;

const SET_KEYS: &[&str] = &["all_of", "any", "except", "group", "match", "members_file", "server"];
const SET_KEYS_ELSEWHERE: &[(&str, &str)] = &[
    ("directory", "the directory fills a whole group, in `groups`, and not a part of a set"),
    SHARE_ROOM_ELSEWHERE,
];
/// Whether two users share a room is no property of one of them.
const SHARE_ROOM_ELSEWHERE: (&str, &str) = (
    "share_room",
    "`share_room` belongs in a rule, beside `from` and `to` or `within`, since it is about two users",
);
const GROUP_KEYS: &[&str] =
    &["all_of", "any", "directory", "except", "group", "match", "members_file", "server"];
const FORMS: &str = "`server`, `match`, `group`, `members_file`, `all_of`, or `any` with `except`";

/// Maximum nesting of sets. Reading and all later steps need stack for each level, and an
/// author who comes near the limit is better served by groups.
const MAX_DEPTH: usize = 32;

impl Reader<'_> {
    /// Reads a set. Returns the empty set in place of an invalid one.
    pub(super) fn read_set(&mut self, node: &Node<'_>) -> SetExpr {
        self.read_valid_set(node).unwrap_or_else(SetExpr::nobody)
    }

    /// Reads a set. `None`: no part of the set is valid.
    pub(super) fn read_valid_set(&mut self, node: &Node<'_>) -> Option<SetExpr> {
        self.read_set_at(node, 1)
    }

    /// Reads the members of a group. `None`: the directory fills it.
    pub(super) fn read_group_members(&mut self, node: &Node<'_>) -> Option<SetExpr> {
        let Value::Map(entries) = &node.value else { return Some(self.read_set(node)) };
        let fields = self.read_fields(entries, GROUP_KEYS, &[SHARE_ROOM_ELSEWHERE]);
        let form = self.read_set_form(node, &fields, 1);
        let Some(directory) = fields.get("directory") else {
            return Some(form.unwrap_or_else(SetExpr::nobody));
        };
        if form.is_some() {
            self.add_problem_with_help(
                ProblemCode::ConflictingKeys,
                directory.position,
                "a group with `directory: true` has no other members",
                "declare another group for the rest, and a third for both",
            );
        } else if self.read_bool(directory.value) == Some(false) {
            self.add_problem_with_help(
                ProblemCode::DirectoryFalse,
                directory.position,
                "`directory: false` does not define any members",
                "write `[]` for a group without members",
            );
        }
        None
    }

    fn read_set_at(&mut self, node: &Node<'_>, depth: usize) -> Option<SetExpr> {
        if depth > MAX_DEPTH {
            let message = format!("sets are nested more than {MAX_DEPTH} deep here");
            self.add_problem_with_help(
                ProblemCode::TooDeep,
                node.position,
                message,
                "declare a group for the inner part and refer to it",
            );
            return None;
        }
        match &node.value {
            Value::Text(text) => self.read_named_set(text, node.position),
            Value::List(items) => Some(SetExpr::Union(
                items.iter().filter_map(|i| self.read_set_at(i, depth + 1)).collect(),
            )),
            Value::Map(entries) => {
                let fields = self.read_fields(entries, SET_KEYS, SET_KEYS_ELSEWHERE);
                self.read_set_form(node, &fields, depth)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                self.add_problem(
                    ProblemCode::WrongType,
                    node.position,
                    format!("expected a set, found {}", node.type_name()),
                );
                None
            }
        }
    }

    fn read_named_set(&mut self, text: &str, position: Position) -> Option<SetExpr> {
        if text == "everyone" {
            return Some(SetExpr::Everyone);
        }
        let name = quoted(text);
        if !text.starts_with('@') {
            // The help shows the group's name only if the name needs no quotes.
            let group = if is_plain(text) { text } else { ".." };
            let message = format!("{name} is not a set");
            let help = if text.contains(['*', '?']) {
                "write a glob of server names as `{ server: .. }`, and a pattern of user ids as `{ match: .. }`"
                    .to_owned()
            } else {
                format!(
                    "write a user id such as `@bob:example.org`, `everyone`, or `{{ group: {group} }}`"
                )
            };
            self.add_problem_with_help(ProblemCode::NotASet, position, message, help);
            return None;
        }
        // Historical user ids may contain these characters, but here the author means a
        // pattern, and would get a rule that silently matches nobody.
        if text.contains(['*', '?']) {
            let message = format!("{name} is a pattern, not a user id");
            let help = "write a pattern as `{ match: .. }`";
            self.add_problem_with_help(ProblemCode::UnexpectedGlob, position, message, help);
            return None;
        }
        match UserId::parse(text) {
            Ok(_) => Some(SetExpr::User(Named { id: text.to_owned(), position })),
            Err(error) => {
                self.add_problem_with_help(
                    ProblemCode::NotAUserId,
                    position,
                    format!("{name} is not a user id: {error}"),
                    WRITE_A_USER_ID,
                );
                None
            }
        }
    }

    /// Reads a set that is a map. `None`: no part of the set is valid.
    fn read_set_form(
        &mut self,
        node: &Node<'_>,
        fields: &Fields<'_, '_>,
        depth: usize,
    ) -> Option<SetExpr> {
        let forms = self.read_set_forms(fields, depth);
        if forms.len() > 1 {
            let message = format!("a set has one form only: {FORMS}");
            self.add_problem_with_help(
                ProblemCode::ConflictingKeys,
                node.position,
                message,
                "write a list of sets",
            );
        } else if !fields.has_known() && !fields.has_unknown() {
            self.add_problem(
                ProblemCode::MissingKey,
                node.position,
                format!("a set needs one of {FORMS}"),
            );
        }
        let mut valid: Vec<_> = forms.into_iter().flatten().collect();
        if valid.len() > 1 { Some(SetExpr::Union(valid)) } else { valid.pop() }
    }

    /// Reads every form that a set has; a valid set has one. `None`: no part of the form
    /// is valid.
    fn read_set_forms(&mut self, fields: &Fields<'_, '_>, depth: usize) -> Vec<Option<SetExpr>> {
        let mut forms = Vec::new();
        if let Some(field) = fields.get("server") {
            let globs = self.read_globs(field.value, "a server glob", globs::parse_server_glob);
            forms.push(globs.map(SetExpr::Server));
        }
        if let Some(field) = fields.get("match") {
            let patterns = self.read_globs(field.value, "a pattern", globs::parse_user_glob);
            forms.push(patterns.map(SetExpr::Match));
        }
        if let Some(field) = fields.get("group") {
            let position = field.value.position;
            let name = self.read_group_name(field.value);
            forms.push(name.map(|name| SetExpr::Group { name: name.to_owned(), position }));
        }
        if let Some(field) = fields.get("members_file") {
            forms.push(self.read_members_file(field.value));
        }
        if let Some(field) = fields.get("all_of") {
            forms.push(self.read_all_of(field.value, depth));
        }
        let (any, except) = (fields.get("any"), fields.get("except"));
        if any.is_some() || except.is_some() {
            forms.push(self.read_difference(any, except, depth));
        }
        forms
    }

    fn read_difference(
        &mut self,
        any: Option<Field<'_, '_>>,
        except: Option<Field<'_, '_>>,
        depth: usize,
    ) -> Option<SetExpr> {
        match (any, except) {
            (Some(any), None) => self.add_problem(
                ProblemCode::MissingKey,
                any.position,
                "`any` needs an `except` beside it",
            ),
            (None, Some(except)) => {
                self.add_problem(
                    ProblemCode::MissingKey,
                    except.position,
                    "`except` needs an `any` beside it",
                );
            }
            _ => {}
        }
        let any = any.and_then(|field| self.read_set_at(field.value, depth + 1));
        let except = except.and_then(|field| self.read_set_at(field.value, depth + 1));
        // One of the two alone still shows references to undeclared groups.
        match (any, except) {
            (Some(any), Some(except)) => {
                Some(SetExpr::Difference { any: Box::new(any), except: Box::new(except) })
            }
            (any, except) => any.or(except),
        }
    }

    fn read_all_of(&mut self, node: &Node<'_>, depth: usize) -> Option<SetExpr> {
        match &node.value {
            Value::List(items) if items.is_empty() => {
                self.add_problem(
                    ProblemCode::EmptyList,
                    node.position,
                    "expected at least one set, found an empty list",
                );
                None
            }
            Value::List(items) => Some(SetExpr::AllOf(
                items.iter().filter_map(|i| self.read_set_at(i, depth + 1)).collect(),
            )),
            _ => {
                let message = format!("expected a list of sets, found {}", node.type_name());
                self.add_problem(ProblemCode::WrongType, node.position, message);
                None
            }
        }
    }
}

/// True if a text certainly needs no quotes in YAML.
fn is_plain(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(plain)
}
