//! Turns the sets of a document into sets of the ruleset.

use crate::policy::document::SetExpr;
use crate::routing::model::ruleset::{Ids, Set};

/// Resolves a set. A group without a number, which is reported already, becomes the empty
/// set.
pub(super) fn resolve_set(written: &SetExpr, number: &impl Fn(&str) -> Option<usize>) -> Set {
    match written {
        SetExpr::User(user) => users_set([user.id.as_str()]),
        SetExpr::Members { ids, .. } => Set::Users(ids.clone()),
        SetExpr::Everyone => Set::Everyone,
        SetExpr::Server(globs) => union_of(globs.iter().cloned().map(Set::Server).collect()),
        SetExpr::Match(globs) => union_of(globs.iter().cloned().map(Set::Match).collect()),
        SetExpr::Group { name, .. } => number(name).map_or(Set::Union(Vec::new()), Set::Group),
        SetExpr::Union(sets) => {
            // All users of a list become one set, not one set each.
            fn listed_user(set: &SetExpr) -> Option<&str> {
                match set {
                    SetExpr::User(user) => Some(&user.id),
                    _ => None,
                }
            }
            let listed = sets.iter().any(|set| listed_user(set).is_some());
            let listed = listed.then(|| users_set(sets.iter().filter_map(listed_user)));
            let others = sets.iter().filter(|set| listed_user(set).is_none());
            union_of(
                listed.into_iter().chain(others.map(|other| resolve_set(other, number))).collect(),
            )
        }
        SetExpr::AllOf(sets) => {
            Set::Intersection(sets.iter().map(|each| resolve_set(each, number)).collect())
        }
        SetExpr::Difference { any, except } => Set::Difference(
            Box::new(resolve_set(any, number)),
            Box::new(resolve_set(except, number)),
        ),
    }
}

/// A set of ids from the policy's own text, which is much shorter than the limit of a
/// list.
fn users_set<'a>(ids: impl IntoIterator<Item = &'a str>) -> Set {
    Set::Users(Ids::new(ids).unwrap_or_default())
}

/// The union of some sets. The union of one set is the set itself.
fn union_of(mut sets: Vec<Set>) -> Set {
    match sets.pop() {
        Some(only) if sets.is_empty() => only,
        Some(last) => {
            sets.push(last);
            Set::Union(sets)
        }
        None => Set::Union(sets),
    }
}
