//! Brings the result of each call to its `done`, in the reactor's thread, exactly once,
//! whatever happens.

use std::sync::Arc;

use pyo3::prelude::*;

use crate::{
    answer_value::{AnswerValue, Budget, BuildInSlices as _},
    finished_calls::FinishedCalls,
};

/// Calls whose `done` runs in one turn of the reactor, at most: each continues a request of
/// Synapse, which takes tens of microseconds.
const CALLS_PER_TURN: usize = 100;

/// Ids and positions that one turn of the reactor converts for Python, at most: this takes
/// about a millisecond.
const ELEMENTS_PER_TURN: usize = 10_000;

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
    done: Py<PyAny>,
    outcome: &'static str,
    detail: String,
    value: AnswerValue,
}

// === impl Completion ===

impl Completion {
    pub(crate) fn new(queue: Arc<CompletionQueue>, done: Py<PyAny>) -> Self {
        Self(Some(Waiting { queue, done }))
    }

    /// Hands over a value. With an outcome other than "ok", it is a part of the answer.
    pub(crate) fn finish(mut self, outcome: &'static str, detail: String, value: AnswerValue) {
        self.push(outcome, detail, value);
    }

    pub(crate) fn fail(mut self, outcome: &'static str, detail: String) {
        self.push(outcome, detail, AnswerValue::Nothing);
    }

    fn push(&mut self, outcome: &'static str, detail: String, value: AnswerValue) {
        if let Some(Waiting { queue, done }) = self.0.take() {
            queue.push(FinishedCall { done, outcome, detail, value });
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.push("failed", "the call was abandoned".to_owned(), AnswerValue::Nothing);
    }
}

/// Calls `done` of the calls that have finished, oldest first, and returns the exceptions that
/// these raised. Leaves the eventfd readable if anything remains for the next turn.
pub(crate) fn deliver_finished(py: Python<'_>, queue: &CompletionQueue) -> Vec<PyErr> {
    let mut raised = Vec::new();
    let mut budget = Budget::new(ELEMENTS_PER_TURN);
    let mut batch = queue.take(CALLS_PER_TURN);
    while let Some(mut call) = batch.take_next() {
        let sent = match call.value.build(py, &mut budget) {
            Ok(Some(value)) => call.done.call1(py, (call.outcome, call.detail, value)),
            Ok(None) => {
                batch.put_back(call);
                break;
            }
            Err(why) => call.done.call1(py, ("failed", why.to_string(), py.None())),
        };
        raised.extend(sent.err());
    }
    raised
}
