//! The task that keeps a `RouteStates` stream open and sends requests over it; `answers`
//! handles the daemon's messages, and `hit_reports` tells the daemon of hits in memory.

mod answers;
mod hit_reports;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use presence_router_proto::v1::{
    Capability, Open, Opened, RouteStatesRequest, RouteStatesResponse,
    route_states_request::Message as RequestMessage,
    route_states_response::Message as ResponseMessage,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use self::hit_reports::HitReports;
use super::{
    cache_writer::CacheWriter,
    request::{MAX_WAITING, Question, Request},
};
use crate::{
    Error, ProtocolViolation,
    shared::Shared,
    stream::{
        Capabilities, Liveness, OPENING, ReconnectBackoff, StreamError, refuses_revision,
        store::Store,
    },
};

/// Maximum number of requests that the daemon has not answered. More would not be faster.
const MAX_IN_FLIGHT: usize = 256;

/// Maximum time after which the daemon hears of hits in memory.
const REPORT_HITS_EVERY: Duration = Duration::from_secs(5);

/// The task that keeps the stream open.
pub(super) struct Task {
    shared: Arc<Shared>,
    requests: mpsc::Receiver<Request>,
    /// Requests to send, in this order.
    waiting: VecDeque<Request>,
    /// Requests that were sent, in the order of their answers.
    in_flight: VecDeque<(u64, Request)>,
    last_id: u64,
    /// The revision of the last message.
    resume_revision: String,
    capabilities: Capabilities,
    backoff: ReconnectBackoff,
    /// `None`: the stream remembers no answers.
    cache: Option<CacheWriter>,
    /// Hits in memory, on the current stream.
    hit_reports: HitReports,
}

/// The end of a stream.
enum StreamEnd {
    /// All handles were dropped.
    Unused,
    /// The stream did not open.
    NotOpened(StreamError),
    /// The stream opened, and broke. `useful` is true if it answered requests or lived
    /// long.
    Broken { failed: StreamError, useful: bool },
}

// === impl Task ===

impl Task {
    pub(super) fn new(
        shared: Arc<Shared>,
        requests: mpsc::Receiver<Request>,
        cache: Option<CacheWriter>,
    ) -> Self {
        let sets = cache.as_ref().map_or(shared.set_budget_bytes, CacheWriter::set_budget);
        Self {
            requests,
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            last_id: 0,
            resume_revision: String::new(),
            capabilities: Capabilities::new("RouteStates", sets),
            backoff: ReconnectBackoff::new(shared.backoff),
            shared,
            cache,
            hit_reports: HitReports::default(),
        }
    }

    pub(super) async fn keep_open(mut self) {
        loop {
            let at = match self.run_stream().await {
                StreamEnd::Unused => return,
                StreamEnd::NotOpened(mut failed) => {
                    if let Some(cache) = &mut self.cache {
                        cache.end_stream(&failed);
                    }
                    // Not a refusal of this client: the next stream opens without the revision.
                    let refuses_revision = refuses_revision(&failed.error);
                    if refuses_revision {
                        self.resume_revision.clear();
                    }
                    if self.capabilities.downgrade_after(&mut failed) {
                        continue;
                    }
                    while let Some(request) = self.waiting.pop_front() {
                        self.fail_request(request, &failed);
                    }
                    if let Some(cache) = &mut self.cache {
                        cache.misses.fail_questions(&failed);
                        if !refuses_revision {
                            cache.feed.report_disconnected(&failed.error);
                        }
                    }
                    self.backoff.next_try()
                }
                StreamEnd::Broken { failed, useful } => {
                    if let Some(cache) = &mut self.cache {
                        cache.end_stream(&failed);
                        cache.feed.report_disconnected(&failed.error);
                    }
                    self.requeue_in_flight(&failed);
                    self.capabilities.reset();
                    if useful {
                        self.backoff.reset();
                        Instant::now()
                    } else {
                        self.backoff.next_try()
                    }
                }
            };
            if !self.wait_until(at).await {
                return;
            }
        }
    }

    /// Puts requests in flight back into the queue, each at most once.
    fn requeue_in_flight(&mut self, failed: &StreamError) {
        let now = Instant::now();
        while let Some((_, mut request)) = self.in_flight.pop_back() {
            let deadline = self.latest_deadline(&request);
            if request.retried || deadline.is_none_or(|deadline| deadline <= now) {
                self.fail_request(request, failed);
            } else {
                request.retried = true;
                self.waiting.push_front(request);
            }
        }
    }

    fn fail_request(&mut self, request: Request, failed: &StreamError) {
        match (&request.question, &mut self.cache) {
            (Question::Fill(fill), Some(cache)) => cache.misses.fail(fill, failed),
            _ => request.reply_error(failed.clone()),
        }
    }

    /// Returns the latest deadline of a request's callers. `None`: all gave up.
    fn latest_deadline(&self, request: &Request) -> Option<Instant> {
        match (&request.question, &self.cache) {
            (Question::Fill(fill), Some(cache)) => cache.misses.latest_deadline_of(fill),
            _ => (!request.is_abandoned()).then_some(request.deadline),
        }
    }

    /// Returns true if there are requests to send.
    fn has_requests(&self) -> bool {
        let has_questions = self.cache.as_ref().is_some_and(|cache| cache.misses.has_questions());
        !self.waiting.is_empty() || has_questions
    }

    /// Returns true if another caller may wait.
    fn may_receive(&self) -> bool {
        let callers = self.cache.as_ref().map_or(0, |cache| cache.misses.callers());
        self.waiting.len() + callers < MAX_WAITING
    }

    /// Takes the next request to send. `None`: its callers gave up.
    fn next_request(&mut self) -> Option<Request> {
        if let Some(request) = self.waiting.pop_front() {
            return Some(request);
        }
        let (fill, deadline) = self.cache.as_mut()?.misses.next_fill()?;
        Some(Request::new(Question::Fill(fill), deadline))
    }

    /// Waits until a time, or until a request comes: the circuit breaker permitted it, so
    /// the task must try. Returns false if all handles were dropped.
    async fn wait_until(&mut self, until: Instant) -> bool {
        let idle = !self.has_requests();
        loop {
            tokio::select! {
                () = sleep_until(until) => return true,
                more = self.receive_request(), if self.may_receive() => {
                    if !more || idle {
                        return more;
                    }
                }
            }
        }
    }

    /// Receives the next request from a handle. Returns false if all handles were dropped.
    async fn receive_request(&mut self) -> bool {
        let request = self.requests.recv().await;
        let more = request.is_some();
        self.waiting.extend(request.and_then(|request| match &mut self.cache {
            Some(cache) => cache.receive_miss(request),
            None => Some(request),
        }));
        more
    }

    /// Runs one stream from beginning to end.
    async fn run_stream(&mut self) -> StreamEnd {
        let (outgoing, receiver) = mpsc::channel(MAX_IN_FLIGHT);
        let opening = self.open_stream(&outgoing, receiver);
        tokio::pin!(opening);
        let opened = loop {
            tokio::select! {
                opened = &mut opening => break opened,
                more = self.receive_request(), if self.may_receive() => {
                    if !more {
                        return StreamEnd::Unused;
                    }
                }
            }
        };
        let (mut inbound, opened) = match opened {
            Ok(opened) => opened,
            Err(failed) => return StreamEnd::NotOpened(failed),
        };
        let liveness = Liveness::new(&opened);
        let names_servers = opened.capabilities().any(|one| one == Capability::NamedServers);
        let accepts_touch = opened.capabilities().any(|one| one == Capability::Touch);
        self.hit_reports = HitReports::of_stream(accepts_touch);
        self.shared.breaker.close();
        if let Some(cache) = &mut self.cache {
            cache.begin_named_servers(names_servers);
            // A daemon from before `Touch` does not reset a resumed stream for every change of
            // hides, so that nothing would end answers of the stream before.
            cache.begin_stream(&opened.revision, &self.resume_revision, accepts_touch);
        }
        if self.resume_revision.is_empty() {
            // The stream may break before its first message, and the next one must report what
            // happened meanwhile.
            self.resume_revision = opened.revision;
        }
        let since = Instant::now();
        let answered = self.last_id;
        let failed = match self.serve_requests(&outgoing, &mut inbound, liveness).await {
            Ok(()) => return StreamEnd::Unused,
            Err(failed) => failed,
        };
        let pending = u64::try_from(self.in_flight.len()).unwrap_or(u64::MAX);
        let useful =
            self.last_id - answered > pending || since.elapsed() > self.backoff.settings.max_delay;
        StreamEnd::Broken { failed, useful }
    }

    /// Opens a stream. The future borrows nothing, so that the task can receive requests
    /// meanwhile.
    fn open_stream(
        &self,
        outgoing: &mpsc::Sender<RouteStatesRequest>,
        receiver: mpsc::Receiver<RouteStatesRequest>,
    ) -> impl Future<Output = Result<(Streaming<RouteStatesResponse>, Opened), StreamError>> + use<>
    {
        // Only a near-cache has use for the list.
        let named_servers = self.cache.iter().map(|_| Capability::NamedServers.into());
        let open = Open {
            server_names: self.shared.server_names.clone(),
            resume_revision: self.resume_revision.clone(),
            set_budget_bytes: self.capabilities.set_budget_bytes(),
            capabilities: named_servers.chain(self.shared.stated_capabilities()).collect(),
        };
        // The channel has room: nothing was sent yet.
        let _ = outgoing.try_send(RouteStatesRequest { message: Some(RequestMessage::Open(open)) });
        let mut service = self.shared.service.clone();
        let call = self.capabilities.call;
        let opening = async move {
            let inbound = service.route_states(ReceiverStream::new(receiver)).await?;
            let mut inbound = inbound.into_inner();
            let first = inbound.message().await?;
            Ok::<_, Status>((inbound, first))
        };
        async move {
            let opened = timeout(OPENING, opening).await.map_err(|_| Error::Deadline(OPENING))?;
            let (inbound, first) =
                opened.map_err(|status| StreamError::of_status(call, &status))?;
            match first.map(|first| first.message) {
                Some(Some(ResponseMessage::Opened(opened))) => Ok((inbound, opened)),
                Some(Some(_)) => Err(ProtocolViolation::NotOpened.into()),
                Some(None) => Err(ProtocolViolation::UnknownMessage.into()),
                None => Err(StreamError::unreachable("the daemon ended the stream")),
            }
        }
    }

    /// Sends requests and reads messages, until the stream breaks or all handles are
    /// dropped.
    async fn serve_requests(
        &mut self,
        outgoing: &mpsc::Sender<RouteStatesRequest>,
        inbound: &mut Streaming<RouteStatesResponse>,
        mut liveness: Liveness,
    ) -> Result<(), StreamError> {
        let mut store =
            Store::new(self.capabilities.set_budget_bytes, self.shared.room_capabilities);
        let mut sending = true;
        let mut report_hits_at = Instant::now() + REPORT_HITS_EVERY;
        loop {
            let may_send = sending && self.may_send();
            tokio::select! {
                message = inbound.message() => match message {
                    Ok(Some(RouteStatesResponse { message })) => {
                        liveness.message_came();
                        self.handle_message(message.ok_or(ProtocolViolation::UnknownMessage)?, &mut store)?;
                        // The daemon is not responsible for the time that a large change took.
                        liveness.message_came();
                    }
                    Ok(None) => return Err(StreamError::unreachable("the daemon ended the stream")),
                    Err(status) => return Err(StreamError::of_status(self.capabilities.call, &status)),
                },
                failed = liveness.expired() => return Err(failed),
                room = outgoing.reserve(), if may_send => match room {
                    Ok(room) => self.send_next(room),
                    // The inbound side will return the reason.
                    Err(_) => sending = false,
                },
                () = sleep_until(report_hits_at), if self.cache.is_some() => {
                    report_hits_at = Instant::now() + REPORT_HITS_EVERY;
                    if let Some(cache) = &mut self.cache {
                        self.hit_reports.collect(cache);
                    }
                }
                more = self.receive_request(), if self.may_receive() => {
                    if !more {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Returns true if the next request can be sent. A request that was in flight when a
    /// stream broke is sent alone: if it is the cause, it fails no other request.
    fn may_send(&self) -> bool {
        if self.hit_reports.is_waiting() {
            return true;
        }
        // The task asks again if an answer comes between two revisions: without end, if the
        // daemon takes its time until `Changed`.
        let asks_in_vain = self.cache.as_ref().is_some_and(CacheWriter::is_between_revisions);
        if asks_in_vain || !self.has_requests() {
            return false;
        }
        let next_retried = self.waiting.front().is_some_and(|next| next.retried);
        match self.in_flight.back() {
            None => true,
            Some((_, last)) => {
                !next_retried && !last.retried && self.in_flight.len() < MAX_IN_FLIGHT
            }
        }
    }

    fn send_next(&mut self, room: mpsc::Permit<'_, RouteStatesRequest>) {
        if let Some(cache) = &mut self.cache {
            self.hit_reports.collect_before_question(cache);
        }
        if let Some(touch) = self.hit_reports.take_touch() {
            room.send(RouteStatesRequest { message: Some(RequestMessage::Touch(touch)) });
            return;
        }
        let Some(request) = self.next_request() else { return };
        if self.latest_deadline(&request).is_none() {
            // Nobody hears of the error, but nobody else must wait for the answer either.
            let gone = StreamError::unreachable("all callers gave up");
            self.fail_request(request, &gone);
        } else if let Some(message) = request.to_message(self.last_id + 1) {
            self.last_id += 1;
            room.send(message);
            self.in_flight.push_back((self.last_id, request));
        }
    }
}
