//! One `RouteStates` stream: a task that takes requests in order, and answers
//! each from one snapshot.
//!
//! Flow control is HTTP/2's own. Answers wait in a short channel; when the
//! client does not read, the task waits, and with it whatever the client sends.
//! What is pending for it is then at most one `Reset`.

mod sets;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use presence_router_proto::v1::{
    Deliveries, Delivery, Heartbeat, InterestAnswer, InterestQuery, Open, Opened, Reset,
    RouteStatesRequest, RouteStatesResponse, SetPart, StateBatch, request_error,
    route_states_request::Message as Asked, route_states_response::Message as Told,
};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use tracing::debug;

use self::sets::{NOBODY, Sets};
use super::fault::Fault;
use super::request;
use super::server::Limits;
use crate::live::Current;
use crate::routing::caller::Caller;
use crate::routing::relation::Side;

/// Longest wait for `Open`: a stream that says nothing must not stay for ever.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Sets that a stream remembers before it starts afresh, so that no sequence of
/// requests can fill the memory.
const MAX_SETS: usize = 100_000;

/// Where answers go.
pub(super) type Answers = mpsc::Sender<Result<RouteStatesResponse, Status>>;

/// What a stream did, for the log.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) batches: u64,
    pub(super) states: u64,
    pub(super) interests: u64,
    pub(super) refused: u64,
}

/// Why a stream ends before its client ended it.
enum End {
    /// The client is gone, or has ended the stream.
    Client,
    /// It is refused.
    Refused(Fault),
}

/// An open stream.
pub(super) struct Session {
    live: watch::Receiver<Arc<Current>>,
    current: Arc<Current>,
    caller: Caller,
    limits: Limits,
    sets: Sets,
    answers: Answers,
    last_sent: Instant,
    tally: Tally,
}

/// Serves a stream to its end, and says what it did. The error is the status
/// that ended it, which the client has got as well.
pub(super) async fn serve(
    live: watch::Receiver<Arc<Current>>,
    limits: Limits,
    shutdown: CancellationToken,
    mut requests: Streaming<RouteStatesRequest>,
    answers: Answers,
) -> (Tally, Result<(), Status>) {
    let opening = Session::open(live, limits, &mut requests, answers.clone());
    let opened = tokio::select! {
        biased;
        () = answers.closed() => Err(End::Client),
        () = shutdown.cancelled() => Err(End::Refused(Fault::ShuttingDown)),
        opened = opening => opened,
    };
    let (tally, end) = match opened {
        Ok(mut session) => {
            let end = session.run(&shutdown, &mut requests).await;
            (session.tally, end)
        }
        Err(end) => (Tally::default(), end),
    };
    // The client must be able to end its side, whatever becomes of ours.
    drop(requests);
    let End::Refused(fault) = end else { return (tally, Ok(())) };
    let status = Status::from(fault);
    // A client that is gone needs no reason.
    let _ = answers.send(Err(status.clone())).await;
    (tally, Err(status))
}

// === impl Session ===

impl Session {
    async fn open(
        mut live: watch::Receiver<Arc<Current>>,
        limits: Limits,
        requests: &mut Streaming<RouteStatesRequest>,
        answers: Answers,
    ) -> Result<Self, End> {
        let first = timeout(OPEN_TIMEOUT, requests.message());
        let first = first.await.map_err(|_| End::Refused(Fault::OpenMissing))?;
        let Some(Asked::Open(open)) = asked(first, &limits)? else {
            return Err(End::Refused(Fault::OpenMissing));
        };
        let Open { server_names, resume_revision, set_budget_bytes } = open;
        let caller = request::caller(&server_names)?;
        if set_budget_bytes != 0 {
            return Err(End::Refused(Fault::NotImplemented("`set_budget_bytes`")));
        }
        let current = Arc::clone(&live.borrow_and_update());
        let missed = missed(&resume_revision, &current)?;
        let heartbeat_interval = limits.heartbeat.try_into().ok();
        let sets = Sets::default();
        let last_sent = Instant::now();
        let tally = Tally::default();
        let mut session = Self { live, current, caller, limits, sets, answers, last_sent, tally };
        let revision = session.revision();
        session.tell(Told::Opened(Opened { revision, heartbeat_interval })).await?;
        if missed {
            session.reset().await?;
        }
        Ok(session)
    }

    async fn run(
        &mut self,
        shutdown: &CancellationToken,
        requests: &mut Streaming<RouteStatesRequest>,
    ) -> End {
        loop {
            let quiet_until = self.last_sent + self.limits.heartbeat;
            let step = tokio::select! {
                biased;
                () = self.answers.closed() => return End::Client,
                () = shutdown.cancelled() => return End::Refused(Fault::ShuttingDown),
                // Never fails: whoever serves holds the sender.
                Ok(()) = self.live.changed() => self.follow().await,
                message = requests.message() => match asked(message, &self.limits) {
                    Ok(Some(message)) => self.answer(message).await,
                    Ok(None) => Err(End::Refused(Fault::MessageEmpty)),
                    Err(end) => Err(end),
                },
                () = tokio::time::sleep_until(quiet_until) => {
                    let revision = self.revision();
                    self.tell(Told::Heartbeat(Heartbeat { revision })).await
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Goes on to the current revision, and tells the client if that is new.
    async fn follow(&mut self) -> Result<(), End> {
        let current = Arc::clone(&self.live.borrow_and_update());
        if current.revision == self.current.revision {
            return Ok(());
        }
        self.current = current;
        self.reset().await
    }

    async fn reset(&mut self) -> Result<(), End> {
        self.sets.clear();
        let revision = self.revision();
        self.tell(Told::Reset(Reset { revision })).await
    }

    async fn answer(&mut self, message: Asked) -> Result<(), End> {
        // The policy may have changed while the last answer waited to be read.
        self.follow().await?;
        if self.sets.len() > MAX_SETS {
            self.reset().await?;
        }
        let mut defined = Vec::new();
        let (request, answer) = match message {
            Asked::Open(_) => return Err(End::Refused(Fault::OpenRepeated)),
            Asked::Batch(batch) => {
                self.tally.batches += 1;
                let request = request_error::Request::BatchId(batch.batch_id);
                (request, self.deliveries(batch, &mut defined).map(Told::Deliveries))
            }
            Asked::Interest(query) => {
                self.tally.interests += 1;
                let request = request_error::Request::QueryId(query.query_id);
                (request, self.interest(&query, &mut defined).map(Told::InterestAnswer))
            }
        };
        for part in defined {
            self.tell(Told::SetPart(part)).await?;
        }
        match answer {
            Ok(answer) => self.tell(answer).await,
            Err(fault) => {
                self.tally.refused += 1;
                debug!(?request, %fault, "request refused");
                self.tell(Told::RequestError(fault.into_request_error(request))).await
            }
        }
    }

    fn deliveries(
        &mut self,
        batch: StateBatch,
        defined: &mut Vec<SetPart>,
    ) -> Result<Deliveries, Fault> {
        let StateBatch { batch_id, at_least, states } = batch;
        request::reached("at_least", &at_least, self.current.revision)?;
        let senders = request::senders(&states, self.limits.batch_states)?;
        self.tally.states += u64::try_from(senders.len()).unwrap_or(u64::MAX);
        let snapshot = &self.current.snapshot;
        // By set, in the order of first use.
        let mut places: HashMap<u64, usize> = HashMap::new();
        let mut deliveries: Vec<Delivery> = Vec::new();
        for (index, sender) in (0u32..).zip(senders) {
            let signature = snapshot.signature(sender, Side::Sender, &self.caller);
            let id = self.sets.counterparts(signature, snapshot, &self.caller, defined);
            if id == NOBODY {
                continue;
            }
            let place = *places.entry(id).or_insert(deliveries.len());
            match deliveries.get_mut(place) {
                Some(delivery) => delivery.state_indexes.push(index),
                None => deliveries.push(Delivery {
                    recipients_set_id: id,
                    state_indexes: vec![index],
                    hides: Vec::new(),
                }),
            }
        }
        Ok(Deliveries { batch_id, revision: self.revision(), deliveries })
    }

    fn interest(
        &mut self,
        query: &InterestQuery,
        defined: &mut Vec<SetPart>,
    ) -> Result<InterestAnswer, Fault> {
        let InterestQuery { query_id, at_least, user_id } = query;
        request::reached("at_least", at_least, self.current.revision)?;
        let recipient = request::recipient(user_id)?;
        let snapshot = &self.current.snapshot;
        let signature = snapshot.signature(recipient, Side::Recipient, &self.caller);
        let senders_set_id = self.sets.counterparts(signature, snapshot, &self.caller, defined);
        Ok(InterestAnswer {
            query_id: *query_id,
            revision: self.revision(),
            senders_set_id,
            hides: Vec::new(),
        })
    }

    fn revision(&self) -> String {
        self.current.revision.to_string()
    }

    async fn tell(&mut self, message: Told) -> Result<(), End> {
        let response = RouteStatesResponse { message: Some(message) };
        self.answers.send(Ok(response)).await.map_err(|_| End::Client)?;
        self.last_sent = Instant::now();
        Ok(())
    }
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault)
    }
}

/// What a message asks for. `None`: nothing that this daemon knows.
fn asked(
    message: Result<Option<RouteStatesRequest>, Status>,
    limits: &Limits,
) -> Result<Option<Asked>, End> {
    match message {
        Ok(Some(RouteStatesRequest { message })) => Ok(message),
        Ok(None) => Err(End::Client),
        Err(status) => {
            Err(Fault::of_transport(&status, limits.request_bytes)
                .map_or(End::Client, End::Refused))
        }
    }
}

/// Whether a client that remembers answers of a revision has missed something.
fn missed(resume_revision: &str, current: &Current) -> Result<bool, Fault> {
    if resume_revision.is_empty() {
        return Ok(false);
    }
    match request::reached("open.resume_revision", resume_revision, current.revision) {
        Ok(()) => Ok(resume_revision != current.revision.to_string()),
        // After a restart nothing that it remembers holds; it may stay.
        Err(Fault::RevisionOfOtherHistory { .. }) => Ok(true),
        Err(fault) => Err(fault),
    }
}
