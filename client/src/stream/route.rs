//! The handle for concurrent requests over one `RouteStates` stream. Its `task` keeps the
//! stream open, and receives each `request` through a channel.

mod cache_writer;
pub(crate) mod change_feed;
mod misses;
mod request;
mod task;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

use self::{
    cache_writer::{CacheWriter, answer_budget},
    change_feed::{ChangeFeed, Subscription},
    request::{MAX_WAITING, Question, Request},
    task::Task,
};
use super::{StreamError, spawn_in_runtime};
use crate::{
    Changes, Error, Interest, Routed,
    answer::SharedAnswer,
    answer_cache::{AnswerCache, Key},
    options::bounded,
    shared::Shared,
};

/// A `RouteStates` stream. Clones share it.
///
/// The daemon answers the requests of all clones in order; each request has its own
/// deadline. Keep several requests in flight: with one at a time, each costs three times
/// as much. If the stream breaks, the client repeats requests in flight once on the next
/// stream, as far as their deadlines allow.
#[derive(Clone, Debug)]
pub struct RouteStates {
    requests: mpsc::Sender<Request>,
    shared: Arc<Shared>,
    deadline: Duration,
}

/// Starts a stream.
pub(crate) fn open_route_states(shared: Arc<Shared>, deadline: Duration) -> RouteStates {
    let (requests, receiver) = mpsc::channel(MAX_WAITING);
    spawn_in_runtime(Task::new(shared.clone(), receiver, None).keep_open());
    RouteStates { requests, shared, deadline }
}

/// Starts a stream whose task remembers answers, within a budget of bytes (0: unlimited), and
/// reports changes.
pub(crate) fn open_with_cache(
    shared: Arc<Shared>,
    deadline: Duration,
    budget: u64,
    stale_for: Duration,
) -> (RouteStates, Arc<AnswerCache>, Arc<ChangeFeed>) {
    // Without a budget the daemon retires no idle sets.
    let (used, used_receiver) = (budget != 0).then(mpsc::unbounded_channel).unzip();
    let cache = Arc::new(AnswerCache::new(answer_budget(budget, 0), stale_for, used));
    let (requests, receiver) = mpsc::channel(MAX_WAITING);
    let feed = Arc::<ChangeFeed>::default();
    let writer = CacheWriter::new(cache.clone(), feed.clone(), used_receiver, budget);
    spawn_in_runtime(Task::new(shared.clone(), receiver, Some(writer)).keep_open());
    (RouteStates { requests, shared, deadline }, cache, feed)
}

// === impl RouteStates ===

impl RouteStates {
    /// Returns the recipients of each of some states. `senders` contains one user id for
    /// each state, at most the daemon's `limits.batch_states` (10,000 by default).
    ///
    /// # Errors
    /// If there is no verdict, for any of the states.
    pub async fn route_batch(&self, senders: Vec<String>) -> Result<Routed, Error> {
        self.route_shared_batch(senders.into()).await
    }

    pub(crate) async fn route_shared_batch(&self, senders: Arc<[String]>) -> Result<Routed, Error> {
        let (reply, answer) = oneshot::channel();
        self.send_question(Question::Route(senders, reply), answer).await
    }

    /// Returns the senders whose presence a user, local or remote, may see.
    ///
    /// # Errors
    /// If there is no verdict.
    pub async fn query_interest(&self, user_id: impl Into<String>) -> Result<Interest, Error> {
        let (reply, answer) = oneshot::channel();
        self.send_question(Question::Interest(user_id.into(), reply), answer).await
    }

    /// Returns the same stream with another deadline for each request.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { deadline: bounded(deadline), ..self.clone() }
    }

    /// Returns the answer of one user, and remembers it. Only for a stream with a near-cache.
    pub(crate) async fn ask_and_remember(&self, key: Key) -> Result<SharedAnswer, Error> {
        let (reply, answer) = oneshot::channel();
        self.send_question(Question::Miss(key, reply), answer).await
    }

    /// Returns the changes that the stream's own task reports from now on, and keeps the stream
    /// open for as long as they are in use. Only for a stream with a near-cache.
    pub(crate) fn subscribe_to(&self, feed: &Arc<ChangeFeed>) -> Changes {
        Changes::new(Subscription::new(feed.clone(), self.requests.clone()))
    }

    /// Returns the client's state, so that another stream can share it.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    async fn send_question<A>(
        &self,
        question: Question,
        answer: oneshot::Receiver<Result<A, StreamError>>,
    ) -> Result<A, Error> {
        if self.deadline.is_zero() {
            return Err(Error::Deadline(self.deadline));
        }
        let permit = self.shared.breaker.try_acquire().map_err(Error::from_open_circuit)?;
        let request = Request::new(question, Instant::now() + self.deadline);
        let answered = timeout(self.deadline, async {
            let ended =
                || StreamError::unreachable("no tokio runtime drives the stream, or it has ended");
            self.requests.send(request).await.map_err(|_| ended())?;
            answer.await.map_err(|_| ended())?
        });
        let failed = match answered.await {
            Ok(Ok(answer)) => {
                permit.record_answer();
                return Ok(answer);
            }
            Ok(Err(failed)) => failed,
            Err(_elapsed) => Error::Deadline(self.deadline).into(),
        };
        match failed.failure {
            Some(failure) => permit.record_failure(failure, &failed.error.summary()),
            None => permit.record_answer(),
        }
        Err(failed.error)
    }
}
