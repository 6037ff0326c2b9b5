//! Brings the result of each call to its `done`, in the reactor's thread, exactly once,
//! whatever happens.

use std::sync::Arc;

use pyo3::prelude::*;

use crate::{
    answer_value::{AnswerValue, BuildInSlices as _},
    budget::Budget,
    finished_calls::FinishedCalls,
};

/// Calls whose `done` runs in one turn of the reactor, at most: each continues a request of
/// Synapse, which takes tens of microseconds.
const CALLS_PER_TURN: usize = 100;

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
    /// True if a part of the value is built.
    is_begun: bool,
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
            queue.push(FinishedCall { done, outcome, detail, value, is_begun: false });
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.push("failed", "the call was abandoned".to_owned(), AnswerValue::Nothing);
    }
}

/// Calls `done` of the calls that have finished, and returns the exceptions that these raised:
/// oldest first, but a call whose value takes several turns is behind those that do not. Leaves
/// the eventfd readable if anything remains for the next turn.
pub(crate) fn deliver_finished(py: Python<'_>, queue: &Arc<CompletionQueue>) -> Vec<PyErr> {
    let mut raised = Vec::new();
    let mut budget = Budget::of_turn();
    let mut batch = queue.take(CALLS_PER_TURN);
    batch.sort_by_key(|call| call.is_begun);
    let mut begun = Vec::new();
    // Without a budget, a call is not even begun.
    while budget.left() > 0
        && let Some(mut call) = batch.take_next()
    {
        match call.value.take_reading(py, &mut budget) {
            Ok(None) => {}
            Ok(Some(reading)) => {
                reading.find_routes(py, Completion::new(queue.clone(), call.done));
                continue;
            }
            Err(why) => {
                raised.extend(call.done.call1(py, ("failed", why.to_string(), py.None())).err());
                continue;
            }
        }
        let sent = match call.value.build(py, &mut budget) {
            Ok(Some(value)) => call.done.call1(py, (call.outcome, call.detail, value)),
            Ok(None) => {
                call.is_begun = true;
                begun.push(call);
                continue;
            }
            Err(why) => call.done.call1(py, ("failed", why.to_string(), py.None())),
        };
        raised.extend(sent.err());
    }
    begun.into_iter().rev().for_each(|call| batch.put_back(call));
    raised
}
