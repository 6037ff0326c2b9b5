//! Who may be in a set, where a policy lists them itself and they are few: enough to
//! say for certain that a set of names holds nobody, or one user.

use std::cell::Cell;
use std::collections::BTreeSet;

use crate::routing::model::ruleset::{Ruleset, Set};
use presence_router_ids::{UserId, all_of, any_of};

/// Longer lists are not looked at.
const MOST_USERS: usize = 1000;

/// Parts of sets that are looked at in all. A policy can nest them to no end.
const MOST_STEPS: usize = 1_000_000;

/// Users, each at most once.
type Users<'p> = BTreeSet<&'p str>;

/// What a policy lists itself.
pub(super) struct Few<'p> {
    ruleset: &'p Ruleset,
    /// Who may be in each group. `None`: it cannot be listed, or is too long.
    groups: Vec<Option<Users<'p>>>,
    steps: Cell<usize>,
}

// === impl Few ===

impl<'p> Few<'p> {
    pub(super) fn new(ruleset: &'p Ruleset) -> Self {
        let groups = Vec::with_capacity(ruleset.groups.len());
        let mut few = Self { ruleset, groups, steps: Cell::new(MOST_STEPS) };
        // A group refers only to groups before it.
        for set in &ruleset.groups {
            let users = few.of(set);
            few.groups.push(users);
        }
        few
    }

    /// Nobody else can be in the set. `None`: nothing is known.
    pub(super) fn of(&self, set: &'p Set) -> Option<Users<'p>> {
        let users = match set {
            Set::Users(ids) if ids.len() <= MOST_USERS => ids.iter().collect(),
            Set::Group(number) => self.groups.get(*number)?.clone()?,
            Set::Union(sets) => {
                let mut all = Users::new();
                for set in sets {
                    all.extend(self.of(set)?);
                }
                all
            }
            Set::Intersection(sets) => {
                let mut some = sets.iter().find_map(|set| self.of(set))?;
                some.retain(|user| sets.iter().all(|set| self.holds(set, user) != Some(false)));
                some
            }
            Set::Difference(any, except) => {
                let mut some = self.of(any)?;
                some.retain(|user| self.holds(except, user) != Some(true));
                some
            }
            Set::Users(_) | Set::Everyone | Set::Server(_) | Set::Match(_) | Set::Directory(_) => {
                return None;
            }
        };
        (users.len() <= MOST_USERS).then_some(users)
    }

    /// Whether a user is in. `None`: that is up to the directory, or too long a question.
    fn holds(&self, set: &Set, user: &str) -> Option<bool> {
        self.steps.set(self.steps.get().checked_sub(1)?);
        match set {
            Set::Users(ids) if ids.len() <= MOST_USERS => Some(ids.iter().any(|id| id == user)),
            Set::Users(_) | Set::Directory(_) => None,
            Set::Everyone => Some(true),
            Set::Server(glob) => Some(glob.matches(UserId::parse(user).ok()?.server())),
            Set::Match(pattern) => Some(pattern.matches(user)),
            Set::Group(number) => self.holds(self.ruleset.groups.get(*number)?, user),
            Set::Union(sets) => any_of(sets.iter().map(|set| self.holds(set, user))),
            Set::Intersection(sets) => all_of(sets.iter().map(|set| self.holds(set, user))),
            Set::Difference(any, except) => {
                let not = self.holds(except, user).map(|is_in| !is_in);
                all_of([self.holds(any, user), not])
            }
        }
    }
}
