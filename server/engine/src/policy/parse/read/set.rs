//! Expressions for sets of users.

use super::Reader;
use super::fields::{Field, Fields};
use super::globs;
use crate::policy::document::{Named, SetExpr};
use crate::policy::parse::yaml::{Node, Value};
use crate::policy::problem::{Position, ProblemCode};
use crate::policy::wording::quoted;
use presence_router_ids::UserId;

const SET_KEYS: &[&str] = &["all_of", "any", "except", "group", "match", "members_file", "server"];
const SET_KEYS_ELSEWHERE: &[(&str, &str)] =
    &[("directory", "it stands for a whole group, in `groups`, and not for a part of a set")];
const GROUP_KEYS: &[&str] =
    &["all_of", "any", "directory", "except", "group", "match", "members_file", "server"];
const FORMS: &str = "`server`, `match`, `group`, `members_file`, `all_of`, or `any` with `except`";

/// Most sets inside each other. Reading, and all that comes after it, needs
/// stack for each; a person who gets near it is better off with groups.
const MAX_DEPTH: usize = 32;

impl Reader<'_> {
    /// Reads a set; nobody stands in for one with problems.
    pub(super) fn read_set(&mut self, node: &Node<'_>) -> SetExpr {
        self.read_valid_set(node).unwrap_or_else(SetExpr::nobody)
    }

    /// Reads a set. `None`: nothing of it is valid.
    pub(super) fn read_valid_set(&mut self, node: &Node<'_>) -> Option<SetExpr> {
        self.read_set_at(node, 1)
    }

    /// Reads the members of a group. `None`: the directory fills it.
    pub(super) fn read_group_members(&mut self, node: &Node<'_>) -> Option<SetExpr> {
        let Value::Map(entries) = &node.value else { return Some(self.read_set(node)) };
        let fields = self.read_fields(entries, GROUP_KEYS, &[]);
        let form = self.read_set_form(node, &fields, 1);
        let Some(directory) = fields.get("directory") else {
            return Some(form.unwrap_or_else(SetExpr::nobody));
        };
        if form.is_some() {
            let message = "the directory fills a group alone; declare another group for the rest, and a third for both";
            self.add_problem(ProblemCode::ConflictingKeys, directory.position, message);
        } else if self.read_bool(directory.value) == Some(false) {
            let message = "`directory: false` says nothing about who is in; write `[]` for nobody";
            self.add_problem(ProblemCode::DirectoryFalse, directory.position, message);
        }
        None
    }

    fn read_set_at(&mut self, node: &Node<'_>, depth: usize) -> Option<SetExpr> {
        if depth > MAX_DEPTH {
            let message = format!(
                "more than {MAX_DEPTH} sets stand inside each other here; declare a group for a part of it"
            );
            self.add_problem(ProblemCode::TooDeep, node.position, message);
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
                    format!("expected a set, found {}", node.kind()),
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
            // As it is to be written, where that needs no quotes.
            let group = if is_plain(text) { text } else { ".." };
            let message = format!(
                "{name} is not a set: write a user id such as `@bob:example.org`, `everyone`, or `{{ group: {group} }}`"
            );
            self.add_problem(ProblemCode::NotASet, position, message);
            return None;
        }
        // Historical user ids may hold these, but who writes one here means a
        // pattern, and would get a rule that quietly matches nobody.
        if text.contains(['*', '?']) {
            let message =
                format!("{name} is a pattern, not a user id: write it as `{{ match: .. }}`");
            self.add_problem(ProblemCode::UnexpectedGlob, position, message);
            return None;
        }
        match UserId::parse(text) {
            Ok(_) => Some(SetExpr::User(Named { id: text.to_owned(), position })),
            Err(error) => {
                self.add_problem(
                    ProblemCode::NotAUserId,
                    position,
                    format!("{name} is not a user id: {error}"),
                );
                None
            }
        }
    }

    /// Reads a set that is a map. `None`: nothing of it is valid.
    fn read_set_form(
        &mut self,
        node: &Node<'_>,
        fields: &Fields<'_, '_>,
        depth: usize,
    ) -> Option<SetExpr> {
        let forms = self.read_set_forms(fields, depth);
        if forms.len() > 1 {
            let message = format!("a set has one form only, {FORMS}; make a list of several");
            self.add_problem(ProblemCode::ConflictingKeys, node.position, message);
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

    /// Reads every form that a set has, which should be one. `None`: nothing of it is
    /// valid.
    fn read_set_forms(&mut self, fields: &Fields<'_, '_>, depth: usize) -> Vec<Option<SetExpr>> {
        let mut forms = Vec::new();
        if let Some(field) = fields.get("server") {
            let globs = self.read_globs(field.value, "a server glob", globs::server_glob);
            forms.push(globs.map(SetExpr::Server));
        }
        if let Some(field) = fields.get("match") {
            let patterns = self.read_globs(field.value, "a pattern", globs::user_glob);
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
        // One of them alone still leads to groups that are not declared.
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
                let message = format!("expected a list of sets, found {}", node.kind());
                self.add_problem(ProblemCode::WrongType, node.position, message);
                None
            }
        }
    }
}

/// True if a text needs no quotes in YAML, as far as that is easy to see.
fn is_plain(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(plain)
}
