//! One `RouteStates` stream: a task that takes requests in order, and answers
//! each from one snapshot.
//!
//! Flow control is HTTP/2's own. Answers wait in a short channel; when the
//! client does not read, the task waits, and with it whatever the client sends.
//! However many revisions go by then, it hears of one change: from the revision
//! that it has to the one that is current when it reads on.
//!
//! To read in this order: [`route`] answers requests, `sets` is what the stream
//! has told, by the ids of the `set_table`, and `batch` routes many states by it;
//! `changes` says what is another at a new revision. `watch_changes` is `WatchChanges`.

mod batch;
mod changes;
pub mod route;
mod set_table;
mod sets;
mod shadow_counts;
pub(super) mod watch_changes;

use std::sync::Arc;
use std::time::Duration;

use presence_router_proto::server::{
    RouteStatesRequest, RouteStatesResponse, route_states_request::Message as Asked,
    route_states_response::Message as Told,
};
use presence_router_proto::v1::{Heartbeat, Open, Opened, request_error};
use presence_router_proto::wire::{Deliveries, StateBatch};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use tracing::debug;

use self::changes::{Change, Standing};
use self::route::Route;
pub use self::set_table::Word;
use crate::live::{Current, Live};
use crate::revision::Revision;
use crate::rpc::error::Fault;
use crate::rpc::limits::Limits;
use crate::rpc::transport::access_log::{StreamLog, Tally};
use crate::rpc::validate;

/// Longest wait for `Open`: a stream that says nothing must not stay for ever.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers for users whom nobody names that a stream remembers before it starts
/// afresh, so that no sequence of requests can fill the memory.
const MAX_UNNAMED: usize = 100_000;

/// Where answers go.
pub(super) type Answers = mpsc::Sender<Result<RouteStatesResponse, Status>>;

/// Why a stream ends before its client ended it.
enum End {
    /// The client is gone, or has ended the stream.
    Client,
    /// It is refused.
    Refused(Fault),
}

/// An open stream.
pub(super) struct Session {
    live: Arc<Live>,
    revisions: watch::Receiver<Arc<Current>>,
    current: Arc<Current>,
    limits: Limits,
    route: Route,
    answers: Answers,
    last_sent: Instant,
    tally: Tally,
    log: StreamLog,
}

/// Serves a stream to its end, and notes in its log what it did.
pub(super) async fn serve(
    live: Arc<Live>,
    limits: Limits,
    shutdown: CancellationToken,
    mut requests: Streaming<RouteStatesRequest>,
    answers: Answers,
    log: StreamLog,
) {
    let opening = Session::open(live, limits, &mut requests, answers.clone(), log.clone());
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
    log.end(tally);
    if let End::Refused(fault) = end {
        // A client that is gone needs no reason.
        let _ = answers.send(Err(fault.into())).await;
    }
}

// === impl Session ===

impl Session {
    async fn open(
        live: Arc<Live>,
        limits: Limits,
        requests: &mut Streaming<RouteStatesRequest>,
        answers: Answers,
        log: StreamLog,
    ) -> Result<Self, End> {
        let first = timeout(OPEN_TIMEOUT, requests.message());
        let first = first.await.map_err(|_| End::Refused(Fault::OpenMissing))?;
        let Some(Asked::Open(open)) = asked(first, &limits)? else {
            return Err(End::Refused(Fault::OpenMissing));
        };
        let Open { server_names, resume_revision, set_budget_bytes } = open;
        let caller = validate::caller(&server_names)?;
        let revisions = live.subscribe();
        let (current, missed) = resume(&live, &resume_revision, limits.at_least).await?;
        let heartbeat_interval = limits.heartbeat.try_into().ok();
        let last_sent = Instant::now();
        let tally = Tally::default();
        let route = Route::new(caller, set_budget_bytes);
        let mut session =
            Self { live, revisions, current, limits, route, answers, last_sent, tally, log };
        let revision = session.revision();
        session.tell(Told::Opened(Opened { revision, heartbeat_interval })).await?;
        if let Some(missed) = missed {
            let Self { live, current, route, .. } = &mut session;
            let missed = missed.for_answers(current);
            let change = missed.into_change(route.standing(), live, current).await;
            session.change(change).await?;
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
                Ok(()) = self.revisions.changed() => self.follow().await,
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
        let now = Arc::clone(&self.revisions.borrow_and_update());
        if now.revision == self.current.revision {
            return Ok(());
        }
        let difference = self.live.difference(&self.current, &now).await;
        let change = self.route.follow(&self.current, &now, &difference);
        self.current = now;
        self.change(change).await
    }

    async fn change(&mut self, change: Change) -> Result<(), End> {
        match change {
            Change::Changed { before, changed, after } => {
                self.tell_words(before).await?;
                self.tell(Told::Changed(changed)).await?;
                self.tell_words(after).await
            }
            Change::Reset(reset) => self.tell(Told::Reset(reset)).await,
        }
    }

    /// Waits until the revision that a request demands is there, and no longer
    /// than it may.
    async fn reach(&mut self, at_least: &str) -> Result<(), End> {
        if at_least.is_empty() {
            return Ok(());
        }
        // What is wrong with it, whoever answers says.
        let _ = validate::at_least(&self.live, "at_least", at_least, self.limits.at_least).await;
        self.follow().await
    }

    async fn answer(&mut self, message: Asked) -> Result<(), End> {
        // The policy may have changed while the last answer waited to be read.
        self.follow().await?;
        if self.route.unnamed() > MAX_UNNAMED {
            let reset = self.route.standing().reset(&self.current);
            self.change(Change::Reset(reset)).await?;
        }
        let (request, answer) = match message {
            Asked::Open(_) => return Err(End::Refused(Fault::OpenRepeated)),
            Asked::Batch(batch) => {
                self.reach(&batch.at_least).await?;
                let request = request_error::Request::BatchId(batch.batch_id);
                (request, self.deliveries(&batch).await?.map(Told::Deliveries))
            }
            Asked::Interest(query) => {
                self.reach(&query.at_least).await?;
                self.tally.interests += 1;
                self.log.count_interest();
                let request = request_error::Request::QueryId(query.query_id);
                let mut words = Vec::new();
                let answer = self.route.interest(&self.current, &query, &mut words);
                self.tell_words(words).await?;
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
        self.log.count_batch();
        if let Err(fault) = self.route.begin(&self.current, batch, self.limits.batch_states) {
            return Ok(Err(fault));
        }
        let mut more = true;
        while more {
            let mut words = Vec::new();
            let advanced = self.route.advance(&self.current, batch, &mut words);
            self.tell_words(words).await?;
            more = match advanced {
                Ok(more) => more,
                Err(fault) => return Ok(Err(fault)),
            };
            tokio::task::consume_budget().await;
        }
        let states = u64::try_from(batch.users.len()).unwrap_or(u64::MAX);
        self.tally.states += states;
        self.log.count_states(states);
        Ok(Ok(self.route.finish(&self.current, batch)))
    }

    async fn tell_words(&mut self, words: Vec<Word>) -> Result<(), End> {
        for word in words {
            self.tell(word.into()).await?;
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
        Err(status) => Err(Fault::of_transport(&status, "/RouteStates", limits.request_bytes)
            .map_or(End::Client, End::Refused)),
    }
}

impl From<Word> for Told {
    fn from(word: Word) -> Self {
        match word {
            Word::Part(part) => Self::SetPart(part),
            Word::Edit(edit) => Self::SetEdit(edit),
            Word::Retired(retired) => Self::SetRetired(retired),
        }
    }
}

/// What a client that comes back has missed.
enum Missed {
    /// What has changed since.
    Since(Arc<Current>),
    /// Something, of which no more is known.
    Unknown,
}

/// The revision that a stream begins at, and what its client has missed.
async fn resume(
    live: &Live,
    resume_revision: &str,
    longest: Duration,
) -> Result<(Arc<Current>, Option<Missed>), Fault> {
    let reached = validate::at_least(live, "open.resume_revision", resume_revision, longest).await;
    let current = match reached {
        // After a restart nothing that it remembers holds; it may stay.
        Err(Fault::RevisionOfOtherHistory { .. }) => {
            return Ok((live.now(), Some(Missed::Unknown)));
        }
        current => current?,
    };
    // Empty: it remembers nothing, and has missed nothing.
    let missed = resume_revision.parse().ok().filter(|kept: &Revision| *kept != current.revision);
    let missed = missed.map(|kept| live.at(kept).map_or(Missed::Unknown, Missed::Since));
    Ok((current, missed))
}

// === impl Missed ===

impl Missed {
    /// For a client that may have kept answers. What they hide is no visibility, so
    /// `Changed` does not name them; and their sets, which would be retired, ended
    /// with the stream before.
    fn for_answers(self, current: &Current) -> Self {
        match self {
            Self::Since(old) if !current.snapshot.hides_as(&old.snapshot) => Self::Unknown,
            missed => missed,
        }
    }

    async fn into_change(
        self,
        standing: &mut Standing,
        live: &Live,
        current: &Arc<Current>,
    ) -> Change {
        match self {
            Self::Since(old) => {
                let difference = live.difference(&old, current).await;
                standing.follow(&old, current, &difference)
            }
            Self::Unknown => Change::Reset(standing.reset(current)),
        }
    }
}
