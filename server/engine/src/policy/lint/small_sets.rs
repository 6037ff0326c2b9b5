//! The members of sets that a policy lists itself and that are few: enough to say for
//! certain that a set of names holds nobody, or one user.

use std::cell::Cell;
use std::collections::BTreeSet;

use crate::routing::model::ruleset::{Ruleset, Set};
use presence_router_ids::{UserId, all_of, any_of};

/// Longer lists are not looked at.
const MAX_USERS: usize = 1000;

/// Parts of sets that are looked at in all. A policy can nest them to no end.
const MAX_STEPS: usize = 1_000_000;

/// Users, each at most once.
type Users<'p> = BTreeSet<&'p str>;

/// The sets of a ruleset that are small.
pub(super) struct SmallSets<'p> {
    ruleset: &'p Ruleset,
    /// The users who may be in each group. `None`: it cannot be listed, or is too long.
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

    /// Users of whom nobody else can be in the set. `None`: nothing is known.
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

    /// True if a user is in. `None`: that is up to the directory, or takes too long.
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
