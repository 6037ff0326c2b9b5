//! Limits of work in the reactor's thread, and of what is kept for it.

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

    /// Returns the number of elements that are left.
    pub(crate) fn left(&self) -> usize {
        self.0
    }
}
