//! Requests over one `RouteStates` stream, many at a time: the handle that asks.
//! Its `task` keeps the stream, and gets each `request` through a channel.

mod request;
mod task;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

use self::{
    request::{MAX_WAITING, Question, Request},
    task::Task,
};
use super::{StreamError, spawn_in_runtime};
use crate::{Error, Interest, Routed, shared::Shared};

/// A `RouteStates` stream. Clones share it.
///
/// Requests of all clones travel together, each at its own deadline, and are
/// answered in order: have several under way, for with one at a time each costs
/// three times as much. When the stream breaks, what was under way is asked once
/// more on the next one if its deadline allows.
#[derive(Clone, Debug)]
pub struct RouteStates {
    requests: mpsc::Sender<Request>,
    shared: Arc<Shared>,
    deadline: Duration,
}

/// Starts a stream.
pub(crate) fn start(shared: Arc<Shared>, deadline: Duration) -> RouteStates {
    let (requests, receiver) = mpsc::channel(MAX_WAITING);
    spawn_in_runtime(Task::new(shared.clone(), receiver).run());
    RouteStates { requests, shared, deadline }
}

// === impl RouteStates ===

impl RouteStates {
    /// Asks who must receive each of some states, by their senders: one user id
    /// for each state. At most 10,000, unless the daemon is told otherwise.
    ///
    /// # Errors
    /// If there is no verdict. Then nothing is known about any of the states.
    pub async fn route(&self, senders: Vec<String>) -> Result<Routed, Error> {
        let (reply, answer) = oneshot::channel();
        self.ask(Question::Route(senders.into(), reply), answer).await
    }

    /// Asks whose presence a user may see, local or remote.
    ///
    /// # Errors
    /// If there is no verdict.
    pub async fn interest(&self, user_id: impl Into<String>) -> Result<Interest, Error> {
        let (reply, answer) = oneshot::channel();
        self.ask(Question::Interest(user_id.into(), reply), answer).await
    }

    /// The same stream with another deadline for each request.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// The client's other stream, for an implementation of a trait.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    async fn ask<A>(
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
