//! The time of the next try after a load that failed for a reason that may pass.

use std::time::Duration;

use tokio::time::Instant;
use tracing::info;

/// The first pause after such a load. Each further pause is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// The next try.
#[derive(Debug, Default)]
pub(super) struct Retry {
    due: Option<Instant>,
    /// The pause before the next try or, without one, before the latest try.
    pause: Duration,
}

// === impl Retry ===

impl Retry {
    /// Schedules the next try, if the latest load failed for a reason that may pass.
    pub(super) fn schedule(&mut self, may_pass: bool) {
        if !may_pass {
            *self = Self::default();
            return;
        }
        if self.pause.is_zero() {
            info!(
                "the reason may pass by itself: the daemon retries the load at least every \
                 {MAX_PAUSE:?}, until the load succeeds or fails for a lasting reason"
            );
        }
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, MAX_PAUSE);
        self.due = Some(Instant::now() + self.pause);
    }

    /// Returns the time of the next try, if there is one.
    pub(super) fn next_try(&self) -> Option<Instant> {
        self.due
    }

    /// Clears the time of the next try, because the try begins.
    pub(super) fn begin_try(&mut self) {
        self.due = None;
    }
}
