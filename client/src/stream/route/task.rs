//! The task that keeps a `RouteStates` stream open and sends requests over it; its
//! `answers` hand out what comes back.

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

/// Requests that the daemon has not answered yet. More would not be faster.
const MAX_IN_FLIGHT: usize = 256;

/// Keeps the stream.
pub(super) struct Task {
    shared: Arc<Shared>,
    requests: mpsc::Receiver<Request>,
    /// To be sent, in this order.
    waiting: VecDeque<Request>,
    /// Sent, and to be answered in this order.
    in_flight: VecDeque<(u64, Request)>,
    last_id: u64,
    /// The revision of the last message.
    resume_revision: String,
    capabilities: Capabilities,
    backoff: ReconnectBackoff,
}

/// How a stream ended.
enum StreamEnd {
    /// All handles are gone.
    Unused,
    /// It did not open.
    NotOpened(StreamError),
    /// It opened, and broke. `useful`: after it was of use.
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

    pub(super) async fn run(mut self) {
        loop {
            let at = match self.run_stream().await {
                StreamEnd::Unused => return,
                StreamEnd::NotOpened(mut failed) => {
                    if refuses_revision(&failed.error) {
                        self.resume_revision.clear();
                    }
                    if self.capabilities.downgrade(&mut failed) {
                        continue;
                    }
                    for request in self.waiting.drain(..) {
                        request.fail(failed.clone());
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

    /// Puts requests under way back into the queue, each once.
    fn requeue_in_flight(&mut self, failed: &StreamError) {
        let now = Instant::now();
        while let Some((_, mut request)) = self.in_flight.pop_back() {
            if request.retried || request.deadline <= now {
                request.fail(failed.clone());
            } else {
                request.retried = true;
                self.waiting.push_front(request);
            }
        }
    }

    /// Waits, unless a request comes: the circuit breaker permitted it, so it is to be
    /// tried. Says whether there are handles.
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

    /// Takes the next request from a handle. Says whether there are handles.
    async fn receive_request(&mut self) -> bool {
        let request = self.requests.recv().await;
        let more = request.is_some();
        self.waiting.extend(request);
        more
    }

    /// One stream, from beginning to end.
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
        let failed = match self.serve(&outgoing, &mut inbound, liveness).await {
            Ok(()) => return StreamEnd::Unused,
            Err(failed) => failed,
        };
        let pending = u64::try_from(self.in_flight.len()).unwrap_or(u64::MAX);
        let useful =
            self.last_id - answered > pending || since.elapsed() > self.backoff.settings.max_delay;
        StreamEnd::Broken { failed, useful }
    }

    /// The future borrows nothing, so that requests can come meanwhile.
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
        };
        // There is room: nothing was sent yet.
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

    /// Sends and reads, until the stream breaks or all handles are gone.
    async fn serve(
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
                        // The stream is about to say why.
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

    /// Whether the next request can go. One that was under way when a stream
    /// broke goes alone: should it be why, it breaks no other one's answer.
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
