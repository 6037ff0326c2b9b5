//! The task that keeps a `RouteStates` stream open and sends requests over it; `answers`
//! handles the daemon's messages.

mod answers;

use std::{collections::VecDeque, sync::Arc};

use presence_router_proto::v1::{
    Open, RouteStatesRequest, RouteStatesResponse, route_states_request::Message as RequestMessage,
    route_states_response::Message as ResponseMessage,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::request::{MAX_WAITING, Request};
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
    pub(super) fn new(shared: Arc<Shared>, requests: mpsc::Receiver<Request>) -> Self {
        Self {
            requests,
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            last_id: 0,
            resume_revision: String::new(),
            capabilities: Capabilities::new("RouteStates", &shared),
            backoff: ReconnectBackoff::new(shared.backoff),
            shared,
        }
    }

    pub(super) async fn keep_open(mut self) {
        loop {
            let at = match self.run_stream().await {
                StreamEnd::Unused => return,
                StreamEnd::NotOpened(mut failed) => {
                    if refuses_revision(&failed.error) {
                        self.resume_revision.clear();
                    }
                    if self.capabilities.downgrade_after(&mut failed) {
                        continue;
                    }
                    for request in self.waiting.drain(..) {
                        request.reply_error(failed.clone());
                    }
                    self.backoff.next_try()
                }
                StreamEnd::Broken { failed, useful } => {
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
            if request.retried || request.deadline <= now {
                request.reply_error(failed.clone());
            } else {
                request.retried = true;
                self.waiting.push_front(request);
            }
        }
    }

    /// Waits until a time, or until a request comes: the circuit breaker permitted it, so
    /// the task must try. Returns false if all handles were dropped.
    async fn wait_until(&mut self, until: Instant) -> bool {
        let idle = self.waiting.is_empty();
        loop {
            tokio::select! {
                () = sleep_until(until) => return true,
                more = self.receive_request(), if self.waiting.len() < MAX_WAITING => {
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
        self.waiting.extend(request);
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
                more = self.receive_request(), if self.waiting.len() < MAX_WAITING => {
                    if !more {
                        return StreamEnd::Unused;
                    }
                }
            }
        };
        let (mut inbound, liveness) = match opened {
            Ok(opened) => opened,
            Err(failed) => return StreamEnd::NotOpened(failed),
        };
        self.shared.breaker.close();
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
    ) -> impl Future<Output = Result<(Streaming<RouteStatesResponse>, Liveness), StreamError>> + use<>
    {
        let open = Open {
            server_names: self.shared.server_names.clone(),
            resume_revision: self.resume_revision.clone(),
            set_budget_bytes: self.capabilities.set_budget_bytes(),
            capabilities: Vec::new(),
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
                Some(Some(ResponseMessage::Opened(opened))) => {
                    Ok((inbound, Liveness::new(&opened)))
                }
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
        let mut store = Store::new(self.capabilities.set_budget_bytes);
        let mut sending = true;
        loop {
            let may_send = sending && self.may_send();
            tokio::select! {
                message = inbound.message() => match message {
                    Ok(Some(RouteStatesResponse { message })) => {
                        liveness.message_came();
                        self.handle_message(message.ok_or(ProtocolViolation::UnknownMessage)?, &mut store)?;
                    }
                    Ok(None) => return Err(StreamError::unreachable("the daemon ended the stream")),
                    Err(status) => return Err(StreamError::of_status(self.capabilities.call, &status)),
                },
                failed = liveness.expired() => return Err(failed),
                room = outgoing.reserve(), if may_send => match (room, self.waiting.pop_front()) {
                    (Ok(room), Some(request)) if !request.is_abandoned() => {
                        self.last_id += 1;
                        room.send(request.to_message(self.last_id));
                        self.in_flight.push_back((self.last_id, request));
                    }
                    (Ok(_), _) => {}
                    (Err(_), request) => {
                        // The inbound side will return the reason.
                        sending = false;
                        self.waiting.extend(request);
                    }
                },
                more = self.receive_request(), if self.waiting.len() < MAX_WAITING => {
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
        let Some(next) = self.waiting.front() else { return false };
        match self.in_flight.back() {
            None => true,
            Some((_, last)) => {
                !next.retried && !last.retried && self.in_flight.len() < MAX_IN_FLIGHT
            }
        }
    }
}
