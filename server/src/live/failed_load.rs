//! The latest load, if it failed: why, and since when.

use std::sync::Arc;
use std::time::SystemTime;

use super::load_error::LoadError;

/// Loads that failed since the latest one that did not.
#[derive(Clone, Debug)]
pub struct FailedLoad {
    /// When the first of them failed.
    pub since: SystemTime,
    /// When the latest of them failed.
    pub latest: SystemTime,
    /// Why the latest of them failed.
    pub error: Arc<LoadError>,
    /// Whether another try may succeed though no file changes.
    pub may_pass: bool,
}

// === impl FailedLoad ===

impl FailedLoad {
    /// One more load that failed.
    pub(super) fn after(before: Option<&Self>, error: Arc<LoadError>, may_pass: bool) -> Self {
        let latest = wall_clock();
        Self { since: before.map_or(latest, |before| before.since), latest, error, may_pass }
    }
}

/// The time to show to people.
#[expect(clippy::disallowed_methods, reason = "shown to people, and decides nothing")]
pub(super) fn wall_clock() -> SystemTime {
    SystemTime::now()
}
