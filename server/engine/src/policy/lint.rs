//! What is valid and yet probably not meant. Few things, each of which somebody
//! would want to know: a warning that is often wrong hides those that are not.

mod coverage;
mod ports;
mod server_names;
mod small_sets;
pub mod synapse;

use self::coverage::RegionCoverage;
use self::small_sets::Few;
use super::RoomSets;
use super::document::{Document, Pairs, SetExpr};
use super::nearest::Nearest;
use super::problem::Problem;
use super::wording::{count, quoted};
use crate::routing::model::ruleset::{Effect, Product, Ruleset, Set};
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::sets::SetId;
use presence_router_ids::{Coverage, Region};

/// Most warnings of one kind.
const MOST: usize = 20;

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
        never(document, ruleset, numbers, rooms),
        unused(document),
        empty_files(document),
        presences(document),
        ports::warnings(document),
        capitals,
        near_names,
    ];
    let mut warnings = Vec::new();
    for mut of_kind in kinds {
        if let Some(first) = of_kind.get(MOST) {
            let more = count(of_kind.len() - MOST, "more warning");
            let more = Problem::new(first.position, format!("from here on, {more} of this kind"));
            of_kind.truncate(MOST);
            of_kind.push(more);
        }
        warnings.extend(of_kind);
    }
    warnings.sort_by_key(|warning| warning.position);
    warnings
}

/// Rules with nobody on one side, or the same one user on both. A group of the
/// directory may have somebody.
fn never<'p>(
    document: &Document,
    ruleset: &'p Ruleset,
    numbers: &[usize],
    rooms: &[RoomSets],
) -> Vec<Problem> {
    let world = RegionCoverage::new(document, ruleset, numbers, Region::WORLD);
    let few = Few::new(ruleset);
    let nobody = |set: &'p Set| {
        world.covered_by(set) == Coverage::Nobody
            || few.of(set).is_some_and(|users| users.is_empty())
    };
    let alone = |product: &'p Product| {
        let (senders, recipients) = (few.of(&product.senders), few.of(&product.recipients));
        senders.is_some_and(|users| users.len() == 1 && Some(users) == recipients)
    };
    let mut warnings = Vec::new();
    for (rule, planned) in document.rules.iter().zip(&ruleset.rules) {
        let products = &planned.products;
        let is_never = |product: &'p Product| {
            nobody(&product.senders) || nobody(&product.recipients) || alone(product)
        };
        // What a switch stands for may well be empty, and is as it should be.
        if rule.switch || !products.iter().all(is_never) {
            continue;
        }
        let why = match (&rule.pairs, products.as_slice()) {
            (Pairs::Product { .. }, [product]) => {
                match (nobody(&product.senders), nobody(&product.recipients)) {
                    (true, true) => "`from` and `to` hold nobody",
                    (true, false) => "`from` holds nobody",
                    (false, true) => "`to` holds nobody",
                    (false, false) => "`from` and `to` hold one user, the same",
                }
            }
            _ if products.iter().any(alone) => "its groups hold one user at most",
            _ => "its groups hold nobody",
        };
        let message = format!("rule {} can never match: {why}", quoted(&rule.name));
        warnings.push(Problem::new(rule.position, message));
    }
    for (rule, sets) in document.rooms.iter().zip(rooms) {
        let empty = |set: Option<SetId>| {
            let set = usize::try_from(set?).ok().and_then(|set| ruleset.groups.get(set))?;
            nobody(set).then_some(())
        };
        let why = match (empty(sets.requester), empty(sets.invites)) {
            (Some(()), _) => "`requester`",
            (None, Some(())) => "`invites`",
            (None, None) => continue,
        };
        let name = quoted(&rule.name);
        let message = format!("rule {name} about rooms can never match: {why} holds nobody");
        warnings.push(Problem::new(rule.position, message));
    }
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
            Problem::new(group.position, message)
        })
        .collect()
}

/// What an export that went wrong leaves behind.
fn empty_files(document: &Document) -> Vec<Problem> {
    let mut warnings = Vec::new();
    document.each_part(&mut |part: &_| {
        if let SetExpr::Members { ids, file, position } = part
            && ids.is_empty()
        {
            let message = format!("the members file {} names nobody", quoted(file));
            warnings.push(Problem::new(*position, message));
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
            let near = nearest.of(value, PRESENCES.iter().copied());
            if let Some(near) = near.filter(|near| *near != &**value) {
                let (value, rule_name) = (quoted(value), quoted(&rule.name));
                let message = format!(
                    "rule {rule_name} names the presence value {value}, which nobody knows; did you mean `{near}`?"
                );
                warnings.push(Problem::new(rule.position, message));
            }
        }
    }
    warnings
}
