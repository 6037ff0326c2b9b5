//! Limits of work in the reactor's thread.

use presence_router_client::Set;

/// User ids, positions and states that one turn of the reactor handles, at most: the reactor
/// has other work to do. This takes a millisecond or two.
pub(crate) const ELEMENTS_PER_TURN: usize = 10_000;

/// The number of elements that may still be handled in this turn of the reactor.
#[derive(Debug)]
pub(crate) struct Budget(usize);

// === impl Budget ===

impl Budget {
    pub(crate) fn of_turn() -> Self {
        Self::new(ELEMENTS_PER_TURN)
    }

    pub(crate) fn new(elements: usize) -> Self {
        Self(elements)
    }

    /// Counts one element. False: none is left.
    pub(crate) fn spend(&mut self) -> bool {
        self.spend_many(1)
    }

    /// Counts so many elements at once. False, and nothing is counted: they do not fit.
    pub(crate) fn spend_many(&mut self, elements: usize) -> bool {
        match self.0.checked_sub(elements) {
            Some(left) => {
                self.0 = left;
                true
            }
            None => false,
        }
    }

    /// Counts so many elements, or as many as are left, for work that cannot be interrupted.
    pub(crate) fn spend_up_to(&mut self, elements: usize) {
        self.0 = self.0.saturating_sub(elements);
    }

    /// Adds elements.
    pub(crate) fn add(&mut self, elements: usize) {
        self.0 = self.0.saturating_add(elements);
    }

    /// Returns the number of elements that are left.
    pub(crate) fn left(&self) -> usize {
        self.0
    }
}

/// Steps in the evaluation of a set that take as long as the handling of one element.
const STEPS_PER_ELEMENT: usize = 8;

/// Returns the elements that a look at one user counts for: at least 1, and more if the set, or
/// the users of hides, are made of many patterns.
pub(crate) fn work_of_user<'a>(set: &Set, hides: impl Iterator<Item = &'a Set>) -> usize {
    let steps = hides.map(Set::steps).fold(set.steps(), usize::saturating_add);
    1 + steps / STEPS_PER_ELEMENT
}

/// Returns the elements that the evaluation of a set counts for: the users that it lists, each
/// with its hides, and its coverage of so many servers.
pub(crate) fn work_of_evaluation<'a>(
    set: &Set,
    hides: impl Iterator<Item = &'a Set> + Clone,
    servers: usize,
) -> usize {
    let listed = set.listed_users_bound().saturating_mul(1 + hides.clone().count());
    if !set.is_open() {
        return listed;
    }
    let size = hides.map(Set::size).fold(set.size(), usize::saturating_add);
    listed.saturating_add(servers.saturating_mul(1 + size / STEPS_PER_ELEMENT))
}
