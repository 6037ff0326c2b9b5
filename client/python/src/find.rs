//! Answers that take more than one look at memory: the daemon is asked, or the work takes
//! several turns of the reactor.

use std::sync::{Arc, Mutex};

use presence_router_client::SharedAnswer;
use pyo3::prelude::*;

use crate::{
    answer_value::AnswerValue,
    budget::Budget,
    completion::Completion,
    everyone::Everyone,
    questions::{CallContext, FoundAudiences},
    routes::Routes,
    states_request::StatesRequest,
    synapse_memory::{InterestRequest, SynapseMemory, is_large, lock},
};

/// Everything that answers are made of.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    pub(crate) context: Arc<CallContext>,
    pub(crate) memory: Arc<Mutex<SynapseMemory>>,
}

/// States that are read in slices.
#[derive(Debug)]
pub(crate) struct Reading {
    request: StatesRequest,
    sources: Sources,
}

// === impl Reading ===

impl Reading {
    pub(crate) fn new(request: StatesRequest, sources: Sources) -> Self {
        Self { request, sources }
    }

    /// Reads more states. False: the budget is used up, and another call continues.
    pub(crate) fn read(&mut self, py: Python<'_>, budget: &mut Budget) -> PyResult<bool> {
        self.request.read(py, &self.sources.context, budget)
    }

    /// Finds the routes of the states, after all are read.
    pub(crate) fn find_routes(self, py: Python<'_>, completion: Completion) {
        let Self { request, sources } = self;
        let missing = request.missing_senders();
        if !missing.is_empty() {
            let threads = sources.context.threads.clone();
            threads.spawn(async move {
                let Sources { context, memory } = sources;
                let found = context.find_audiences(missing).await;
                let mut routes = request.into_routes(&found, &context);
                let large = routes.all_large_templates();
                if !large.is_empty() {
                    begin_templates(&mut routes, &large, &context).await;
                }
                let (outcome, detail) = match found.failure {
                    None => ("ok", String::new()),
                    Some(why) => (why.outcome(), why.to_string()),
                };
                completion.finish(outcome, detail, AnswerValue::Routes(Box::new(routes), memory));
            });
            return;
        }
        let Sources { context, memory } = sources;
        let mut routes = request.into_routes(&FoundAudiences::default(), &context);
        let large = routes.large_templates(&lock(&memory, py));
        if large.is_empty() {
            let value = AnswerValue::Routes(Box::new(routes), memory);
            completion.finish("memory", String::new(), value);
            return;
        }
        let threads = context.threads.clone();
        threads.spawn(async move {
            begin_templates(&mut routes, &large, &context).await;
            let value = AnswerValue::Routes(Box::new(routes), memory);
            completion.finish("memory", String::new(), value);
        });
    }
}

/// Begins the templates of large audiences.
async fn begin_templates(routes: &mut Routes, large: &[usize], context: &CallContext) {
    context.evaluations.run(|| routes.begin_templates(large, context)).await;
}

/// Finds the senders that a user may see.
pub(crate) async fn find_interest(
    user_id: String,
    may_be_everyone: bool,
    completion: Completion,
    sources: Sources,
) {
    let Sources { context, memory } = sources;
    let outcome = match context.near_cache.cached_interest(&user_id) {
        Some(_) => "memory",
        None => "ok",
    };
    let answer = match context.find_interest(&user_id).await {
        Ok(answer) => answer,
        Err(why) => return completion.fail(why.outcome(), why.to_string()),
    };
    let local = context.home.is_local(&user_id);
    let everyone = is_everyone(&answer, local && may_be_everyone);
    if local {
        context.known_users.note_answer(&user_id, everyone);
    }
    let value = if everyone {
        AnswerValue::Everyone(Some(Everyone::new(&user_id, answer.hides())))
    } else {
        let mut request = InterestRequest::new(answer);
        if is_large(&request.answer) {
            context.evaluations.run(|| request.begin()).await;
        }
        AnswerValue::Interest(Box::new(request), memory)
    };
    completion.finish(outcome, String::new(), value);
}

/// Returns true if the answer to Synapse is `PRESENCE_ALL_USERS`. Not without a connection: this
/// answer replaces the presence of room-mates, and an outdated one would show too much.
pub(crate) fn is_everyone(answer: &SharedAnswer, may_be_everyone: bool) -> bool {
    may_be_everyone
        && !answer.is_stale()
        && answer.as_set().is_some_and(|senders| senders.is_everyone())
}
