//! One `RouteStates` stream: a task that takes requests in order, and answers
//! each from one snapshot.
//!
//! Flow control is HTTP/2's own. Answers wait in a short channel; when the
//! client does not read, the task waits, and with it whatever the client sends.
//! What is pending for it is then the sets of one audience, or one `Reset`.
//!
//! To read in this order: [`route`] answers requests, `sets` is what the stream
//! has told, and `batch` routes many states by it.

mod batch;
pub mod route;
mod sets;

use std::sync::Arc;
use std::time::Duration;

use presence_router_proto::server::{
    RouteStatesRequest, RouteStatesResponse, route_states_request::Message as Asked,
    route_states_response::Message as Told,
};
use presence_router_proto::v1::{Heartbeat, Open, Opened, Reset, SetPart, request_error};
use presence_router_proto::wire::{Deliveries, StateBatch};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use tracing::debug;

use self::route::Route;
use super::fault::Fault;
use super::request;
use super::server::Limits;
use crate::live::Current;
use crate::revision::Revision;

/// Longest wait for `Open`: a stream that says nothing must not stay for ever.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers for users whom nobody names that a stream remembers before it starts
/// afresh, so that no sequence of requests can fill the memory.
const MAX_UNNAMED: usize = 100_000;

/// Where answers go.
pub(super) type Answers = mpsc::Sender<Result<RouteStatesResponse, Status>>;

/// What a stream did, for the log.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) batches: u64,
    pub(super) states: u64,
    pub(super) interests: u64,
    pub(super) refused: u64,
    /// The last one that it answered at.
    pub(super) revision: Option<Revision>,
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
    limits: Limits,
    route: Route,
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
            (Tally { revision: Some(session.current.revision), ..session.tally }, end)
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
        let last_sent = Instant::now();
        let tally = Tally::default();
        let route = Route::new(caller);
        let mut session = Self { live, current, limits, route, answers, last_sent, tally };
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
        self.route.reset();
        let revision = self.revision();
        self.tell(Told::Reset(Reset { revision })).await
    }

    async fn answer(&mut self, message: Asked) -> Result<(), End> {
        // The policy may have changed while the last answer waited to be read.
        self.follow().await?;
        if self.route.unnamed() > MAX_UNNAMED {
            self.reset().await?;
        }
        let (request, answer) = match message {
            Asked::Open(_) => return Err(End::Refused(Fault::OpenRepeated)),
            Asked::Batch(batch) => {
                let request = request_error::Request::BatchId(batch.batch_id);
                (request, self.deliveries(&batch).await?.map(Told::Deliveries))
            }
            Asked::Interest(query) => {
                self.tally.interests += 1;
                let request = request_error::Request::QueryId(query.query_id);
                let mut defined = Vec::new();
                let answer = self.route.interest(&self.current, &query, &mut defined);
                self.tell_sets(&mut defined).await?;
                (request, answer.map(Told::InterestAnswer))
            }
        };
        match answer {
            Ok(answer) => self.tell(answer).await,
            Err(fault) => {
                self.tally.refused += 1;
                debug!(?request, %fault, "request refused");
                self.tell(Told::RequestError(fault.into_request_error(request))).await
            }
        }
    }

    /// Tells the sets of a batch as they are defined, at the pace at which the
    /// client reads them.
    async fn deliveries(&mut self, batch: &StateBatch) -> Result<Result<Deliveries, Fault>, End> {
        self.tally.batches += 1;
        if let Err(fault) = self.route.begin(&self.current, batch, self.limits.batch_states) {
            return Ok(Err(fault));
        }
        let mut defined = Vec::new();
        while self.route.advance(&self.current, batch, &mut defined) {
            self.tell_sets(&mut defined).await?;
            tokio::task::consume_budget().await;
        }
        self.tell_sets(&mut defined).await?;
        self.tally.states += u64::try_from(batch.users.len()).unwrap_or(u64::MAX);
        Ok(Ok(self.route.finish(&self.current, batch)))
    }

    async fn tell_sets(&mut self, defined: &mut Vec<SetPart>) -> Result<(), End> {
        for part in defined.drain(..) {
            self.tell(Told::SetPart(part)).await?;
        }
        Ok(())
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
