//! The bytes that the sets of a stream take. It knows no sets.

use crate::ProtocolViolation;

/// Bytes of user ids and expressions that are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// 0: no bound.
    pub(super) bound: u64,
    pub(super) used: u64,
}

// === impl Budget ===

impl Budget {
    /// A daemon that counts a little differently, or retires a set just after it
    /// defined the next, must not be taken for one that ignores the budget.
    fn limit(self) -> u64 {
        (self.bound / 4).saturating_add(self.bound).saturating_add(64 * 1024)
    }

    /// Counts more bytes.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), ProtocolViolation> {
        self.used = self.used.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if self.bound != 0 && self.used > self.limit() {
            return Err(ProtocolViolation::OverBudget(self.bound));
        }
        Ok(())
    }

    /// Counts bytes that are kept no more, and returns their number.
    pub(super) fn give_back(&mut self, bytes: usize) -> u64 {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.used = self.used.saturating_sub(bytes);
        bytes
    }
}
