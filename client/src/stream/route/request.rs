//! A request on its way from a handle to the task that keeps the stream, and back to
//! the handle with its answer.

use std::sync::Arc;

use presence_router_proto::v1::{
    InterestQuery, PresenceState, RouteStatesRequest, StateBatch,
    route_states_request::Message as RequestMessage,
};
use tokio::{sync::oneshot, time::Instant};

use crate::{
    Interest, Routed,
    answer::SharedAnswer,
    answer_cache::{Key, Side},
    stream::StreamError,
};

/// Maximum number of requests that wait to be sent, including those of callers that gave
/// up.
pub(super) const MAX_WAITING: usize = 1024;

pub(super) type Reply<A> = oneshot::Sender<Result<A, StreamError>>;

/// A request of a handle to its task.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) question: Question,
    pub(super) deadline: Instant,
    /// True if a stream broke while the request was in flight.
    pub(super) retried: bool,
}

/// A question, with the channel for its answer.
#[derive(Debug)]
pub(super) enum Question {
    Route(Arc<[String]>, Reply<Routed>),
    Interest(String, Reply<Interest>),
    /// A question of a near-cache. The task never sends it as it is, but asks it in a `Fill`
    /// together with others.
    Miss(Key, Reply<SharedAnswer>),
    /// Questions of a near-cache, whose callers [`Misses`](super::misses::Misses) knows.
    Fill(Fill),
}

/// A request that asks for answers of some users: several senders, or one recipient.
#[derive(Clone, Debug)]
pub(super) struct Fill {
    pub(super) side: Side,
    pub(super) users: Arc<[Arc<str>]>,
}

// === impl Request ===

impl Request {
    pub(super) fn new(question: Question, deadline: Instant) -> Self {
        Self { question, deadline, retried: false }
    }

    /// Returns true if the caller no longer waits for the answer. Of a `Fill`, this knows no
    /// callers.
    pub(super) fn is_abandoned(&self) -> bool {
        match &self.question {
            Question::Route(_, reply) => reply.is_closed(),
            Question::Interest(_, reply) => reply.is_closed(),
            Question::Miss(_, reply) => reply.is_closed(),
            Question::Fill(_) => false,
        }
    }

    /// Fails the request. Of a `Fill`, this knows no callers.
    pub(super) fn reply_error(self, error: StreamError) {
        // A caller that gave up needs no reason.
        let _ = match self.question {
            Question::Route(_, reply) => reply.send(Err(error)).map_err(drop),
            Question::Interest(_, reply) => reply.send(Err(error)).map_err(drop),
            Question::Miss(_, reply) => reply.send(Err(error)).map_err(drop),
            Question::Fill(_) => Ok(()),
        };
    }

    /// Creates the message for the daemon, with an id of the stream. `None`: the request is
    /// for the task only.
    pub(super) fn to_message(&self, id: u64) -> Option<RouteStatesRequest> {
        let message = match &self.question {
            Question::Route(senders, _) => batch(id, senders.iter().cloned()),
            Question::Interest(user_id, _) => query(id, user_id.clone()),
            Question::Fill(Fill { side: Side::Audience, users }) => {
                batch(id, users.iter().map(ToString::to_string))
            }
            Question::Fill(Fill { side: Side::Interest, users }) => {
                query(id, users.first()?.to_string())
            }
            Question::Miss(..) => return None,
        };
        Some(RouteStatesRequest { message: Some(message) })
    }
}

// === impl Fill ===

impl Fill {
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        self.users.iter().map(|user| Key { user: user.clone(), side: self.side })
    }

    /// Splits the request into two. `None`: it asks about one user.
    pub(super) fn split(&self) -> Option<[Self; 2]> {
        let (first, second) = self.users.split_at(self.users.len() / 2);
        let part = |users: &[Arc<str>]| Self { side: self.side, users: users.into() };
        (!first.is_empty()).then(|| [part(first), part(second)])
    }
}

fn batch(batch_id: u64, senders: impl Iterator<Item = String>) -> RequestMessage {
    let state = |user_id| PresenceState { user_id, ..PresenceState::default() };
    let states = senders.map(state).collect();
    RequestMessage::Batch(StateBatch { batch_id, at_least: String::new(), states })
}

fn query(query_id: u64, user_id: String) -> RequestMessage {
    RequestMessage::Interest(InterestQuery { query_id, at_least: String::new(), user_id })
}
