//! The latest load, if it failed: the reason, and the time of the first failure.

use std::sync::Arc;
use std::time::SystemTime;

use super::load_error::LoadError;

/// The failed loads since the latest successful one.
#[derive(Clone, Debug)]
pub struct FailedLoad {
    /// The time of the first failure.
    pub since: SystemTime,
    /// The time of the latest failure.
    pub latest: SystemTime,
    /// The reason for the latest failure.
    pub error: Arc<LoadError>,
    /// True if another try may succeed although no file changes.
    pub may_pass: bool,
}

// === impl FailedLoad ===

impl FailedLoad {
    /// Adds one more failure to the failures before it.
    pub(super) fn with_next_failure(
        before: Option<&Self>,
        error: Arc<LoadError>,
        may_pass: bool,
    ) -> Self {
        let latest = wall_clock();
        Self { since: before.map_or(latest, |before| before.since), latest, error, may_pass }
    }
}

/// Returns the wall-clock time, for people only.
#[expect(clippy::disallowed_methods, reason = "shown to people, and decides nothing")]
pub(super) fn wall_clock() -> SystemTime {
    SystemTime::now()
}
