//! The two ways to fail: the server under test answers what it must not, or nothing can be
//! said about it.

use std::time::Duration;

use crate::cli::output::Failure;

/// Longer than any answer takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// How the server under test differs from what it must do.
#[derive(Debug)]
pub(super) struct Difference(pub(super) String);

/// Nothing can be said about the server under test.
#[derive(Debug)]
pub(super) struct CannotRun(pub(super) String);

/// Waits for something that the server under test must do.
pub(super) async fn wait_for<T>(
    what: &str,
    future: impl Future<Output = T>,
) -> Result<T, Difference> {
    let waited = tokio::time::timeout(PATIENCE, future).await;
    waited.map_err(|_| Difference(format!("{what}: nothing comes for {} s", PATIENCE.as_secs())))
}

// === impl CannotRun ===

impl From<CannotRun> for Failure {
    fn from(CannotRun(why): CannotRun) -> Self {
        Self::cannot_run(why)
    }
}
