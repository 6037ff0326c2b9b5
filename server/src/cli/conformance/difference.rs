//! The two ways to fail: the server under test gives a wrong answer, or the scenario cannot
//! run.

use std::time::Duration;

use crate::cli::output::Failure;

/// The longest wait for an answer. A server that works answers much sooner.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A difference between the server under test and the contract, in words.
#[derive(Debug)]
pub(super) struct Difference(pub(super) String);

/// The reason for which a scenario cannot run.
#[derive(Debug)]
pub(super) struct CannotRun(pub(super) String);

/// Waits for an action of the server under test. `name` is for the message.
pub(super) async fn wait_for<T>(
    name: &str,
    future: impl Future<Output = T>,
) -> Result<T, Difference> {
    let waited = tokio::time::timeout(ANSWER_TIMEOUT, future).await;
    waited
        .map_err(|_| Difference(format!("{name}: no answer within {} s", ANSWER_TIMEOUT.as_secs())))
}

// === impl CannotRun ===

impl From<CannotRun> for Failure {
    fn from(CannotRun(why): CannotRun) -> Self {
        Self::cannot_run(why)
    }
}
