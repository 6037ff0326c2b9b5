//! When to load again after a load that failed for a reason that may pass.

use std::time::Duration;

use tokio::time::Instant;
use tracing::info;

/// The first pause after such a load, and the longest: each is twice the one before it.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The next try.
#[derive(Debug, Default)]
pub(super) struct Retry {
    due: Option<Instant>,
    /// The pause before it, or before the latest one.
    pause: Duration,
}

// === impl Retry ===

impl Retry {
    /// Plans the next try, if the latest load failed for a reason that `may_pass`.
    pub(super) fn schedule(&mut self, may_pass: bool) {
        if !may_pass {
            *self = Self::default();
            return;
        }
        let (first, longest) = PAUSES;
        if self.pause.is_zero() {
            info!(
                "the policy will be loaded again and again until that succeeds or says something else"
            );
        }
        self.pause = (self.pause * 2).clamp(first, longest);
        self.due = Some(Instant::now() + self.pause);
    }

    /// The time of the next try, if there is one.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The try is made.
    pub(super) fn begin(&mut self) {
        self.due = None;
    }
}
