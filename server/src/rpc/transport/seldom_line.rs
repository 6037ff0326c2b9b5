//! Bounds the log lines about a lasting problem.

use std::time::Duration;

use tokio::time::Instant;

/// Time between two lines about the same problem.
const SELDOM: Duration = Duration::from_secs(60);

/// Lines about one lasting problem: the first at once, and then one a minute.
#[derive(Debug, Default)]
pub(super) struct SeldomLine {
    last: Option<Instant>,
    since_last: u64,
}

// === impl SeldomLine ===

impl SeldomLine {
    /// Counts an occurrence of the problem. Returns the number of occurrences since the last
    /// line, if another line may be written now.
    pub(super) fn count_and_admit(&mut self) -> Option<u64> {
        self.since_last += 1;
        if self.last.is_some_and(|last| last.elapsed() < SELDOM) {
            return None;
        }
        self.last = Some(Instant::now());
        Some(std::mem::take(&mut self.since_last))
    }
}
