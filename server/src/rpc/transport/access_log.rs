//! The log of calls: one line for each call, with the status that its caller was
//! sent, and never a user id.
//!
//! Successful unary calls are at `debug`, all else that concerns a caller at
//! `info`. Health checks and reflection come by themselves: they are at `debug`,
//! under a target of their own. A peer can cause so many lines a second and no
//! more; `statistics` counts every call all the same, and says so once a minute.
//!
//! A call is over when its [`CallRecord`] is dropped by all that hold it: the body
//! of its answer, and the task of a stream. Until then a connection has it under
//! way. It knows nothing of sockets and HTTP/2.

mod line_budget;
mod lines;
mod statistics;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tonic::codegen::http;
use tonic::{Code, Request, Response, Status};

use self::line_budget::{Admission, LineBudget};
pub(in crate::rpc) use self::statistics::{Statistics, Summaries};
use super::deadline::Deadline;
use super::listener::{Origin, Peer};
use crate::revision::Revision;

/// Calls that succeeded, and streams that ended. The log may leave these out when
/// nobody reads it.
pub(in crate::rpc) const CALLS: &str = crate::logging::CALLS;

/// Calls that were refused, failed or cancelled. For a filter a part of [`CALLS`].
const REFUSED: &str = "presence_router::calls::refused";

/// Health checks and reflection.
const PROBES: &str = "presence_router::probes";

/// Lines a second about refused and failed calls of one connection, and about all
/// calls and connections of one address.
const REFUSALS_PER_SECOND: u32 = 20;
const LINES_PER_SECOND: u32 = 200;

/// Addresses whose lines are counted, beyond which those that are idle are
/// forgotten.
const MAX_ORIGINS: usize = 256;

/// What a unary call was about, for its line. Travels in the response's extensions.
#[derive(Clone, Copy, Debug)]
pub(in crate::rpc) struct UnaryStats {
    /// States or questions in the request.
    pub(in crate::rpc) asked: usize,
    /// Entries of the answer.
    pub(in crate::rpc) answered: usize,
    /// The revision of the answer.
    pub(in crate::rpc) revision: Revision,
}

/// The log of calls of one server.
#[derive(Debug, Default)]
pub(in crate::rpc) struct CallLog {
    pub(in crate::rpc) statistics: Statistics,
    /// Lines that are still to be written.
    unwritten: TaskTracker,
    /// The server is about to end: nothing may wait.
    closing: CancellationToken,
    /// Calls that are still under way are cut off.
    cut_off: AtomicBool,
    origins: Mutex<HashMap<Origin, Arc<LineBudget>>>,
}

/// The log of one connection's calls.
#[derive(Debug)]
pub(in crate::rpc) struct ConnectionLog {
    pub(in crate::rpc) peer: Peer,
    log: Arc<CallLog>,
    /// Bounds the lines about refused and failed calls.
    refusals: Arc<LineBudget>,
    /// Bounds all lines, together with the other connections of the address.
    lines: Arc<LineBudget>,
    /// Calls, and answers that are not on their way yet.
    under_way: TaskTracker,
}

/// One call, from its headers to the line about it, which is written when this is
/// dropped.
#[derive(Debug)]
pub(in crate::rpc) struct CallRecord {
    uri: http::Uri,
    connection: Arc<ConnectionLog>,
    since: Instant,
    deadline: Option<Deadline>,
    sent: OnceLock<Sent>,
    unary_stats: OnceLock<UnaryStats>,
    is_stream: AtomicBool,
    /// The request ended by an error: nobody can be sent anything.
    has_lost_caller: AtomicBool,
    stream_stats: OnceLock<StreamStats>,
    // Last, so that the call is under way until its line is written.
    under_way: TaskTrackerToken,
    _unwritten: TaskTrackerToken,
}

/// The end of a call, as its caller saw it.
#[derive(Debug)]
struct Sent {
    code: Code,
    why: Option<String>,
}

/// The part of a stream's record that its task keeps. Empty if the stream came by
/// no connection of a server's.
#[derive(Clone, Debug)]
pub(in crate::rpc) struct StreamLog(Option<Arc<CallRecord>>);

/// What a stream did, for the log.
#[derive(Debug, Default)]
pub(in crate::rpc) struct StreamStats {
    pub(in crate::rpc) batches: u64,
    pub(in crate::rpc) states: u64,
    pub(in crate::rpc) interests: u64,
    pub(in crate::rpc) refused: u64,
    /// The last one that it answered at.
    pub(in crate::rpc) revision: Option<Revision>,
}

// === impl UnaryStats ===

impl UnaryStats {
    /// The response with this answer, and with these numbers for the log.
    pub(in crate::rpc) fn attach_to<T>(self, answer: T) -> Response<T> {
        let mut response = Response::new(answer);
        response.extensions_mut().insert(self);
        response
    }
}

// === impl CallLog ===

impl CallLog {
    /// From now on, what has no status yet was cut off.
    pub(in crate::rpc) fn cut_off(&self) {
        self.cut_off.store(true, Relaxed);
    }

    /// Waits until all lines are written that are still to come, without the
    /// pauses that bound their number.
    pub(in crate::rpc) async fn written(&self) {
        self.closing.cancel();
        self.unwritten.close();
        self.unwritten.wait().await;
    }

    /// The budget of an address. It outlives its connections for as long as it
    /// matters, so that a peer gains nothing by connecting again.
    fn lines_of(&self, origin: Origin) -> Arc<LineBudget> {
        // Poison is no harm: entries are whole.
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        if origins.len() >= MAX_ORIGINS && !origins.contains_key(&origin) {
            let now = Instant::now();
            origins.retain(|_, lines| Arc::strong_count(lines) > 1 || !lines.is_idle(now));
        }
        let new = || Arc::new(LineBudget::new(LINES_PER_SECOND));
        Arc::clone(origins.entry(origin).or_insert_with(new))
    }
}

// === impl ConnectionLog ===

impl ConnectionLog {
    pub(in crate::rpc) fn new(log: Arc<CallLog>, peer: Peer) -> Self {
        let refusals = Arc::new(LineBudget::new(REFUSALS_PER_SECOND));
        let lines = log.lines_of(peer.origin());
        Self { peer, log, refusals, lines, under_way: TaskTracker::new() }
    }

    /// Calls that are under way, and answers of which the client has not taken
    /// all yet.
    pub(in crate::rpc) fn under_way(&self) -> &TaskTracker {
        &self.under_way
    }

    /// Whether a line about this connection may be written now.
    pub(in crate::rpc) fn admits_line(&self) -> bool {
        self.admits(&self.lines, || self.peer.origin().to_string())
    }

    fn admits_refusal(&self) -> bool {
        self.admits(&self.refusals, || self.peer.to_string()) && self.admits_line()
    }

    fn admits(&self, budget: &Arc<LineBudget>, whose: impl Fn() -> String) -> bool {
        match budget.admit(Instant::now()) {
            Admission::Write => true,
            Admission::LeaveOut => false,
            Admission::LeaveOutAndReportAt(time) => {
                let (budget, peer) = (Arc::clone(budget), whose());
                let closing = self.log.closing.clone();
                let report = async move {
                    tokio::select! {
                        () = tokio::time::sleep_until(time) => {}
                        () = closing.cancelled() => {}
                    }
                    lines::left_out(&peer, budget.take_left_out(), budget.per_second());
                };
                // There is none when the process ends without its server.
                if let Ok(runtime) = Handle::try_current() {
                    self.log.unwritten.spawn_on(report, &runtime);
                }
                false
            }
        }
    }
}

// === impl CallRecord ===

impl CallRecord {
    /// A call that begins now.
    pub(in crate::rpc) fn begin<B>(
        connection: &Arc<ConnectionLog>,
        request: &http::Request<B>,
    ) -> Arc<Self> {
        let since = Instant::now();
        Arc::new(Self {
            uri: request.uri().clone(),
            connection: Arc::clone(connection),
            since,
            deadline: Deadline::from_headers(request.headers(), since),
            sent: OnceLock::new(),
            unary_stats: OnceLock::new(),
            is_stream: AtomicBool::new(false),
            has_lost_caller: AtomicBool::new(false),
            stream_stats: OnceLock::new(),
            under_way: connection.under_way.token(),
            _unwritten: connection.log.unwritten.token(),
        })
    }

    /// The path of the call: `/service/method`.
    pub(in crate::rpc) fn path(&self) -> &str {
        self.uri.path()
    }

    /// The deadline of the call, if its caller gave one.
    pub(in crate::rpc) fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    /// Keeps the call under way for as long as it lives.
    pub(in crate::rpc) fn keep_under_way(&self) -> TaskTrackerToken {
        self.under_way.clone()
    }

    /// Notes what the call was about.
    pub(in crate::rpc) fn set_unary_stats(&self, stats: UnaryStats) {
        // Not reached: a call has one response.
        let _ = self.unary_stats.set(stats);
    }

    /// Notes that the request ended by an error.
    pub(in crate::rpc) fn lose_caller(&self) {
        self.has_lost_caller.store(true, Relaxed);
    }

    /// Notes the status that the caller is sent instead of an answer, if there still
    /// is a caller.
    pub(in crate::rpc) fn send_to_caller(&self, status: &Status) {
        if self.has_lost_caller.load(Relaxed) {
            self.abandon();
        } else {
            self.send(status);
        }
    }

    /// Notes the status that the caller is sent. The first one counts: nothing is
    /// sent after it.
    pub(in crate::rpc) fn send(&self, status: &Status) {
        let why = Some(status.message()).filter(|why| !why.is_empty()).map(str::to_owned);
        let _ = self.sent.set(Sent { code: status.code(), why });
    }

    /// Notes that the caller was sent success.
    pub(in crate::rpc) fn send_ok(&self) {
        let _ = self.sent.set(Sent { code: Code::Ok, why: None });
    }

    /// Notes that nobody waits for the call any more. Its caller was sent no
    /// status, unless one was noted before.
    pub(in crate::rpc) fn abandon(&self) {
        self.sent.get_or_init(|| match self.deadline {
            _ if self.connection.log.cut_off.load(Relaxed) => Sent {
                code: Code::Unavailable,
                why: Some("cut off: the time for shutting down was over".to_owned()),
            },
            Some(deadline) if deadline.is_due(Instant::now()) => {
                Sent { code: Code::DeadlineExceeded, why: Some(deadline_passed(deadline)) }
            }
            _ => Sent {
                code: Code::Cancelled,
                why: Some("the caller went away before the call was answered".to_owned()),
            },
        });
    }
}

/// Whether a service is one of the contract's, by its package. Calls of others are logged
/// as probes.
pub(in crate::rpc) fn is_of_contract(service: &str) -> bool {
    service.starts_with("presence_router.")
}

/// What is said of a call that ended by its deadline, to its caller as well.
pub(in crate::rpc) fn deadline_passed(deadline: Deadline) -> String {
    format!("the call's deadline of {:?} passed before it was answered", deadline.timeout())
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        lines::write(self);
    }
}

// === impl StreamLog ===

impl StreamLog {
    /// The record of the call that begins a stream.
    pub(in crate::rpc) fn begin<T>(request: &Request<T>) -> Self {
        let record = request.extensions().get::<Arc<CallRecord>>().cloned();
        if let Some(record) = &record {
            record.is_stream.store(true, Relaxed);
            record.connection.log.statistics.count_stream_begun();
            lines::stream_began(record);
        }
        Self(record)
    }

    /// Counts a batch.
    pub(in crate::rpc) fn count_batch(&self) {
        if let Some(record) = &self.0 {
            record.connection.log.statistics.count_batch();
        }
    }

    /// Counts the states of a batch, now that they are routed.
    pub(in crate::rpc) fn count_states(&self, states: u64) {
        if let Some(record) = &self.0 {
            record.connection.log.statistics.count_states(states);
        }
    }

    /// Counts a question about interest.
    pub(in crate::rpc) fn count_interest(&self) {
        if let Some(record) = &self.0 {
            record.connection.log.statistics.count_interest();
        }
    }

    /// Notes what the stream did, now that its task has ended.
    pub(in crate::rpc) fn end(self, stats: StreamStats) {
        if let Some(record) = self.0 {
            // Not reached: a stream ends once.
            let _ = record.stream_stats.set(stats);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::captured::Captured;

    fn connection(log: &Arc<CallLog>, peer: &str) -> ConnectionLog {
        ConnectionLog::new(Arc::clone(log), Peer::Tcp(peer.parse().unwrap()))
    }

    /// A client that connects again for each line gains nothing, and costs no other
    /// address anything.
    #[tokio::test(start_paused = true)]
    async fn connections_of_an_address_share_their_lines() {
        let captured = Captured::start();
        let log = Arc::new(CallLog::default());
        let admitted = (0..300)
            .filter(|port| connection(&log, &format!("127.0.0.1:{}", 1000 + port)).admits_line());
        assert_eq!(admitted.count(), 200);
        assert!(connection(&log, "127.0.0.2:9").admits_line());
        tokio::time::sleep(std::time::Duration::from_millis(1001)).await;
        let lines = captured.lines("lines about this peer were left out");
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert!(line.contains("at most 200 a second"), "{line}");
        assert!(line.contains("peer=\"127.0.0.1\" lines=100"), "{line}");
        assert!(connection(&log, "127.0.0.1:9").admits_line(), "another second");
    }

    /// What was left out is said at the end, without waiting for the second to end.
    #[tokio::test(start_paused = true)]
    async fn the_end_reports_what_was_left_out() {
        let captured = Captured::start();
        let log = Arc::new(CallLog::default());
        let client = connection(&log, "127.0.0.1:9");
        assert_eq!((0..50).filter(|_| client.admits_refusal()).count(), 20);
        let begun = Instant::now();
        log.written().await;
        assert_eq!(begun.elapsed(), std::time::Duration::ZERO);
        let lines = captured.lines("at most 20 a second");
        assert!(
            lines.len() == 1 && lines[0].contains("peer=\"127.0.0.1:9\" lines=30"),
            "{lines:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_that_are_gone_are_forgotten() {
        let log = Arc::new(CallLog::default());
        let address = |n: usize| format!("127.0.{}.{}:9", n / 256, n % 256);
        let kept = connection(&log, &address(0));
        for n in 1..2000 {
            connection(&log, &address(n));
            tokio::time::advance(std::time::Duration::from_millis(1)).await;
        }
        assert!(log.origins.lock().unwrap().len() <= MAX_ORIGINS);
        assert!(log.origins.lock().unwrap().contains_key(&kept.peer.origin()));
    }
}
