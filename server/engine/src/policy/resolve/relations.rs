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
    let mut first_excess = None;
    // A homeserver evaluates the relations of shadow rules as well, which are counted.
    for rule in &document.rules {
        known.extend(&rule.relation);
        if known.len() > MAX_RELATIONS {
            first_excess.get_or_insert(rule);
        }
    }
    let (rule, found) = (first_excess?, known.len());
    let message = format!(
        "the rules, shadow rules included, have {found} different values of `share_room`; at most {MAX_RELATIONS} are possible"
    );
    let help = "use the same `share_room` in more of the rules, or remove rules";
    Some(Problem::new(ProblemCode::TooManyRelations, rule.position, message).with_help(help))
}
