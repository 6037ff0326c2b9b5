//! A [`Document`] to the [`Plan`] that routing decides by: names become
//! numbers, and every `within` becomes the groups that it means.
//!
//! What needs more than one place of the file is checked here: that groups are
//! declared, and that none contains itself.

mod order;

use std::collections::HashMap;

use presence_router_proto::glob::Glob;

use super::document::{Document, Pairs, SetExpr};
use super::problem::{Nearest, Place, Problem, quoted};
use crate::routing::plan::{Plan, Product, Rule, Set};

/// The groups of a document by name.
struct Groups<'d> {
    document: &'d Document,

    /// Places in the document.
    places: HashMap<&'d str, usize>,
}

/// A plan, and what its numbers stand for.
pub(super) struct Resolved {
    /// The plan. Its rules are in the document's order.
    pub(super) plan: Plan,

    /// For each group of the plan, its place among the document's groups.
    pub(super) groups: Vec<usize>,
}

/// Makes a plan. It is of use only if no problem is added.
pub(super) fn plan(document: &Document, problems: &mut Vec<Problem>) -> Resolved {
    let groups = Groups::new(document);
    groups.check_declared(problems);

    let references: Vec<_> =
        document.groups.iter().map(|group| groups.references(&group.members)).collect();
    let order = order::order(&references);
    problems.extend(order.cycles.iter().map(|cycle| groups.contains_itself(cycle)));

    let mut numbers = vec![0; document.groups.len()];
    for (number, place) in order.groups.iter().enumerate() {
        if let Some(entry) = numbers.get_mut(*place) {
            *entry = number;
        }
    }
    let number =
        |name: &str| groups.places.get(name).and_then(|place| numbers.get(*place)).copied();

    let members = order.groups.iter().filter_map(|place| document.groups.get(*place));
    let members = members.map(|group| set(&group.members, &number)).collect();

    let mut nearest = Nearest::default();
    let rules = document.rules.iter().map(|rule| {
        let products = match &rule.pairs {
            Pairs::Product { from, to } => {
                vec![Product { senders: set(from, &number), recipients: set(to, &number) }]
            }
            Pairs::Within { groups: glob, place } => {
                let names = groups.within(glob);
                if names.is_empty() {
                    problems.push(groups.none_within(glob, *place, &mut nearest));
                }
                let all = names.into_iter().filter_map(&number);
                all.map(|n| Product { senders: Set::Group(n), recipients: Set::Group(n) }).collect()
            }
        };
        Rule { effect: rule.effect.clone(), shadow: false, products }
    });
    let plan = Plan { rules: rules.collect(), groups: members };
    Resolved { plan, groups: order.groups }
}

// === impl Groups ===

impl<'d> Groups<'d> {
    fn new(document: &'d Document) -> Self {
        let names = document.groups.iter().map(|group| group.name.as_str());
        Self { document, places: names.zip(0..).collect() }
    }

    /// Notes every reference to a group that is not declared.
    fn check_declared(&self, problems: &mut Vec<Problem>) {
        let mut nearest = Nearest::default();
        let mut check = |name: &str, place: Place| {
            if !self.places.contains_key(name) {
                let hint = self.hint(name, &mut nearest);
                let message = format!("group {} is not declared{hint}", quoted(name));
                problems.push(Problem::new(place, message));
            }
        };
        for group in &self.document.groups {
            each_reference(&group.members, &mut check);
        }
        for rule in &self.document.rules {
            if let Pairs::Product { from, to } = &rule.pairs {
                each_reference(from, &mut check);
                each_reference(to, &mut check);
            }
        }
    }

    /// Places of the groups that a set refers to, each once.
    fn references(&self, set: &SetExpr) -> Vec<usize> {
        let mut found = Vec::new();
        each_reference(set, &mut |name, _| found.extend(self.places.get(name)));
        found.sort_unstable();
        found.dedup();
        found
    }

    fn contains_itself(&self, cycle: &[usize]) -> Problem {
        /// A cycle may be as long as there are groups.
        const MOST: usize = 20;
        let groups = || cycle.iter().filter_map(|place| self.document.groups.get(*place));
        let (name, place) =
            groups().next().map(|group| (quoted(&group.name), group.place)).unwrap_or_default();
        let mut names: Vec<_> = groups().take(MOST).map(|group| quoted(&group.name)).collect();
        if let Some(more) = cycle.len().checked_sub(MOST).filter(|more| *more > 0) {
            names.push(format!("({more} more)"));
        }
        let path = names.join(" -> ");
        Problem::new(place, format!("group {name} contains itself: {path} -> {name}"))
    }

    /// Names of the groups that a glob means, in the order of the document.
    fn within(&self, glob: &Glob) -> Vec<&'d str> {
        if glob.is_literal() {
            return self
                .places
                .get_key_value(glob.as_str())
                .map(|(name, _)| *name)
                .into_iter()
                .collect();
        }
        let names = self.document.groups.iter().map(|group| group.name.as_str());
        names.filter(|name| glob.matches(name)).collect()
    }

    fn none_within(&self, glob: &Glob, place: Place, nearest: &mut Nearest) -> Problem {
        let hint = if glob.is_literal() || self.places.is_empty() {
            self.hint(glob.as_str(), nearest)
        } else {
            String::new()
        };
        Problem::new(
            place,
            format!("no group has a name that matches {}{hint}", quoted(glob.as_str())),
        )
    }

    /// What may help with a name that no group has.
    fn hint(&self, name: &str, nearest: &mut Nearest) -> String {
        if self.places.is_empty() {
            return "; no groups are declared".to_owned();
        }
        let names = self.document.groups.iter().map(|group| group.name.as_str());
        match nearest.of(name, names) {
            Some(near) => format!("; did you mean {}?", quoted(near)),
            None => String::new(),
        }
    }
}

/// Calls back for every reference to a group. Recurses no deeper than reading
/// lets sets be.
fn each_reference<'s>(set: &'s SetExpr, found: &mut impl FnMut(&'s str, Place)) {
    match set {
        SetExpr::Group { name, place } => found(name, *place),
        SetExpr::Union(sets) | SetExpr::AllOf(sets) => {
            for set in sets {
                each_reference(set, found);
            }
        }
        SetExpr::Difference { any, except } => {
            each_reference(any, found);
            each_reference(except, found);
        }
        SetExpr::User(_) | SetExpr::Everyone | SetExpr::Server(_) | SetExpr::Match(_) => {}
    }
}

/// A set as routing has it. A group without a number is a problem already, and
/// nobody here.
fn set(written: &SetExpr, number: &impl Fn(&str) -> Option<usize>) -> Set {
    match written {
        SetExpr::User(id) => Set::Users(vec![id.as_str().into()]),
        SetExpr::Everyone => Set::Everyone,
        SetExpr::Server(globs) => union(globs.iter().cloned().map(Set::Server).collect()),
        SetExpr::Match(globs) => union(globs.iter().cloned().map(Set::Match).collect()),
        SetExpr::Group { name, .. } => number(name).map_or(Set::Union(Vec::new()), Set::Group),
        SetExpr::Union(sets) => {
            // Users of a list are one set, not a set each.
            let user = |set: &SetExpr| match set {
                SetExpr::User(id) => Some(id.as_str().into()),
                _ => None,
            };
            let users: Vec<Box<str>> = sets.iter().filter_map(user).collect();
            let others = sets.iter().filter(|set| user(set).is_none());
            let users = (!users.is_empty()).then_some(Set::Users(users));
            union(users.into_iter().chain(others.map(|other| set(other, number))).collect())
        }
        SetExpr::AllOf(sets) => {
            Set::Intersection(sets.iter().map(|each| set(each, number)).collect())
        }
        SetExpr::Difference { any, except } => {
            Set::Difference(Box::new(set(any, number)), Box::new(set(except, number)))
        }
    }
}

/// A union, where there is something to unite.
fn union(mut sets: Vec<Set>) -> Set {
    match sets.pop() {
        Some(only) if sets.is_empty() => only,
        Some(last) => {
            sets.push(last);
            Set::Union(sets)
        }
        None => Set::Union(sets),
    }
}
