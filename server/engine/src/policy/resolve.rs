//! A [`Document`] to the [`Ruleset`] that routing decides by: names become
//! numbers, and every `within` becomes the groups that it means.
//!
//! What needs more than one place of the file is checked here: that groups are
//! declared, that none contains itself, and that tests can fill those they fill; which
//! `check_tests` does for a file of tests alone, too.

mod check_tests;
pub(super) mod open_groups;
mod order;

use std::collections::HashMap;

use presence_router_ids::Glob;

pub(super) use self::check_tests::check_tests;
use super::RoomSets;
use super::document::{Document, Pairs, SetExpr};
use super::nearest::Nearest;
use super::problem::{Position, Problem};
use super::wording::quoted;
use crate::routing::model::ruleset::{Ids, Product, Rule, Ruleset, Set};
use crate::routing::snapshot::keys::{Key, SetId};

/// The groups of a document by name.
struct Groups<'d> {
    document: &'d Document,

    /// Indices in the document.
    indices: HashMap<&'d str, usize>,
}

/// A ruleset, and what its numbers stand for.
pub(super) struct Resolved {
    /// The ruleset. Its rules are in the document's order.
    pub(super) ruleset: Ruleset,

    /// For each group of the ruleset, its index among the document's groups. Those
    /// beyond are sets of rules about rooms.
    pub(super) groups: Vec<usize>,

    /// For each rule about rooms of the document, its sets.
    pub(super) rooms: Vec<RoomSets>,
}

/// Makes a ruleset. It is of use only if no problem is added.
pub(super) fn resolve(document: &Document, problems: &mut Vec<Problem>) -> Resolved {
    let groups = Groups::new(document);
    groups.check_declared(problems);

    let references: Vec<_> =
        document.groups.iter().map(|group| groups.references_of(&group.members)).collect();
    let order = order::order_groups(&references);
    problems.extend(order.cycles.iter().map(|cycle| groups.cycle_problem(cycle)));
    let (tests, room_tests) = (&document.tests, &document.room_tests);
    check_tests(document, &order.groups, tests, room_tests, problems);

    let mut numbers = vec![0; document.groups.len()];
    for (number, index) in order.groups.iter().enumerate() {
        if let Some(entry) = numbers.get_mut(*index) {
            *entry = number;
        }
    }
    let number =
        |name: &str| groups.indices.get(name).and_then(|index| numbers.get(*index)).copied();

    let members = order.groups.iter().filter_map(|index| document.groups.get(*index));
    let members = members.map(|group| match group.directory {
        true => Set::Directory(group.name.as_str().into()),
        false => resolve_set(&group.members, &number),
    });
    let mut members: Vec<Set> = members.collect();
    let rooms = resolve_room_sets(document, &number, &mut members);

    let mut nearest = Nearest::default();
    let rules = document.rules.iter().map(|rule| {
        let products = match &rule.pairs {
            Pairs::Product { from, to } => {
                vec![Product {
                    senders: resolve_set(from, &number),
                    recipients: resolve_set(to, &number),
                }]
            }
            Pairs::Within { groups: glob, position } => {
                let names = groups.matching_groups(glob);
                if names.is_empty() {
                    problems.push(groups.no_group_matches(glob, *position, &mut nearest));
                }
                let all = names.into_iter().filter_map(&number);
                all.map(|n| Product { senders: Set::Group(n), recipients: Set::Group(n) }).collect()
            }
        };
        Rule { effect: rule.effect.clone(), shadow: rule.shadow, products }
    });
    let ruleset = Ruleset { rules: rules.collect(), groups: members };
    Resolved { ruleset, groups: order.groups, rooms }
}

// === impl Groups ===

impl<'d> Groups<'d> {
    fn new(document: &'d Document) -> Self {
        let names = document.groups.iter().map(|group| group.name.as_str());
        Self { document, indices: names.zip(0..).collect() }
    }

    /// Notes every reference to a group that is not declared.
    fn check_declared(&self, problems: &mut Vec<Problem>) {
        let mut nearest = Nearest::default();
        let mut check = |name: &str, position: Position| {
            if !self.indices.contains_key(name) {
                let hint = self.did_you_mean(name, &mut nearest);
                let message = format!("group {} is not declared{hint}", quoted(name));
                problems.push(Problem::new(position, message));
            }
        };
        self.document.each_part(&mut |part| {
            if let SetExpr::Group { name, position } = part {
                check(name, *position);
            }
        });
    }

    /// Indices of the groups that a set refers to, each once.
    fn references_of(&self, set: &SetExpr) -> Vec<usize> {
        let mut found = Vec::new();
        set.each_part(&mut |part| {
            if let SetExpr::Group { name, .. } = part {
                found.extend(self.indices.get(name.as_str()));
            }
        });
        found.sort_unstable();
        found.dedup();
        found
    }

    fn cycle_problem(&self, cycle: &[usize]) -> Problem {
        /// A cycle may be as long as there are groups.
        const MAX_NAMES: usize = 20;
        let groups = || cycle.iter().filter_map(|index| self.document.groups.get(*index));
        let (name, position) =
            groups().next().map(|group| (quoted(&group.name), group.position)).unwrap_or_default();
        let mut names: Vec<_> = groups().take(MAX_NAMES).map(|group| quoted(&group.name)).collect();
        if let Some(more) = cycle.len().checked_sub(MAX_NAMES).filter(|more| *more > 0) {
            names.push(format!("({more} more)"));
        }
        let path = names.join(" -> ");
        Problem::new(position, format!("group {name} contains itself: {path} -> {name}"))
    }

    /// Names of the groups that a glob means, in the order of the document.
    fn matching_groups(&self, glob: &Glob) -> Vec<&'d str> {
        if glob.is_literal() {
            return self
                .indices
                .get_key_value(glob.as_str())
                .map(|(name, _)| *name)
                .into_iter()
                .collect();
        }
        let names = self.document.groups.iter().map(|group| group.name.as_str());
        names.filter(|name| glob.matches(name)).collect()
    }

    fn no_group_matches(&self, glob: &Glob, position: Position, nearest: &mut Nearest) -> Problem {
        let hint = if glob.is_literal() || self.indices.is_empty() {
            self.did_you_mean(glob.as_str(), nearest)
        } else {
            String::new()
        };
        Problem::new(
            position,
            format!("no group has a name that matches {}{hint}", quoted(glob.as_str())),
        )
    }

    /// What may help with a name that no group has.
    fn did_you_mean(&self, name: &str, nearest: &mut Nearest) -> String {
        if self.indices.is_empty() {
            return "; no groups are declared".to_owned();
        }
        let names = self.document.groups.iter().map(|group| group.name.as_str());
        match nearest.find(name, names) {
            Some(near) => format!("; did you mean {}?", quoted(near)),
            None => String::new(),
        }
    }
}

/// Numbers for the sets of rules about rooms. Those that are no groups are put
/// after them: groups without a name, which no rule of presence refers to.
fn resolve_room_sets(
    document: &Document,
    number: &impl Fn(&str) -> Option<usize>,
    groups: &mut Vec<Set>,
) -> Vec<RoomSets> {
    let mut added: HashMap<Set, usize> = HashMap::new();
    let mut id_of = |written: &SetExpr| -> SetId {
        let index = match resolve_set(written, number) {
            Set::Group(group) => group,
            other => *added.entry(other).or_insert_with_key(|set| {
                groups.push(set.clone());
                groups.len() - 1
            }),
        };
        SetId::from_index(index)
    };
    let rules = document.rooms.iter().map(|rule| RoomSets {
        requester: rule.when.requester.as_ref().map(&mut id_of),
        invites: rule.when.invites.as_ref().map(&mut id_of),
    });
    rules.collect()
}

/// A set as routing has it. A group without a number is a problem already, and
/// nobody here.
fn resolve_set(written: &SetExpr, number: &impl Fn(&str) -> Option<usize>) -> Set {
    match written {
        SetExpr::User(user) => users_set([user.id.as_str()]),
        SetExpr::Members { ids, .. } => Set::Users(ids.clone()),
        SetExpr::Everyone => Set::Everyone,
        SetExpr::Server(globs) => union_of(globs.iter().cloned().map(Set::Server).collect()),
        SetExpr::Match(globs) => union_of(globs.iter().cloned().map(Set::Match).collect()),
        SetExpr::Group { name, .. } => number(name).map_or(Set::Union(Vec::new()), Set::Group),
        SetExpr::Union(sets) => {
            // Users of a list are one set, not a set each.
            fn user(set: &SetExpr) -> Option<&str> {
                match set {
                    SetExpr::User(user) => Some(&user.id),
                    _ => None,
                }
            }
            let listed = sets.iter().any(|set| user(set).is_some());
            let listed = listed.then(|| users_set(sets.iter().filter_map(user)));
            let others = sets.iter().filter(|set| user(set).is_none());
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

/// Ids that stand in the policy's own text, which is much shorter than what a
/// list can hold.
fn users_set<'a>(ids: impl IntoIterator<Item = &'a str>) -> Set {
    Set::Users(Ids::new(ids).unwrap_or_default())
}

/// A union, where there is something to unite.
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
