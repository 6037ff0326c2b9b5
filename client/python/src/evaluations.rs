//! Evaluates large answers without delaying other calls, one at a time.

use std::sync::Arc;

use tokio::{sync::Semaphore, task::block_in_place};

/// The permit for the large evaluations of one process.
#[derive(Clone, Debug)]
pub(crate) struct Evaluations(Arc<Semaphore>);

// === impl Evaluations ===

impl Evaluations {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }

    /// Evaluates a large answer. It waits for other large evaluations without a thread; then
    /// another thread takes over the other calls, so that they do not miss their deadlines.
    pub(crate) async fn run<T>(&self, evaluate: impl FnOnce() -> T) -> T {
        // An error means that the semaphore is closed, and nothing closes it.
        let _permit = self.0.acquire().await;
        block_in_place(evaluate)
    }
}
