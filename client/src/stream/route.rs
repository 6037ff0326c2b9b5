//! Requests over one `RouteStates` stream, many at a time: the handle that asks.
//! Its `task` keeps the stream.

mod task;

use std::{sync::Arc, time::Duration};

use presence_router_proto::v1::{
    InterestQuery, PresenceState, RouteStatesRequest, StateBatch,
    route_states_request::Message as Ask,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

use self::task::Task;
use super::{Failed, drive};
use crate::{Error, Interest, Routed, client::Shared};

/// Requests that wait to be sent. Those of callers that gave up among them.
const MAX_WAITING: usize = 1024;

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

type Reply<A> = oneshot::Sender<Result<A, Failed>>;

/// What a handle asks its task.
#[derive(Debug)]
struct Request {
    what: What,
    deadline: Instant,
    /// A stream broke while this was under way.
    retried: bool,
}

#[derive(Debug)]
enum What {
    Route(Arc<[String]>, Reply<Routed>),
    Interest(String, Reply<Interest>),
}

/// Starts a stream.
pub(crate) fn start(shared: Arc<Shared>, deadline: Duration) -> RouteStates {
    let (requests, receiver) = mpsc::channel(MAX_WAITING);
    drive(Task::new(shared.clone(), receiver).run());
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
        self.ask(What::Route(senders.into(), reply), answer).await
    }

    /// Asks whose presence a user may see, local or remote.
    ///
    /// # Errors
    /// If there is no verdict.
    pub async fn interest(&self, user_id: impl Into<String>) -> Result<Interest, Error> {
        let (reply, answer) = oneshot::channel();
        self.ask(What::Interest(user_id.into(), reply), answer).await
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
        what: What,
        answer: oneshot::Receiver<Result<A, Failed>>,
    ) -> Result<A, Error> {
        if self.deadline.is_zero() {
            return Err(Error::Deadline(self.deadline));
        }
        let pass = self.shared.gate.enter().map_err(Error::from_shut)?;
        let request = Request { what, deadline: Instant::now() + self.deadline, retried: false };
        let answered = timeout(self.deadline, async {
            let ended = || Failed::gone("no tokio runtime drives the stream, or it has ended");
            self.requests.send(request).await.map_err(|_| ended())?;
            answer.await.map_err(|_| ended())?
        });
        let failed = match answered.await {
            Ok(Ok(answer)) => {
                pass.answered();
                return Ok(answer);
            }
            Ok(Err(failed)) => failed,
            Err(_elapsed) => Error::Deadline(self.deadline).into(),
        };
        match failed.failure {
            Some(failure) => pass.failed(failure, &failed.error.gist()),
            None => pass.answered(),
        }
        Err(failed.error)
    }
}

// === impl Request ===

impl Request {
    /// Nobody waits for the answer any more.
    fn is_void(&self) -> bool {
        match &self.what {
            What::Route(_, reply) => reply.is_closed(),
            What::Interest(_, reply) => reply.is_closed(),
        }
    }

    fn fail(self, failed: Failed) {
        // Whoever gave up needs no reason.
        let _ = match self.what {
            What::Route(_, reply) => reply.send(Err(failed)).map_err(drop),
            What::Interest(_, reply) => reply.send(Err(failed)).map_err(drop),
        };
    }

    fn message(&self, id: u64) -> RouteStatesRequest {
        let at_least = String::new();
        let message = match &self.what {
            What::Route(senders, _) => {
                let state = |user: &String| PresenceState {
                    user_id: user.clone(),
                    ..PresenceState::default()
                };
                let states = senders.iter().map(state).collect();
                Ask::Batch(StateBatch { batch_id: id, at_least, states })
            }
            What::Interest(user_id, _) => {
                let user_id = user_id.clone();
                Ask::Interest(InterestQuery { query_id: id, at_least, user_id })
            }
        };
        RouteStatesRequest { message: Some(message) }
    }
}
