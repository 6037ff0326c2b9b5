//! Answers that take more than one look at memory: the daemon is asked, or the work takes
//! several turns of the reactor.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use presence_router_client::{CachedAnswer, SharedAnswer};
use pyo3::prelude::*;
use tokio::time::Instant;

use crate::{
    answer_value::AnswerValue,
    completion::Completion,
    everyone::Everyone,
    failure::Failure,
    large_answers::{LargeAnswers, TooLate},
    questions::{CallContext, FoundAudiences},
    reading::{Reading, Sources},
    routes::Routes,
    synapse_memory::{InterestRequest, SynapseMemory, lock},
};

/// Finds the routes of states that are all read.
pub(crate) fn find_routes(py: Python<'_>, reading: Reading, completion: Completion) {
    let Reading { request, sources: Sources { context, memory, large_answers } } = reading;
    let start = Instant::now();
    let threads = context.threads.clone();
    if !request.is_answered() {
        threads.spawn(async move {
            let found = context.find_audiences(request.missing_senders(), start).await;
            let mut routes = request.into_routes(&found, &context);
            let large = routes.large_templates(&lock_without_python(&memory));
            let too_late = begin_templates(&mut routes, &large, &context, &large_answers).await;
            finish_routes(completion, "ok", found.failure.or(too_late), routes, memory);
        });
        return;
    }
    let mut routes = request.into_routes(&FoundAudiences::default(), &context);
    let large = routes.large_templates(&lock(&memory, py));
    if large.is_empty() {
        return finish_routes(completion, "memory", None, routes, memory);
    }
    threads.spawn(async move {
        let too_late = begin_templates(&mut routes, &large, &context, &large_answers).await;
        finish_routes(completion, "memory", too_late, routes, memory);
    });
}

/// Begins the templates of large audiences, and gives up those for which it takes too long.
async fn begin_templates(
    routes: &mut Routes,
    large: &[usize],
    context: &CallContext,
    large_answers: &LargeAnswers,
) -> Option<Failure> {
    let mut failure = None;
    for index in large {
        let Some(template) = routes.template_mut(*index) else { continue };
        let begun = large_answers.begin_template(template, context).await;
        if begun == Err(TooLate) {
            routes.give_up(*index);
            failure = Some(context.too_late());
        }
    }
    failure
}

fn finish_routes(
    completion: Completion,
    outcome: &'static str,
    failure: Option<Failure>,
    routes: Routes,
    memory: Arc<Mutex<SynapseMemory>>,
) {
    let (outcome, detail) = match failure {
        None => (outcome, String::new()),
        Some(why) => (why.outcome(), why.to_string()),
    };
    completion.finish(outcome, detail, AnswerValue::Routes(Box::new(routes), memory));
}

/// Finds the senders that a user may see.
pub(crate) async fn find_interest(
    user_id: String,
    may_be_everyone: bool,
    completion: Completion,
    sources: Sources,
) {
    let looked = sources.context.near_cache.without_counting().cached_interest(&user_id).is_some();
    let local = sources.context.home.is_local(&user_id);
    match current_interest(&user_id, local && may_be_everyone, &sources).await {
        Ok(value) => {
            if local {
                let everyone = matches!(value, AnswerValue::Everyone(_));
                sources.context.known_users.note_answer(&user_id, everyone);
            }
            completion.finish(if looked { "memory" } else { "ok" }, String::new(), value);
        }
        Err(why) => completion.fail(why.outcome(), why.to_string()),
    }
}

/// Returns the value of an interest that is still the answer when the wait for it is over.
async fn current_interest(
    user_id: &str,
    may_be_everyone: bool,
    sources: &Sources,
) -> Result<AnswerValue, Failure> {
    let Sources { context, memory, large_answers } = sources;
    let start = Instant::now();
    let looked = context.near_cache.without_counting();
    let mut answer = context.ask_interest(user_id, start).await?;
    if is_open(&answer)
        && !is_everyone(&answer, may_be_everyone)
        && !context.known_users.is_seeded()
    {
        context.wait_for_seed(start).await;
        // Again: it may have changed meanwhile.
        answer = match context.ask_interest(user_id, start).await {
            Err(_) if context.left(start).is_zero() => answer,
            now => now?,
        };
    }
    loop {
        if is_everyone(&answer, may_be_everyone) {
            return Ok(AnswerValue::Everyone(Some(Everyone::new(user_id, answer.hides()))));
        }
        let mut request = InterestRequest::new(answer);
        if lock_without_python(memory).needs_listed_senders(&request) {
            let begun = large_answers.begin_interest(&mut request).await;
            begun.map_err(|TooLate| context.too_late())?;
            // An answer that memory does not have may be too large for it.
            let now = looked.cached_interest(user_id).map(CachedAnswer::into_shared);
            if let Some(now) = now
                && now.number() != request.answer.number()
                && !context.left(start).is_zero()
            {
                answer = now;
                continue;
            }
        }
        return Ok(AnswerValue::Interest(Box::new(request), memory.clone()));
    }
}

fn is_open(answer: &SharedAnswer) -> bool {
    answer.as_set().is_some_and(|senders| senders.is_open())
}

/// Locks the memory in a thread without the GIL, for a look at what it has. Nobody holds the lock
/// for longer than one turn of the reactor.
fn lock_without_python(memory: &Mutex<SynapseMemory>) -> MutexGuard<'_, SynapseMemory> {
    // As in `lock`, a poisoned lock is fine.
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns true if the answer to Synapse is `PRESENCE_ALL_USERS`. Not without a connection: this
/// answer replaces the presence of room-mates, and an outdated one would show too much.
pub(crate) fn is_everyone(answer: &SharedAnswer, may_be_everyone: bool) -> bool {
    may_be_everyone
        && !answer.is_stale()
        && answer.as_set().is_some_and(|senders| senders.is_everyone())
}
