//! Members files: one user id on each line.
//!
//! Made for ten million lines: one text holds all ids, and the first invalid lines are
//! reported and the others counted.

use std::collections::hash_map::Entry;
use std::io;
use std::sync::Arc;

use super::{Reader, WRITE_A_USER_ID};
use crate::policy::document::SetExpr;
use crate::policy::parse::yaml::{Node, not_utf8};
use crate::policy::problem::{Position, Problem, ProblemCode};
use crate::policy::wording::quoted;
use crate::routing::model::ruleset::Ids;
use presence_router_ids::UserId;

/// Most invalid lines of one file that are reported one by one.
const MAX_PROBLEMS: usize = 20;

impl Reader<'_> {
    pub(super) fn read_members_file(&mut self, node: &Node<'_>) -> Option<SetExpr> {
        let file = self.read_name(node, "the name of a file")?.to_owned();
        let ids = match self.members.entry(file.clone()) {
            // A file that is named twice is read and reported once.
            Entry::Occupied(read) => read.get().clone(),
            Entry::Vacant(entry) => match self.files.read(&file) {
                Ok(text) => {
                    let ids = parse_members(&Arc::from(file.as_str()), &text, self.problems);
                    entry.insert(ids).clone()
                }
                Err(error) => {
                    let message =
                        format!("cannot read the members file {}: {error}", quoted(&file));
                    let help = match error.kind() {
                        // The error of `NoFiles`, whose policy has no folder to look in.
                        io::ErrorKind::Unsupported => "list the users in the policy itself",
                        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                            "correct the name or the permissions"
                        }
                        // Other errors are rare, or name their remedy themselves.
                        _ => "",
                    };
                    let code = ProblemCode::MembersFileUnreadable;
                    self.add_problem_with_help(code, node.position, message, help);
                    return None;
                }
            },
        };
        Some(SetExpr::Members { ids, file, position: node.position })
    }
}

fn parse_members(file: &Arc<str>, text: &[u8], problems: &mut Vec<Problem>) -> Ids {
    let text = match std::str::from_utf8(text) {
        Ok(valid) => valid.strip_prefix('\u{feff}').unwrap_or(valid),
        Err(error) => {
            problems.push(not_utf8(text, error.valid_up_to()).within(file));
            return Ids::default();
        }
    };
    let (mut bad, mut first_left_out) = (0usize, Position::default());
    let ids = Ids::new((1u64..).zip(text.split('\n')).filter_map(|(number, line)| {
        // No id begins or ends with white space, so spaces left behind by an editor
        // and Windows line ends mean nothing.
        let id = line.trim_ascii();
        if id.is_empty() || id.starts_with('#') {
            return None;
        }
        if is_member(id) {
            return Some(id);
        }
        bad += 1;
        let position = Position { line: number, column: column_of_id(line, id) };
        // Messages for ten million lines would take longer than all other work.
        if bad <= MAX_PROBLEMS {
            problems.push(invalid_member(id, position).within(file));
        } else if bad == MAX_PROBLEMS + 1 {
            first_left_out = position;
        }
        None
    }));
    if bad > MAX_PROBLEMS {
        let more = bad - MAX_PROBLEMS;
        let lines = if more == 1 { "line is" } else { "lines are" };
        let message = format!("from here on, {more} more {lines} not valid");
        let problem = Problem::new(ProblemCode::MoreInvalidLines, first_left_out, message);
        problems.push(problem.with_help("correct the lines above first").within(file));
    }
    ids.unwrap_or_else(|error| {
        let problem = Problem::new(ProblemCode::TooLarge, Position::default(), error.to_string());
        problems.push(problem.with_help("split the file into several").within(file));
        Ids::default()
    })
}

fn is_member(id: &str) -> bool {
    UserId::parse(id).is_ok() && !is_pattern(id)
}

/// True if the author means a pattern. The policy itself has the same rule.
fn is_pattern(id: &str) -> bool {
    id.contains(['*', '?'])
}

/// The problem of a line that is no member.
fn invalid_member(id: &str, position: Position) -> Problem {
    let name = quoted(id);
    if is_pattern(id) {
        let message = format!("{name} is a pattern, not a user id");
        return Problem::new(ProblemCode::UnexpectedGlob, position, message)
            .with_help("write a pattern into the policy, as `{ match: .. }`");
    }
    let message = match UserId::parse(id) {
        Err(error) => format!("{name} is not a user id: {error}"),
        // Not reached: the caller found the line invalid.
        Ok(_) => String::new(),
    };
    let problem = Problem::new(ProblemCode::NotAUserId, position, message);
    problem.with_help(match id.contains(" #") {
        true => "give a comment a line of its own",
        false => WRITE_A_USER_ID,
    })
}

/// The column at which the id begins, in characters, from 1.
fn column_of_id(line: &str, id: &str) -> u64 {
    let before = line.len() - line.trim_ascii_start().len();
    debug_assert!(line.get(before..).is_some_and(|rest| rest.starts_with(id)));
    u64::try_from(before).unwrap_or(u64::MAX).saturating_add(1)
}
