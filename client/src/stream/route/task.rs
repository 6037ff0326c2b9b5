//! What keeps a `RouteStates` stream open, sends requests over it, and hands out
//! their answers.

use std::{collections::VecDeque, sync::Arc};

use presence_router_proto::v1::{
    self, ErrorReason, Open, RequestError, RouteStatesRequest, RouteStatesResponse, request_error,
    route_states_request::Message as Ask, route_states_response::Message as Told,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::{MAX_WAITING, Request, What};
use crate::{
    Breach, Delivery, Error, Hide, Interest, Refusal, Routed, Set, Violation,
    client::Shared,
    stream::{Demands, Failed, OPENING, Pace, Silence, is_about_resuming, store::Store},
};

/// Requests that the daemon has not answered yet. More would not be faster.
const MAX_IN_FLIGHT: usize = 256;

/// What keeps the stream.
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
    demands: Demands,
    pace: Pace,
}

/// How a stream ended.
enum End {
    /// All handles are gone.
    Unused,
    /// It did not open.
    NotOpened(Failed),
    /// It opened, and broke. `useful`: after it was of use.
    Broken { failed: Failed, useful: bool },
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
            demands: Demands::new("RouteStates", &shared),
            pace: Pace::new(shared.backoff),
            shared,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let at = match self.stream().await {
                End::Unused => return,
                End::NotOpened(mut failed) => {
                    if is_about_resuming(&failed.error) {
                        self.resume_revision.clear();
                    }
                    if self.demands.lower(&mut failed) {
                        continue;
                    }
                    for request in self.waiting.drain(..) {
                        request.fail(failed.clone());
                    }
                    self.pace.next()
                }
                End::Broken { failed, useful } => {
                    self.take_back(&failed);
                    self.demands.restore();
                    if useful {
                        self.pace.reset();
                        Instant::now()
                    } else {
                        self.pace.next()
                    }
                }
            };
            if !self.pause(at).await {
                return;
            }
        }
    }

    /// Takes back what was under way, once.
    fn take_back(&mut self, failed: &Failed) {
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

    /// Waits, unless a request comes: that it passed the gate means that it is
    /// to be tried. Says whether there are handles.
    async fn pause(&mut self, until: Instant) -> bool {
        let idle = self.waiting.is_empty();
        loop {
            tokio::select! {
                () = sleep_until(until) => return true,
                more = self.take(), if self.waiting.len() < MAX_WAITING => {
                    if !more || idle {
                        return more;
                    }
                }
            }
        }
    }

    /// Takes the next request from a handle. Says whether there are handles.
    async fn take(&mut self) -> bool {
        let request = self.requests.recv().await;
        let more = request.is_some();
        self.waiting.extend(request);
        more
    }

    /// One stream, from beginning to end.
    async fn stream(&mut self) -> End {
        let (outgoing, receiver) = mpsc::channel(MAX_IN_FLIGHT);
        let opening = self.opening(&outgoing, receiver);
        tokio::pin!(opening);
        let opened = loop {
            tokio::select! {
                opened = &mut opening => break opened,
                more = self.take(), if self.waiting.len() < MAX_WAITING => {
                    if !more {
                        return End::Unused;
                    }
                }
            }
        };
        let (mut inbound, silence) = match opened {
            Ok(opened) => opened,
            Err(failed) => return End::NotOpened(failed),
        };
        self.shared.gate.heard();
        let since = Instant::now();
        let answered = self.last_id;
        let failed = match self.serve(&outgoing, &mut inbound, silence).await {
            Ok(()) => return End::Unused,
            Err(failed) => failed,
        };
        let pending = u64::try_from(self.in_flight.len()).unwrap_or(u64::MAX);
        let useful = self.last_id - answered > pending || since.elapsed() > self.pace.backoff.most;
        End::Broken { failed, useful }
    }

    /// The future borrows nothing, so that requests can come meanwhile.
    fn opening(
        &self,
        outgoing: &mpsc::Sender<RouteStatesRequest>,
        receiver: mpsc::Receiver<RouteStatesRequest>,
    ) -> impl Future<Output = Result<(Streaming<RouteStatesResponse>, Silence), Failed>> + use<>
    {
        let open = Open {
            server_names: self.shared.server_names.clone(),
            resume_revision: self.resume_revision.clone(),
            set_budget_bytes: self.demands.set_budget_bytes(),
        };
        // There is room: nothing was sent yet.
        let _ = outgoing.try_send(RouteStatesRequest { message: Some(Ask::Open(open)) });
        let mut service = self.shared.service.clone();
        let call = self.demands.call;
        let opening = async move {
            let inbound = service.route_states(ReceiverStream::new(receiver)).await?;
            let mut inbound = inbound.into_inner();
            let first = inbound.message().await?;
            Ok::<_, Status>((inbound, first))
        };
        async move {
            let opened = timeout(OPENING, opening).await.map_err(|_| Error::Deadline(OPENING))?;
            let (inbound, first) = opened.map_err(|status| Failed::of_status(call, &status))?;
            match first.map(|first| first.message) {
                Some(Some(Told::Opened(opened))) => Ok((inbound, Silence::new(&opened))),
                Some(Some(_)) => Err(Breach::NotOpened.into()),
                Some(None) => Err(Breach::UnknownMessage.into()),
                None => Err(Failed::gone("the daemon ended the stream")),
            }
        }
    }

    /// Sends and reads, until the stream breaks or all handles are gone.
    async fn serve(
        &mut self,
        outgoing: &mpsc::Sender<RouteStatesRequest>,
        inbound: &mut Streaming<RouteStatesResponse>,
        mut silence: Silence,
    ) -> Result<(), Failed> {
        let mut store = Store::new(self.demands.set_budget_bytes);
        let mut sending = true;
        loop {
            let may_send = sending && self.may_send();
            tokio::select! {
                message = inbound.message() => match message {
                    Ok(Some(RouteStatesResponse { message })) => {
                        silence.heard();
                        self.hear(message.ok_or(Breach::UnknownMessage)?, &mut store)?;
                    }
                    Ok(None) => return Err(Failed::gone("the daemon ended the stream")),
                    Err(status) => return Err(Failed::of_status(self.demands.call, &status)),
                },
                failed = silence.too_long() => return Err(failed),
                room = outgoing.reserve(), if may_send => match (room, self.waiting.pop_front()) {
                    (Ok(room), Some(request)) if !request.is_void() => {
                        self.last_id += 1;
                        room.send(request.message(self.last_id));
                        self.in_flight.push_back((self.last_id, request));
                    }
                    (Ok(_), _) => {}
                    (Err(_), request) => {
                        // The stream is about to say why.
                        sending = false;
                        self.waiting.extend(request);
                    }
                },
                more = self.take(), if self.waiting.len() < MAX_WAITING => {
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

    fn hear(&mut self, message: Told, store: &mut Store) -> Result<(), Breach> {
        let revision = match message {
            Told::Opened(_) => return Err(Breach::OpenedTwice),
            Told::SetPart(part) => return store.define(part),
            Told::SetEdit(edit) => return store.edit(edit),
            Told::SetRetired(retired) => return store.retire(retired),
            Told::Changed(changed) => {
                store.changed()?;
                changed.revision
            }
            Told::Reset(reset) => {
                store.reset();
                reset.revision
            }
            Told::Heartbeat(heartbeat) => heartbeat.revision,
            Told::Deliveries(answer) => {
                let What::Route(senders, _) = &self.first(answer.batch_id)?.what else {
                    return Err(Breach::AnswerToNothing);
                };
                let senders = Arc::clone(senders);
                let mut deliveries = Vec::with_capacity(answer.deliveries.len());
                for delivery in answer.deliveries {
                    deliveries.push(Delivery {
                        recipients: store.resolve(delivery.recipients_set_id)?,
                        state_indexes: delivery.state_indexes,
                        hides: hides(&delivery.hides, store)?,
                    });
                }
                let routed = Routed::new(answer.revision.clone(), senders, deliveries)?;
                if let Some((_, Request { what: What::Route(_, reply), .. })) =
                    self.in_flight.pop_front()
                {
                    // Whoever gave up needs no answer.
                    let _ = reply.send(Ok(routed));
                }
                answer.revision
            }
            Told::InterestAnswer(answer) => {
                let What::Interest(..) = &self.first(answer.query_id)?.what else {
                    return Err(Breach::AnswerToNothing);
                };
                let senders = match answer.senders_set_id {
                    0 => Set::nobody(),
                    id => store.resolve(id)?,
                };
                let hides = hides(&answer.hides, store)?;
                let revision = answer.revision;
                if let Some((_, Request { what: What::Interest(user_id, reply), .. })) =
                    self.in_flight.pop_front()
                {
                    let revision = revision.clone();
                    let _ = reply.send(Ok(Interest { revision, user_id, senders, hides }));
                }
                revision
            }
            Told::RequestError(error) => {
                let (request_error::Request::BatchId(id) | request_error::Request::QueryId(id)) =
                    error.request.ok_or(Breach::AnswerToNothing)?;
                self.first(id)?;
                if let Some((_, request)) = self.in_flight.pop_front() {
                    request.fail(refused(error).into());
                }
                return Ok(());
            }
        };
        self.resume_revision = revision;
        Ok(())
    }

    /// The request that is answered: the first one under way. It stays there
    /// until its answer is known to be good, so that it can be tried again.
    fn first(&self, id: u64) -> Result<&Request, Breach> {
        match self.in_flight.front() {
            Some((first, request)) if *first == id => Ok(request),
            _ => Err(Breach::AnswerToNothing),
        }
    }
}

fn hides(hides: &[v1::Hide], store: &mut Store) -> Result<Vec<Hide>, Breach> {
    hides.iter().map(|hide| Hide::new(hide, |users| store.resolve_expression(users))).collect()
}

fn refused(error: RequestError) -> Error {
    let name = ErrorReason::try_from(error.reason).ok().filter(|r| *r != ErrorReason::Unspecified);
    let name = name.map(|reason| reason.as_str_name());
    let violations = error.violations.into_iter();
    Error::Refused(Box::new(Refusal {
        code: Code::from(error.code),
        reason: name.map(|name| name.strip_prefix("ERROR_REASON_").unwrap_or(name).to_owned()),
        message: error.message,
        violations: violations
            .map(|one| Violation { field: one.field, description: one.description })
            .collect(),
    }))
}
