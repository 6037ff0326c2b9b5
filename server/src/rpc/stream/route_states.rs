//! One `RouteStates` stream: handles its requests in order, and sends the changes between them.

use std::sync::Arc;
use std::time::Duration;

use presence_router_ids::RoomCapabilities;
use presence_router_proto::rooms::capability_values;
use presence_router_proto::server::{
    RouteStatesRequest, RouteStatesResponse, route_states_request::Message as Request,
    route_states_response::Message as Response,
};
use presence_router_proto::v1::{
    Capability, InterestAnswer, InterestQuery, Open, Touch, request_error,
};
use presence_router_proto::wire::{Deliveries, StateBatch};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tracing::debug;

use super::changes::Change;
use super::named_servers::SentServers;
use super::outbox::{End, Event, Outbox, ResponseSender, finish_stream, wait_for_interruption};
use super::resume::{Resumed, resume_stream};
use super::route::{Route, STEP};
use super::set_table::SetUpdate;
use crate::live::{Current, Live};
use crate::rpc::error::RpcError;
use crate::rpc::limits::Limits;
use crate::rpc::transport::access_log::{StreamLog, StreamStats};
use crate::rpc::validate;

/// Longest wait for `Open`, so that a silent stream does not stay open for ever.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers for unlisted users that a stream remembers before it resets its cache, so that
/// no sequence of requests can fill the memory.
const MAX_UNLISTED: usize = 100_000;

/// An open stream.
struct Session {
    live: Arc<Live>,
    revisions: watch::Receiver<Arc<Current>>,
    current: Arc<Current>,
    limits: Limits,
    route: Route,
    /// `None`: the client cannot take the list.
    named_servers: Option<SentServers>,
    outbox: Outbox<RouteStatesResponse>,
    stats: StreamStats,
    log: StreamLog,
}

/// The reason why a request gets no answer.
enum Unanswered {
    /// The daemon rejects the request, and the stream goes on.
    Refused(RpcError),
    /// The stream ends.
    StreamEnds(End),
}

/// Serves a stream to its end, and records its statistics in the log.
pub(in crate::rpc) async fn serve_route_states(
    live: Arc<Live>,
    limits: Limits,
    shutdown: CancellationToken,
    mut requests: Streaming<RouteStatesRequest>,
    responses: ResponseSender<RouteStatesResponse>,
    log: StreamLog,
) {
    let opening =
        Session::open_session(live, limits, &mut requests, responses.clone(), log.clone());
    let opened = tokio::select! {
        biased;
        end = wait_for_interruption(&responses, &shutdown) => Err(end),
        opened = opening => opened,
    };
    let (stats, end) = match opened {
        Ok(mut session) => {
            let end = session.serve_requests(&shutdown, &mut requests).await;
            (StreamStats { revision: Some(session.current.revision), ..session.stats }, end)
        }
        Err(end) => (StreamStats::default(), end),
    };
    // Free the client's side first, so that the client can end it even if ours is stuck.
    drop(requests);
    log.record_end(stats);
    finish_stream(&responses, end).await;
}

// === impl Session ===

impl Session {
    async fn open_session(
        live: Arc<Live>,
        limits: Limits,
        requests: &mut Streaming<RouteStatesRequest>,
        responses: ResponseSender<RouteStatesResponse>,
        log: StreamLog,
    ) -> Result<Self, End> {
        let first = timeout(OPEN_TIMEOUT, next_request(requests, &limits)).await;
        let first = first.map_err(|_| End::Refused(RpcError::OpenMissing))??;
        let Some(Request::Open(open)) = first else {
            return Err(End::Refused(RpcError::OpenMissing));
        };
        let takes_names = open.capabilities().any(|one| one == Capability::NamedServers);
        let named_servers = takes_names.then(SentServers::default);
        let caller = validate::parse_caller(&open.server_names, open.capabilities())?;
        let Open { resume_revision, set_budget_bytes, .. } = open;
        let revisions = live.subscribe_current();
        let Resumed { current, missed } =
            resume_stream(&live, &resume_revision, limits.at_least).await?;
        let stats = StreamStats::default();
        let route = Route::new(caller, set_budget_bytes);
        let outbox = Outbox::new(responses, limits.heartbeat);
        let mut session =
            Self { live, revisions, current, limits, route, named_servers, outbox, stats, log };
        session.outbox.send_opened(session.current.revision, &offered_capabilities()).await?;
        session.send_named_servers().await?;
        if !resume_revision.is_empty() {
            session.route.stream_state().keep_earlier_answers();
        }
        if let Some(missed) = missed {
            let Self { live, current, route, .. } = &mut session;
            let change = missed.into_change(route.stream_state(), live, current).await;
            session.outbox.send_change(change).await?;
        }
        Ok(session)
    }

    async fn serve_requests(
        &mut self,
        shutdown: &CancellationToken,
        requests: &mut Streaming<RouteStatesRequest>,
    ) -> End {
        loop {
            let step = tokio::select! {
                biased;
                end = wait_for_interruption(self.outbox.responses(), shutdown) => return end,
                // Never fails: `Live` owns the sender and outlives this stream.
                Ok(()) = self.revisions.changed() => self.follow_revision().await,
                request = next_request(requests, &self.limits) => match request {
                    Ok(Some(request)) => self.handle_request(request).await,
                    Ok(None) => Err(End::Refused(RpcError::MessageEmpty)),
                    Err(end) => Err(end),
                },
                () = self.outbox.heartbeat_due() => {
                    self.outbox.send_heartbeat(self.current.revision).await
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Moves to the current revision, and sends the change if that revision is new.
    async fn follow_revision(&mut self) -> Result<(), End> {
        let now = Arc::clone(&self.revisions.borrow_and_update());
        if now.revision == self.current.revision {
            return Ok(());
        }
        let capabilities = self.route.caller().capabilities();
        let difference = self.live.difference(&self.current, &now, capabilities).await;
        let change = self.route.follow_revision(&self.current, &now, &difference);
        self.current = now;
        // First, so that a client that knows the revision knows its servers too.
        self.send_named_servers().await?;
        self.outbox.send_change(change).await
    }

    /// Brings the client's list of servers up to date with the current revision.
    async fn send_named_servers(&mut self) -> Result<(), End> {
        let Some(named_servers) = &mut self.named_servers else { return Ok(()) };
        let messages = named_servers.follow_snapshot(&self.current.snapshot, self.route.caller());
        for message in messages {
            self.send(Response::NamedServers(message)).await?;
        }
        Ok(())
    }

    /// Waits until the daemon has reached the revision that a request demands, up to the
    /// configured limit.
    async fn wait_for_revision(&mut self, at_least: &str) -> Result<(), End> {
        if at_least.is_empty() {
            return Ok(());
        }
        let (field, longest) = ("at_least", self.limits.at_least);
        // The route checks the revision again, and rejects the request if it was not reached.
        let _ = validate::wait_for_revision(&self.live, field, at_least, longest).await;
        self.follow_revision().await
    }

    async fn handle_request(&mut self, request: Request) -> Result<(), End> {
        // The policy may have changed while the last answer waited to be read.
        self.follow_revision().await?;
        if self.route.unlisted_answers() > MAX_UNLISTED {
            let reset = self.route.stream_state().reset_stream(&self.current);
            self.outbox.send_change(Change::Reset(reset)).await?;
        }
        let (request, answer) = match request {
            Request::Open(_) => return Err(End::Refused(RpcError::OpenRepeated)),
            Request::Batch(batch) => {
                let answer = self.answer_batch(&batch).await.map(Response::Deliveries);
                (request_error::Request::BatchId(batch.batch_id), answer)
            }
            Request::Interest(query) => {
                let answer = self.answer_interest(&query).await.map(Response::InterestAnswer);
                (request_error::Request::QueryId(query.query_id), answer)
            }
            Request::Touch(touch) => {
                self.touch_answers(&touch).await;
                return Ok(());
            }
        };
        match answer {
            Ok(answer) => self.send(answer).await,
            Err(Unanswered::Refused(error)) => {
                self.stats.refused += 1;
                debug!(?request, fault = %error, "request refused");
                let refusal = Response::RequestError(error.into_request_error(request));
                self.send(refusal).await
            }
            Err(Unanswered::StreamEnds(end)) => Err(end),
        }
    }

    /// Routes a batch. Sends each set as soon as it is defined, at the pace at which the client
    /// reads.
    async fn answer_batch(&mut self, batch: &StateBatch) -> Result<Deliveries, Unanswered> {
        self.wait_for_revision(&batch.at_least).await?;
        self.stats.batches += 1;
        self.log.count_batch();
        self.route.begin_batch(&self.current, batch, self.limits.batch_states)?;
        let mut more = true;
        while more {
            let mut updates = Vec::new();
            let advanced = self.route.advance_batch(&self.current, batch, &mut updates);
            // Also for a batch that is rejected afterwards: the stream remembers these sets as
            // sent.
            self.outbox.send_set_updates(updates).await?;
            more = advanced?;
            tokio::task::consume_budget().await;
        }
        let states = u64::try_from(batch.users.len()).unwrap_or(u64::MAX);
        self.stats.states += states;
        self.log.count_states(states);
        Ok(self.route.finish_batch(&self.current, batch))
    }

    /// Marks answers as used. Like a batch, in steps: a message has room for a million ids.
    async fn touch_answers(&mut self, Touch { set_ids }: &Touch) {
        self.stats.touches += 1;
        self.log.count_touch();
        self.route.begin_touch();
        for some in set_ids.chunks(STEP) {
            self.route.touch_answers(some);
            tokio::task::consume_budget().await;
        }
    }

    async fn send(&mut self, message: Response) -> Result<(), End> {
        self.outbox.send(RouteStatesResponse { message: Some(message) }).await
    }

    async fn answer_interest(
        &mut self,
        query: &InterestQuery,
    ) -> Result<InterestAnswer, Unanswered> {
        self.wait_for_revision(&query.at_least).await?;
        self.stats.interests += 1;
        self.log.count_interest();
        let mut updates = Vec::new();
        let answer = self.route.answer_interest(&self.current, query, &mut updates);
        self.outbox.send_set_updates(updates).await?;
        Ok(answer?)
    }
}

/// Returns the parts of the contract, beyond its first version, that this daemon offers.
fn offered_capabilities() -> Vec<Capability> {
    let others = [Capability::Touch, Capability::NamedServers];
    others.into_iter().chain(capability_values(RoomCapabilities::ALL)).collect()
}

/// The next request of a client. `None` if the message is empty, or contains a kind of request
/// that this daemon does not know.
async fn next_request(
    requests: &mut Streaming<RouteStatesRequest>,
    limits: &Limits,
) -> Result<Option<Request>, End> {
    match requests.message().await {
        Ok(Some(RouteStatesRequest { message })) => Ok(message),
        Ok(None) => Err(End::ClientGone),
        Err(status) => Err(RpcError::from_transport(&status, "/RouteStates", limits.request_bytes)
            .map_or(End::ClientGone, End::Refused)),
    }
}

// === impl Unanswered ===

impl From<RpcError> for Unanswered {
    fn from(error: RpcError) -> Self {
        Self::Refused(error)
    }
}

impl From<End> for Unanswered {
    fn from(end: End) -> Self {
        Self::StreamEnds(end)
    }
}

impl From<Event> for RouteStatesResponse {
    fn from(event: Event) -> Self {
        let message = match event {
            Event::Opened(opened) => Response::Opened(opened),
            Event::Heartbeat(heartbeat) => Response::Heartbeat(heartbeat),
            Event::Changed(changed) => Response::Changed(changed),
            Event::Reset(reset) => Response::Reset(reset),
            Event::Set(SetUpdate::Part(part)) => Response::SetPart(part),
            Event::Set(SetUpdate::Edit(edit)) => Response::SetEdit(edit),
            Event::Set(SetUpdate::Retired(retired)) => Response::SetRetired(retired),
        };
        Self { message: Some(message) }
    }
}
