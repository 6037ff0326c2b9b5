//! Counts the bytes of a stream's sets. This module knows nothing of sets.

use crate::ProtocolViolation;

/// The number of bytes of user ids and expressions in the store, and its bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// 0: unlimited.
    pub(super) bound: u64,
    pub(super) used: u64,
}

// === impl Budget ===

impl Budget {
    /// Returns the enforced limit, which is higher than the bound: a daemon that counts
    /// slightly differently, or retires a set just after it defined the next, does not
    /// violate the budget.
    fn limit(self) -> u64 {
        (self.bound / 4).saturating_add(self.bound).saturating_add(64 * 1024)
    }

    /// Adds bytes.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), ProtocolViolation> {
        self.used = self.used.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if self.bound != 0 && self.used > self.limit() {
            return Err(ProtocolViolation::OverBudget(self.bound));
        }
        Ok(())
    }

    /// Subtracts released bytes, and returns their number.
    pub(super) fn give_back(&mut self, bytes: usize) -> u64 {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.used = self.used.saturating_sub(bytes);
        bytes
    }
}
