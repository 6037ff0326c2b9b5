//! The number of different relations that the rules of a policy require.

use std::collections::HashSet;

use crate::policy::document::Document;
use crate::policy::problem::{Problem, ProblemCode};

/// Most different relations. Every answer carries the conditions of the rules that match, and
/// a homeserver evaluates each of them for the rooms that two users share.
const MAX_RELATIONS: usize = 100;

/// Returns the problem of the first rule whose relation is one too many.
pub(super) fn excess_problem(document: &Document) -> Option<Problem> {
    let mut known = HashSet::new();
    let rule = document.rules.iter().find(|rule| {
        known.extend(&rule.relation);
        known.len() > MAX_RELATIONS
    })?;
    let message = format!(
        "the rules up to here have more than {MAX_RELATIONS} different values of `share_room`"
    );
    let help = "write the same conditions in several rules, or fewer rules";
    Some(Problem::new(ProblemCode::TooManyRelations, rule.position, message).with_help(help))
}
