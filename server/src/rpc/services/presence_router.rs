//! The contract's service, joined to tonic.

use std::sync::Arc;

use presence_router_proto::server::presence_router_service_server::PresenceRouterService;
use presence_router_proto::server::{
    RouteStatesRequest, RouteStatesResponse, WatchChangesResponse,
};
use presence_router_proto::v1::{
    GetInterestedUsersRequest, GetUsersForStatesRequest, GetUsersForStatesResponse,
    WatchChangesRequest,
};
use presence_router_proto::wire::GetInterestedUsersResponse;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::live::{Current, Live};
use crate::rpc::error::Fault;
use crate::rpc::limits::Limits;
use crate::rpc::transport::access_log::{Answered, StreamLog};
use crate::rpc::unary::Interest;
use crate::rpc::{stream, unary, validate};
use presence_router_engine::routing::query::relation::CallerView;

/// Answers that may wait for a client to read. More would only let one that
/// reads slowly lag further behind.
const ANSWERS_WAITING: usize = 16;

/// States of a unary call that are routed at once, and users of an answer that are
/// spelled out at once.
const INLINE_STATES: usize = 256;
const INLINE_USERS: u64 = 10_000;

/// The contract's service over the policy in force.
#[derive(Clone, Debug)]
pub struct Service {
    live: Arc<Live>,
    limits: Limits,
    shutdown: CancellationToken,
}

// === impl Service ===

impl Service {
    /// A service that ends its streams when the token is cancelled.
    pub fn new(live: Arc<Live>, limits: Limits, shutdown: CancellationToken) -> Self {
        Self { live, limits, shutdown }
    }

    /// What is in force once a revision is reached.
    async fn reach(&self, at_least: &str) -> Result<Arc<Current>, Fault> {
        validate::at_least(&self.live, "at_least", at_least, self.limits.at_least).await
    }
}

#[tonic::async_trait]
impl PresenceRouterService for Service {
    async fn get_users_for_states(
        &self,
        request: Request<GetUsersForStatesRequest>,
    ) -> Result<Response<GetUsersForStatesResponse>, Status> {
        let GetUsersForStatesRequest { server_names, states, at_least } = request.into_inner();
        let caller = validate::caller(&server_names)?;
        let current = self.reach(&at_least).await?;
        let scope = CallerView::new(caller);
        let limits = self.limits;
        let asked = states.len();
        let answer = {
            let current = Arc::clone(&current);
            let answer = move || {
                let senders = validate::senders(&states, limits.batch_states)?;
                unary::users_for_states(&current, &scope, &senders, limits.response_bytes)
            };
            if asked <= INLINE_STATES {
                answer()
            } else {
                // Too long for a thread on which other calls wait.
                let answer = tokio::task::spawn_blocking(answer);
                answer.await.map_err(|_| Fault::Internal)?
            }
        }?;
        let answered = answer.recipients.len() + answer.open_recipients.len();
        Ok(Answered { asked, answered, revision: current.revision }.on(answer))
    }

    async fn get_interested_users(
        &self,
        request: Request<GetInterestedUsersRequest>,
    ) -> Result<Response<GetInterestedUsersResponse>, Status> {
        let GetInterestedUsersRequest { server_names, user_id, at_least } = request.into_inner();
        let caller = validate::caller(&server_names)?;
        let current = self.reach(&at_least).await?;
        let recipient = validate::recipient(&user_id)?;
        let limit = self.limits.response_bytes;
        let interest = Interest::of(&current, &CallerView::new(caller), recipient);
        let (listed, revision) = (interest.listed(), current.revision);
        let answered = usize::try_from(listed).unwrap_or(usize::MAX);
        let answered = answered.saturating_add(interest.is_open().into());
        let answer = if listed <= INLINE_USERS {
            interest.spelled(&current, limit)
        } else {
            let answer = tokio::task::spawn_blocking(move || interest.spelled(&current, limit));
            answer.await.map_err(|_| Fault::Internal)?
        }?;
        Ok(Answered { asked: 1, answered, revision }.on(answer))
    }

    type RouteStatesStream = ReceiverStream<Result<RouteStatesResponse, Status>>;

    async fn route_states(
        &self,
        request: Request<Streaming<RouteStatesRequest>>,
    ) -> Result<Response<Self::RouteStatesStream>, Status> {
        let (answers, waiting) = mpsc::channel(ANSWERS_WAITING);
        let log = StreamLog::begin(&request);
        let session = tokio::spawn(stream::serve(
            Arc::clone(&self.live),
            self.limits,
            self.shutdown.clone(),
            request.into_inner(),
            answers.clone(),
            log,
        ));
        supervise(session, answers);
        Ok(Response::new(ReceiverStream::new(waiting)))
    }

    type WatchChangesStream = ReceiverStream<Result<WatchChangesResponse, Status>>;

    async fn watch_changes(
        &self,
        request: Request<WatchChangesRequest>,
    ) -> Result<Response<Self::WatchChangesStream>, Status> {
        let (answers, waiting) = mpsc::channel(ANSWERS_WAITING);
        let log = StreamLog::begin(&request);
        let watch = stream::watch_changes::serve(
            Arc::clone(&self.live),
            self.limits,
            self.shutdown.clone(),
            request.into_inner(),
            answers.clone(),
            log,
        );
        supervise(tokio::spawn(watch), answers);
        Ok(Response::new(ReceiverStream::new(waiting)))
    }
}

/// Waits for the end of a stream's task, in a task of its own: should the stream's
/// panic, the client must not take the end of its answers for the end of the stream.
fn supervise<T: Send + 'static>(session: JoinHandle<()>, answers: mpsc::Sender<Result<T, Status>>) {
    tokio::spawn(async move {
        if session.await.is_err() {
            // The panic hook has written the reason.
            let _ = answers.send(Err(Fault::Internal.into())).await;
        }
    });
}
