//! The members of small sets that the policy lists itself. They prove that a set of listed
//! users is empty, or contains one user.

use std::cell::Cell;
use std::collections::BTreeSet;

use crate::routing::model::ruleset::{Ruleset, Set};
use presence_router_ids::{UserId, all_of, any_of};

/// Most users in a small set. Longer lists count as unknown.
const MAX_USERS: usize = 1000;

/// Budget: the number of set parts that one run examines. A policy can nest sets without
/// end.
const MAX_STEPS: usize = 1_000_000;

/// Users, each at most once.
type Users<'p> = BTreeSet<&'p str>;

/// The small sets of a ruleset.
pub(super) struct SmallSets<'p> {
    ruleset: &'p Ruleset,
    /// For each group, its possible members. `None`: unknown, or too many.
    groups: Vec<Option<Users<'p>>>,
    steps: Cell<usize>,
}

// === impl SmallSets ===

impl<'p> SmallSets<'p> {
    pub(super) fn new(ruleset: &'p Ruleset) -> Self {
        let groups = Vec::with_capacity(ruleset.groups.len());
        let mut this = Self { ruleset, groups, steps: Cell::new(MAX_STEPS) };
        // A group refers only to groups before it.
        for set in &ruleset.groups {
            let users = this.users_of(set);
            this.groups.push(users);
        }
        this
    }

    /// A list that contains every possible member of the set. `None`: unknown.
    pub(super) fn users_of(&self, set: &'p Set) -> Option<Users<'p>> {
        let users = match set {
            Set::Users(ids) if ids.len() <= MAX_USERS => ids.iter().collect(),
            Set::Group(number) => self.groups.get(*number)?.clone()?,
            Set::Union(sets) => {
                let mut all = Users::new();
                for set in sets {
                    all.extend(self.users_of(set)?);
                }
                all
            }
            Set::Intersection(sets) => {
                let mut some = sets.iter().find_map(|set| self.users_of(set))?;
                some.retain(|user| sets.iter().all(|set| self.contains(set, user) != Some(false)));
                some
            }
            Set::Difference(any, except) => {
                let mut some = self.users_of(any)?;
                some.retain(|user| self.contains(except, user) != Some(true));
                some
            }
            Set::Users(_) | Set::Everyone | Set::Server(_) | Set::Match(_) | Set::Directory(_) => {
                return None;
            }
        };
        (users.len() <= MAX_USERS).then_some(users)
    }

    /// True if a set contains a user. `None`: the directory decides, or the budget is
    /// used up.
    fn contains(&self, set: &Set, user: &str) -> Option<bool> {
        self.steps.set(self.steps.get().checked_sub(1)?);
        match set {
            Set::Users(ids) if ids.len() <= MAX_USERS => Some(ids.iter().any(|id| id == user)),
            Set::Users(_) | Set::Directory(_) => None,
            Set::Everyone => Some(true),
            Set::Server(glob) => Some(glob.matches(UserId::parse(user).ok()?.server())),
            Set::Match(pattern) => Some(pattern.matches(user)),
            Set::Group(number) => self.contains(self.ruleset.groups.get(*number)?, user),
            Set::Union(sets) => any_of(sets.iter().map(|set| self.contains(set, user))),
            Set::Intersection(sets) => all_of(sets.iter().map(|set| self.contains(set, user))),
            Set::Difference(any, except) => {
                let not = self.contains(except, user).map(|is_in| !is_in);
                all_of([self.contains(any, user), not])
            }
        }
    }
}
