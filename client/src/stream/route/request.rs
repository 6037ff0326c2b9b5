//! A request on its way from a handle to the task that keeps the stream, and back to
//! the handle with its answer.

use std::sync::Arc;

use presence_router_proto::v1::{
    InterestQuery, PresenceState, RouteStatesRequest, StateBatch,
    route_states_request::Message as RequestMessage,
};
use tokio::{sync::oneshot, time::Instant};

use crate::{Interest, Routed, stream::StreamError};

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
}

// === impl Request ===

impl Request {
    pub(super) fn new(question: Question, deadline: Instant) -> Self {
        Self { question, deadline, retried: false }
    }

    /// Returns true if the caller no longer waits for the answer.
    pub(super) fn is_abandoned(&self) -> bool {
        match &self.question {
            Question::Route(_, reply) => reply.is_closed(),
            Question::Interest(_, reply) => reply.is_closed(),
        }
    }

    pub(super) fn reply_error(self, error: StreamError) {
        // A caller that gave up needs no reason.
        let _ = match self.question {
            Question::Route(_, reply) => reply.send(Err(error)).map_err(drop),
            Question::Interest(_, reply) => reply.send(Err(error)).map_err(drop),
        };
    }

    /// Creates the message for the daemon, with an id of the stream.
    pub(super) fn to_message(&self, id: u64) -> RouteStatesRequest {
        let at_least = String::new();
        let message = match &self.question {
            Question::Route(senders, _) => {
                let state = |user: &String| PresenceState {
                    user_id: user.clone(),
                    ..PresenceState::default()
                };
                let states = senders.iter().map(state).collect();
                RequestMessage::Batch(StateBatch { batch_id: id, at_least, states })
            }
            Question::Interest(user_id, _) => {
                let user_id = user_id.clone();
                RequestMessage::Interest(InterestQuery { query_id: id, at_least, user_id })
            }
        };
        RouteStatesRequest { message: Some(message) }
    }
}
