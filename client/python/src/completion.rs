//! Brings the result of each call to its `done`, in the reactor's thread, exactly once,
//! whatever happens.

use std::sync::Arc;

use pyo3::prelude::*;

use crate::{answer_value::AnswerValue, finished_calls::FinishedCalls};

/// The queue from the threads to the reactor.
pub(crate) type CompletionQueue = FinishedCalls<FinishedCall>;

/// A caller who waits for a result. Dropped without one (the call panicked, or the threads
/// end), it reports a failure: Synapse waits without a timeout.
#[derive(Debug)]
pub(crate) struct Completion(Option<Waiting>);

#[derive(Debug)]
struct Waiting {
    queue: Arc<CompletionQueue>,
    /// Called in the reactor's thread with outcome, detail, value.
    done: Py<PyAny>,
}

/// The result of a call, for its `done`.
#[derive(Debug)]
pub(crate) struct FinishedCall {
    pub(crate) done: Py<PyAny>,
    pub(crate) outcome: &'static str,
    pub(crate) detail: String,
    pub(crate) value: AnswerValue,
    /// True if a part of the value is built.
    pub(crate) is_begun: bool,
}

// === impl Completion ===

impl Completion {
    pub(crate) fn new(queue: Arc<CompletionQueue>, done: Py<PyAny>) -> Self {
        Self(Some(Waiting { queue, done }))
    }

    /// Hands over a value. With the outcome of a failure, it is a part of the answer.
    pub(crate) fn finish(mut self, outcome: &'static str, detail: String, value: AnswerValue) {
        self.push(outcome, detail, value);
    }

    pub(crate) fn fail(mut self, outcome: &'static str, detail: String) {
        self.push(outcome, detail, AnswerValue::Nothing);
    }

    fn push(&mut self, outcome: &'static str, detail: String, value: AnswerValue) {
        if let Some(Waiting { queue, done }) = self.0.take() {
            queue.push(FinishedCall { done, outcome, detail, value, is_begun: false });
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.push("failed", "the call was abandoned".to_owned(), AnswerValue::Nothing);
    }
}
