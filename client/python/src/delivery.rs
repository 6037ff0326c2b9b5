//! Delivers the results of calls in the reactor's thread: some in each turn.

use std::sync::Arc;

use pyo3::prelude::*;

use crate::{
    answer_value::BuildInSlices as _,
    budget::{Budget, ELEMENTS_PER_TURN},
    completion::{Completion, CompletionQueue, FinishedCall},
    find::find_routes,
};

/// Calls whose `done` runs in one turn of the reactor, at most: each continues a request of
/// Synapse, which takes tens of microseconds.
const CALLS_PER_TURN: usize = 100;

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
        if begun.is_some() && !call.value.fits(py, budget.left()) {
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
            find_routes(py, reading, Completion::new(queue.clone(), call.done));
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
