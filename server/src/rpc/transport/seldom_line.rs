//! Bounds the lines about a trouble that goes on.

use std::time::Duration;

use tokio::time::Instant;

/// Time between two lines about the same trouble.
const SELDOM: Duration = Duration::from_secs(60);

/// Lines about one thing that goes on: the first at once, and then one a minute.
#[derive(Debug, Default)]
pub(super) struct SeldomLine {
    last: Option<Instant>,
    since_last: u64,
}

// === impl SeldomLine ===

impl SeldomLine {
    /// Counts something that happens now. The number since the last line, if there
    /// may be another one.
    pub(super) fn admit(&mut self) -> Option<u64> {
        self.since_last += 1;
        if self.last.is_some_and(|last| last.elapsed() < SELDOM) {
            return None;
        }
        self.last = Some(Instant::now());
        Some(std::mem::take(&mut self.since_last))
    }
}
