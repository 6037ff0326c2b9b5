//! Brings the result of each call to its `done`, in the reactor's thread, exactly once,
//! whatever happens.

use std::sync::Arc;

use pyo3::prelude::*;

use crate::{
    answer_value::{AnswerValue, BuildInSlices as _},
    budget::{Budget, ELEMENTS_PER_TURN},
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

/// Calls `done` of the calls that have finished, oldest first, and returns the exceptions that
/// these raised. Leaves the eventfd readable if anything remains for the next turn.
///
/// One call at a time may take several turns. Meanwhile calls that fit into half of a turn go
/// before it, and others wait.
pub(crate) fn deliver_finished(py: Python<'_>, queue: &Arc<CompletionQueue>) -> Vec<PyErr> {
    let mut raised = Vec::new();
    let mut batch = queue.take(CALLS_PER_TURN);
    let mut begun = batch.take_next_if(|call| call.is_begun);
    let mut rest = Budget::new(if begun.is_some() { ELEMENTS_PER_TURN / 2 } else { 0 });
    let mut budget = Budget::new(ELEMENTS_PER_TURN - rest.left());
    let mut waiting = Vec::new();
    while budget.left() > 0
        && let Some(call) = batch.take_next()
    {
        if begun.is_some() && call.value.work(py) > budget.left() {
            waiting.push(call);
        } else if let Some(call) = deliver(py, queue, call, &mut budget, &mut raised) {
            match begun {
                None => begun = Some(call),
                Some(_) => waiting.push(call),
            }
        }
    }
    rest.add(budget.left());
    if let Some(call) = begun {
        begun = deliver(py, queue, call, &mut rest, &mut raised);
    }
    waiting.into_iter().rev().chain(begun).for_each(|call| batch.put_back(call));
    raised
}

/// Builds the value of a call, and calls its `done`. Returns the call if the budget is used up
/// before.
fn deliver(
    py: Python<'_>,
    queue: &Arc<CompletionQueue>,
    mut call: FinishedCall,
    budget: &mut Budget,
    raised: &mut Vec<PyErr>,
) -> Option<FinishedCall> {
    let built = match call.value.take_reading(py, budget) {
        Ok(Some(reading)) => {
            reading.find_routes(py, Completion::new(queue.clone(), call.done));
            return None;
        }
        Ok(None) => call.value.build(py, budget),
        Err(why) => Err(why),
    };
    let done = match built {
        Ok(Some(value)) => call.done.call1(py, (call.outcome, call.detail, value)),
        Ok(None) => {
            call.is_begun = true;
            return Some(call);
        }
        Err(why) => call.done.call1(py, ("failed", why.to_string(), py.None())),
    };
    raised.extend(done.err());
    None
}
