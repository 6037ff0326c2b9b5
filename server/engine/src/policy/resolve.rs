//! Turns a [`Document`] into the [`Ruleset`] that routing uses for decisions: numbers
//! replace names, and the matching groups replace each `within`.
//!
//! Also makes the checks that need more than one place of the text: groups are declared,
//! no group contains itself, tests give members only to groups of the directory, and the
//! rules have few different relations.
//! `check_tests` does the last check for a file of tests as well.

mod check_tests;
mod groups;
pub(super) mod open_groups;
mod order;
mod relations;
mod sets;

use std::collections::HashMap;

pub(super) use self::check_tests::check_tests;
use self::groups::Groups;
use self::sets::resolve_set;
use super::RoomSets;
use super::document::{Document, Pairs, SetExpr};
use super::nearest::Nearest;
use super::problem::Problem;
use crate::routing::model::ruleset::{Product, Rule, Ruleset, Set};
use crate::routing::snapshot::keys::{Key, SetId};

/// A ruleset, and the meaning of its numbers.
pub(super) struct Resolved {
    /// The ruleset. Its rules are in the document's order.
    pub(super) ruleset: Ruleset,

    /// For each group of the ruleset, its index among the document's groups. Further groups
    /// of the ruleset are sets of rules about rooms.
    pub(super) groups: Vec<usize>,

    /// The sets of each rule about rooms, in the document's order.
    pub(super) rooms: Vec<RoomSets>,
}

/// Makes a ruleset. The result is valid only if the call adds no problem.
pub(super) fn resolve(document: &Document, problems: &mut Vec<Problem>) -> Resolved {
    let groups = Groups::new(document);
    groups.check_declared(problems);
    problems.extend(relations::excess_problem(document));

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
    let rules = document.rules.iter().map(|rule| Rule {
        effect: rule.effect.clone(),
        shadow: rule.shadow,
        products: resolve_pairs(&rule.pairs, &groups, &number, &mut nearest, problems),
        relation: rule.relation.clone(),
    });
    let ruleset = Ruleset { rules: rules.collect(), groups: members };
    Resolved { ruleset, groups: order.groups, rooms }
}

/// The products of a rule: one, or one for each group that its `within` matches.
fn resolve_pairs(
    pairs: &Pairs,
    groups: &Groups<'_>,
    number: &impl Fn(&str) -> Option<usize>,
    nearest: &mut Nearest,
    problems: &mut Vec<Problem>,
) -> Vec<Product> {
    match pairs {
        Pairs::Product { from, to } => {
            let [senders, recipients] = [from, to].map(|set| resolve_set(set, number));
            vec![Product { senders, recipients }]
        }
        Pairs::Within { groups: glob, position } => {
            let names = groups.matching_groups(glob);
            if names.is_empty() {
                problems.push(groups.no_group_matches(glob, *position, nearest));
            }
            let numbers = names.into_iter().filter_map(number);
            numbers.map(|n| Product { senders: Set::Group(n), recipients: Set::Group(n) }).collect()
        }
    }
}

/// Numbers the sets of rules about rooms. A set that is not a group is appended to the
/// groups: it has no name, and no rule about presence refers to it.
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
