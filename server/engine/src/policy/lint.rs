//! Warnings about valid text that is probably a mistake. The kinds are few and matter to
//! every author, since a warning that is often wrong hides the right ones.

mod coverage;
mod never_matches;
mod ports;
mod relations;
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

/// The known presence values.
const PRESENCES: &[&str] = &["busy", "offline", "online", "unavailable"];

/// Returns all warnings about a policy without problems, in the order of their positions.
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
        unused_groups(document),
        empty_members_files(document),
        unknown_presences(document),
        ports::warnings(document),
        capitals,
        near_names,
        relations::warnings(document),
    ];
    let mut warnings = Vec::new();
    for mut of_kind in kinds {
        if let Some(first) = of_kind.get(MAX_OF_KIND) {
            let more = count(of_kind.len() - MAX_OF_KIND, "more warning");
            let more = Problem::new(
                first.code,
                first.position,
                format!("from here on, {more} of this kind"),
            )
            .with_help("correct the ones above first");
            of_kind.truncate(MAX_OF_KIND);
            of_kind.push(more);
        }
        warnings.extend(of_kind);
    }
    warnings.sort_by_key(|warning| warning.position);
    warnings
}

/// Warnings about groups without a reference.
fn unused_groups(document: &Document) -> Vec<Problem> {
    let mut used = std::collections::HashSet::new();
    let mut mark_used = |part: &_| {
        if let SetExpr::Group { name, .. } = part {
            used.insert(name.clone());
        }
    };
    document.each_part(&mut mark_used);
    // The subject of a test counts as a use, too.
    document.tests.iter().for_each(|test| test.subject.each_part(&mut mark_used));
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
            let message = format!("no rule, no test and no other group refers to group {name}");
            Problem::new(ProblemCode::UnusedGroup, group.position, message)
                .with_help("refer to the group, or remove it")
        })
        .collect()
}

/// Warnings about empty members files, which a failed export leaves behind.
fn empty_members_files(document: &Document) -> Vec<Problem> {
    let mut warnings = Vec::new();
    document.each_part(&mut |part: &_| {
        if let SetExpr::Members { ids, file, position } = part
            && ids.is_empty()
        {
            let message = format!("the members file {} lists no users", quoted(file));
            warnings.push(
                Problem::new(ProblemCode::EmptyMembersFile, *position, message)
                    .with_help("export the file again"),
            );
        }
    });
    warnings
}

/// Warnings about presence values that are probably misspelt. Matrix may define any other
/// text one day, but hardly one that is nearly equal to a value of today.
fn unknown_presences(document: &Document) -> Vec<Problem> {
    let mut nearest = Nearest::default();
    let mut warnings = Vec::new();
    for rule in &document.rules {
        let Effect::Hide(hide) = &rule.effect else { continue };
        for value in &hide.unless {
            let near = nearest.find(value, PRESENCES.iter().copied());
            if let Some(near) = near.filter(|near| *near != &**value) {
                let (value, rule_name) = (quoted(value), quoted(&rule.name));
                let message = format!(
                    "rule {rule_name} names the presence value {value}, which Matrix does not define"
                );
                warnings.push(
                    Problem::new(ProblemCode::UnknownPresence, rule.position, message)
                        .with_help(format!("did you mean `{near}`?")),
                );
            }
        }
    }
    warnings
}
