//! Warnings about what is valid and probably not meant. Few kinds, each of which an
//! author wants to know: a warning that is often wrong hides those that are right.

mod coverage;
mod never_matches;
mod ports;
mod server_names;
mod small_sets;
pub mod synapse;

use super::RoomSets;
use super::document::{Document, Pairs, SetExpr};
use super::nearest::Nearest;
use super::problem::{Problem, ProblemCode};
use super::wording::{count, quoted};
use crate::routing::model::ruleset::{Effect, Ruleset};
use crate::routing::snapshot::Snapshot;

/// Most warnings of one kind.
const MAX_OF_KIND: usize = 20;

/// The presence values that there are.
const PRESENCES: &[&str] = &["busy", "offline", "online", "unavailable"];

/// All warnings about a policy without problems, in the order of their positions.
pub(super) fn warnings(
    document: &Document,
    ruleset: &Ruleset,
    numbers: &[usize],
    rooms: &[RoomSets],
    snapshot: &Snapshot,
) -> Vec<Problem> {
    let [capitals, near_names] = server_names::warnings(document, snapshot);
    let kinds = [
        never_matches::warnings(document, ruleset, numbers, rooms),
        unused(document),
        empty_files(document),
        presences(document),
        ports::warnings(document),
        capitals,
        near_names,
    ];
    let mut warnings = Vec::new();
    for mut of_kind in kinds {
        if let Some(first) = of_kind.get(MAX_OF_KIND) {
            let more = count(of_kind.len() - MAX_OF_KIND, "more warning");
            let more = Problem::new(
                first.code,
                first.position,
                format!("from here on, {more} of this kind"),
            );
            of_kind.truncate(MAX_OF_KIND);
            of_kind.push(more);
        }
        warnings.extend(of_kind);
    }
    warnings.sort_by_key(|warning| warning.position);
    warnings
}

fn unused(document: &Document) -> Vec<Problem> {
    let mut used = std::collections::HashSet::new();
    let mut note = |part: &_| {
        if let SetExpr::Group { name, .. } = part {
            used.insert(name.clone());
        }
    };
    document.each_part(&mut note);
    // The subject of a test counts as a use, too.
    document.tests.iter().for_each(|test| test.subject.each_part(&mut note));
    let globs = document.rules.iter().filter_map(|rule| match &rule.pairs {
        Pairs::Within { groups, .. } => Some(groups),
        Pairs::Product { .. } => None,
    });
    let globs: Vec<_> = globs.collect();
    let unused = document.groups.iter().filter(|group| {
        !used.contains(&group.name) && !globs.iter().any(|glob| glob.matches(&group.name))
    });
    unused
        .map(|group| {
            let name = quoted(&group.name);
            let message = format!("group {name} is used by no rule, no test and no other group");
            Problem::new(ProblemCode::UnusedGroup, group.position, message)
        })
        .collect()
}

/// Warnings about empty members files, which a failed export leaves behind.
fn empty_files(document: &Document) -> Vec<Problem> {
    let mut warnings = Vec::new();
    document.each_part(&mut |part: &_| {
        if let SetExpr::Members { ids, file, position } = part
            && ids.is_empty()
        {
            let message = format!("the members file {} names nobody", quoted(file));
            warnings.push(Problem::new(ProblemCode::EmptyMembersFile, *position, message));
        }
    });
    warnings
}

/// Any text may be a presence value one day, but not one that is nearly one of
/// today's.
fn presences(document: &Document) -> Vec<Problem> {
    let mut nearest = Nearest::default();
    let mut warnings = Vec::new();
    for rule in &document.rules {
        let Effect::Hide(hide) = &rule.effect else { continue };
        for value in &hide.unless {
            let near = nearest.find(value, PRESENCES.iter().copied());
            if let Some(near) = near.filter(|near| *near != &**value) {
                let (value, rule_name) = (quoted(value), quoted(&rule.name));
                let message = format!(
                    "rule {rule_name} names the presence value {value}, which nobody knows; did you mean `{near}`?"
                );
                warnings.push(Problem::new(ProblemCode::UnknownPresence, rule.position, message));
            }
        }
    }
    warnings
}
