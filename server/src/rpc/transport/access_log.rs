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
//!
//! To read in this order: `call_record` notes what happens to a call, `stream_log` what a
//! stream does; `lines` writes both; `connection_log` and `line_budget` bound the lines.

mod call_record;
mod connection_log;
mod line_budget;
mod lines;
mod statistics;
mod stream_log;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Response;

pub(super) use self::call_record::{CallRecord, deadline_passed};
pub(super) use self::connection_log::ConnectionLog;
use self::line_budget::LineBudget;
pub(in crate::rpc) use self::statistics::{Statistics, Summaries};
pub(in crate::rpc) use self::stream_log::StreamLog;
use super::peer::Origin;
use crate::revision::Revision;

/// Calls that succeeded, and streams that ended. The log may leave these out when
/// nobody reads it.
pub(in crate::rpc) const CALLS: &str = crate::logging::CALLS;

/// Calls that were refused, failed or cancelled. For a filter a part of [`CALLS`].
const REFUSED: &str = "presence_router::calls::refused";

/// Health checks and reflection.
const PROBES: &str = "presence_router::probes";

/// Lines a second about all calls and connections of one address.
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

/// Whether a service is one of the contract's, by its package. Calls of others are logged
/// as probes.
pub(in crate::rpc) fn is_of_contract(service: &str) -> bool {
    service.starts_with("presence_router.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::captured::Captured;
    use crate::rpc::transport::peer::Peer;

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
