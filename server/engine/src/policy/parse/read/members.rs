//! Members files: a user id a line.
//!
//! Made for ten million lines: the ids go into one text, and what is wrong is
//! said for some lines and counted for the rest.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::Reader;
use crate::policy::document::SetExpr;
use crate::policy::parse::yaml::{Node, not_utf8};
use crate::policy::problem::{Position, Problem, ProblemCode};
use crate::policy::wording::quoted;
use crate::routing::model::ruleset::Ids;
use presence_router_ids::UserId;

/// Most lines of one file that are complained about.
const MAX_PROBLEMS: usize = 20;

impl Reader<'_> {
    pub(super) fn read_members_file(&mut self, node: &Node<'_>) -> Option<SetExpr> {
        let file = self.read_name(node, "the name of a file")?.to_owned();
        let ids = match self.members.entry(file.clone()) {
            // Twice is one file, read and complained about once.
            Entry::Occupied(read) => read.get().clone(),
            Entry::Vacant(entry) => match self.files.read(&file) {
                Ok(text) => {
                    let ids = members(&Arc::from(file.as_str()), &text, self.problems);
                    entry.insert(ids).clone()
                }
                Err(error) => {
                    let message =
                        format!("cannot read the members file {}: {error}", quoted(&file));
                    self.add_problem(ProblemCode::MembersFileUnreadable, node.position, message);
                    return None;
                }
            },
        };
        Some(SetExpr::Members { ids, file, position: node.position })
    }
}

fn members(file: &Arc<str>, text: &[u8], problems: &mut Vec<Problem>) -> Ids {
    let text = match std::str::from_utf8(text) {
        Ok(valid) => valid.strip_prefix('\u{feff}').unwrap_or(valid),
        Err(error) => {
            let Problem { code, position, message, .. } = not_utf8(text, error.valid_up_to());
            problems.push(Problem::within(code, file, position, message));
            return Ids::default();
        }
    };
    let (mut bad, mut first_left_out) = (0usize, Position::default());
    let ids = Ids::new((1u64..).zip(text.split('\n')).filter_map(|(number, line)| {
        // No id begins or ends with white space, so what an editor leaves
        // behind and the end of a line on Windows mean nothing.
        let id = line.trim_ascii();
        if id.is_empty() || id.starts_with('#') {
            return None;
        }
        if is_member(id) {
            return Some(id);
        }
        bad += 1;
        let position = Position { line: number, column: column(line, id) };
        // Words for ten million of them would take longer than all the rest.
        if bad <= MAX_PROBLEMS {
            let (code, message) = why_no_member(id);
            problems.push(Problem::within(code, file, position, message));
        } else if bad == MAX_PROBLEMS + 1 {
            first_left_out = position;
        }
        None
    }));
    if bad > MAX_PROBLEMS {
        let more = bad - MAX_PROBLEMS;
        let lines = if more == 1 { "line is" } else { "lines are" };
        let message = format!("from here on, {more} more {lines} not valid");
        problems.push(Problem::within(
            ProblemCode::MoreInvalidLines,
            file,
            first_left_out,
            message,
        ));
    }
    ids.unwrap_or_else(|error| {
        problems.push(Problem::within(
            ProblemCode::TooLarge,
            file,
            Position::default(),
            error.to_string(),
        ));
        Ids::default()
    })
}

fn is_member(id: &str) -> bool {
    UserId::parse(id).is_ok() && !is_pattern(id)
}

/// As in the policy: an author who writes one of these means a pattern.
fn is_pattern(id: &str) -> bool {
    id.contains(['*', '?'])
}

fn why_no_member(id: &str) -> (ProblemCode, String) {
    let name = quoted(id);
    if is_pattern(id) {
        let message = format!(
            "{name} is a pattern, not a user id: write it into the policy, as `{{ match: .. }}`"
        );
        return (ProblemCode::UnexpectedGlob, message);
    }
    let message = match UserId::parse(id) {
        Err(_) if id.contains(" #") => {
            format!("{name} is not a user id: a comment needs a line of its own")
        }
        Err(error) => format!("{name} is not a user id: {error}"),
        Ok(_) => String::new(),
    };
    (ProblemCode::NotAUserId, message)
}

/// The column at which the id begins, in characters, from 1.
fn column(line: &str, id: &str) -> u64 {
    let before = line.len() - line.trim_ascii_start().len();
    debug_assert!(line.get(before..).is_some_and(|rest| rest.starts_with(id)));
    u64::try_from(before).unwrap_or(u64::MAX).saturating_add(1)
}
