//! The service for homeservers: two unary calls, and two streams.

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
use crate::rpc::blocking::run_blocking;
use crate::rpc::error::RpcError;
use crate::rpc::limits::Limits;
use crate::rpc::stream::{ResponseSender, route_states, watch_changes};
use crate::rpc::transport::access_log::{StreamLog, UnaryStats};
use crate::rpc::unary::Interest;
use crate::rpc::{unary, validate};
use presence_router_engine::unstable::routing::query::visibility::CallerView;

/// Responses that may wait for a client to read. A larger number would only let a slow client
/// lag further behind.
const RESPONSES_WAITING: usize = 16;

/// Most states of a unary call that are routed inline, and most users of an answer that are
/// written inline.
const INLINE_STATES: usize = 256;
const INLINE_USERS: u64 = 10_000;

/// Responses of a stream, for tonic.
type ResponseStream<M> = ReceiverStream<Result<M, Status>>;

/// The service for homeservers, over the active policy.
#[derive(Clone, Debug)]
pub(in crate::rpc) struct PresenceRouter {
    live: Arc<Live>,
    limits: Limits,
    shutdown: CancellationToken,
}

// === impl PresenceRouter ===

impl PresenceRouter {
    /// Returns a service that ends its streams when `shutdown` is cancelled.
    pub(in crate::rpc) fn new(
        live: Arc<Live>,
        limits: Limits,
        shutdown: CancellationToken,
    ) -> Self {
        Self { live, limits, shutdown }
    }

    /// Waits for a revision, and returns the active one.
    async fn wait_for_revision(&self, at_least: &str) -> Result<Arc<Current>, RpcError> {
        let longest = self.limits.at_least;
        validate::wait_for_revision(&self.live, "at_least", at_least, longest).await
    }
}

#[tonic::async_trait]
impl PresenceRouterService for PresenceRouter {
    async fn get_users_for_states(
        &self,
        request: Request<GetUsersForStatesRequest>,
    ) -> Result<Response<GetUsersForStatesResponse>, Status> {
        let request = request.into_inner();
        let caller = validate::parse_caller(&request.server_names, request.capabilities())?;
        let GetUsersForStatesRequest { states, at_least, .. } = request;
        let current = self.wait_for_revision(&at_least).await?;
        let view = CallerView::new(caller);
        let limits = self.limits;
        let (asked, revision) = (states.len(), current.revision);
        let answer = move || {
            let senders = validate::parse_senders(&states, limits.batch_states)?;
            unary::users_for_states(&current, &view, &senders, limits.response_bytes)
        };
        let answer = run_blocking(asked <= INLINE_STATES, answer).await?;
        let answered = answer.recipients.len() + answer.open_recipients.len();
        Ok(UnaryStats { asked, answered, revision }.attach_to(answer))
    }

    async fn get_interested_users(
        &self,
        request: Request<GetInterestedUsersRequest>,
    ) -> Result<Response<GetInterestedUsersResponse>, Status> {
        let request = request.into_inner();
        let caller = validate::parse_caller(&request.server_names, request.capabilities())?;
        let GetInterestedUsersRequest { user_id, at_least, .. } = request;
        let current = self.wait_for_revision(&at_least).await?;
        let recipient = validate::parse_recipient(&user_id)?;
        let limit = self.limits.response_bytes;
        let interest = Interest::compute(&current, &CallerView::new(caller), recipient);
        let (listed, revision) = (interest.listed_senders(), current.revision);
        let answered = usize::try_from(listed).unwrap_or(usize::MAX);
        let answered = answered.saturating_add(interest.is_open().into());
        let answer = move || interest.to_response(&current, limit);
        let answer = run_blocking(listed <= INLINE_USERS, answer).await?;
        Ok(UnaryStats { asked: 1, answered, revision }.attach_to(answer))
    }

    type RouteStatesStream = ResponseStream<RouteStatesResponse>;

    async fn route_states(
        &self,
        request: Request<Streaming<RouteStatesRequest>>,
    ) -> Result<Response<Self::RouteStatesStream>, Status> {
        let Self { live, limits, shutdown } = self.clone();
        let log = StreamLog::begin_stream(&request);
        let requests = request.into_inner();
        Ok(spawn_stream(|responses| {
            route_states::serve_route_states(live, limits, shutdown, requests, responses, log)
        }))
    }

    type WatchChangesStream = ResponseStream<WatchChangesResponse>;

    async fn watch_changes(
        &self,
        request: Request<WatchChangesRequest>,
    ) -> Result<Response<Self::WatchChangesStream>, Status> {
        let Self { live, limits, shutdown } = self.clone();
        let log = StreamLog::begin_stream(&request);
        let request = request.into_inner();
        Ok(spawn_stream(|responses| {
            watch_changes::serve_watch_changes(live, limits, shutdown, request, responses, log)
        }))
    }
}

/// Serves a stream in a task of its own, which must not be cancelled with the call, since it
/// records the stream's statistics for the log.
fn spawn_stream<M, F>(serve: impl FnOnce(ResponseSender<M>) -> F) -> Response<ResponseStream<M>>
where
    M: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (responses, waiting) = mpsc::channel(RESPONSES_WAITING);
    let stream = tokio::spawn(serve(responses.clone()));
    tokio::spawn(refuse_on_panic(stream, responses));
    Response::new(ReceiverStream::new(waiting))
}

/// Waits for the end of a stream's task. If the task panics, sends an error, so that the client
/// does not take the end of the responses for the regular end of the stream.
async fn refuse_on_panic<M>(stream: JoinHandle<()>, responses: ResponseSender<M>) {
    if stream.await.is_err() {
        // The panic hook has written the reason.
        let _ = responses.send(Err(RpcError::Internal.into())).await;
    }
}
