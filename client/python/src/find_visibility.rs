//! Answers about one user for a module that decides alone, from memory or from the daemon.

use std::sync::Arc;

use tokio::time::Instant;

use crate::{
    answer_value::AnswerValue, completion::Completion, questions::CallContext,
    visibility::Visibility,
};

/// Returns the senders that a user may see, from memory.
pub(crate) fn visible_senders(context: &CallContext, user_id: &str) -> Option<Visibility> {
    if context.home.is_local(user_id) {
        context.known_users.note_question(user_id);
    }
    let found = context.near_cache.cached_interest(user_id)?;
    Some(Visibility::new(user_id, found.into_shared()))
}

/// Finds the senders that a user may see: the only one of a list of answers.
pub(crate) async fn find_visible_senders(
    context: &CallContext,
    user_id: &str,
    completion: Completion,
) {
    match context.ask_interest(user_id, Instant::now()).await {
        Ok(answer) => {
            let answer = vec![Some(Visibility::new(user_id, answer))];
            completion.finish("ok", String::new(), AnswerValue::Visibilities(answer));
        }
        Err(why) => completion.fail(why.outcome(), why.to_string()),
    }
}

/// Returns the recipients of each sender, from memory. The senders become known.
pub(crate) fn recipients_of(context: &CallContext, senders: &[String]) -> Vec<Option<Visibility>> {
    context.known_users.remember(senders.iter().map(String::as_str));
    let look = |sender: &String| {
        let found = context.near_cache.cached_audience(sender)?;
        Some(Visibility::new(sender, found.into_shared()))
    };
    senders.iter().map(look).collect()
}

/// Finds the recipients of each sender. A question that fails does not affect the others.
pub(crate) async fn find_recipients_of(
    context: &CallContext,
    senders: &[String],
    completion: Completion,
) {
    let mut asked: Vec<Arc<str>> = senders.iter().map(|one| one.as_str().into()).collect();
    asked.sort_unstable();
    asked.dedup();
    let found = context.find_audiences(asked, Instant::now()).await;
    let answer = |sender: &String| {
        let answer = found.answers.get(sender.as_str())?.clone()?;
        Some(Visibility::new(sender, answer))
    };
    let answers = AnswerValue::Visibilities(senders.iter().map(answer).collect());
    match found.failure {
        None => completion.finish("ok", String::new(), answers),
        Some(why) => completion.finish(why.outcome(), why.to_string(), answers),
    }
}

/// Returns the other servers that the policy or the configuration names, sorted, with the number
/// of the list.
pub(crate) fn named_servers(context: &CallContext) -> (u64, Vec<String>) {
    let servers = context.near_cache.named_servers();
    let configured = context.home.destinations.iter().map(String::as_str);
    let mut names: Vec<String> = servers
        .names()
        .chain(configured)
        .filter(|server| *server != context.home.server)
        .map(str::to_owned)
        .collect();
    names.sort_unstable();
    names.dedup();
    (servers.number(), names)
}
