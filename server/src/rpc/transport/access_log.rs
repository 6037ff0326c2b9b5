//! The log of calls: one line for each call, with the status that its caller got, and never a
//! user id.
//!
//! Successful unary calls are logged at `debug`, all other events of a caller at `info`. Health
//! checks and reflection come automatically: they are logged at `debug`, under a target of their
//! own. Each peer can cause a limited number of lines a second; `statistics` still counts every
//! call, and writes a summary once a minute.
//!
//! A call is over when all owners of its [`CallRecord`] have dropped it: the body of its answer,
//! and the task of a stream. Until then the call counts as unfinished on its connection. The log
//! does not know sockets and HTTP/2.
//!
//! Reading order: `call_record` notes the events of a call, and `stream_log` those of a stream;
//! `lines` writes both; `connection_log` and `line_budget` bound the lines.

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

/// The target of successful calls and ended streams. The log may drop these lines when no reader
/// takes them.
pub(in crate::rpc) const CALLS: &str = crate::logging::CALLS;

/// The target of calls that were rejected, failed or cancelled. A filter treats it as a part of
/// [`CALLS`].
const REFUSED: &str = "presence_router::calls::refused";

/// The target of health checks and reflection.
const PROBES: &str = "presence_router::probes";

/// Lines a second about all calls and connections of one address.
const LINES_PER_SECOND: u32 = 200;

/// Most addresses whose lines are counted. Beyond this number, the log forgets the idle ones.
const MAX_ORIGINS: usize = 256;

/// The numbers of a unary call, for its line. The extensions of the response carry them.
#[derive(Clone, Copy, Debug)]
pub(in crate::rpc) struct UnaryStats {
    /// States or queries in the request.
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
    /// Cancelled when the server is about to end, so that no line waits any more.
    closing: CancellationToken,
    /// True once the unfinished calls are cut off.
    cut_off: AtomicBool,
    origins: Mutex<HashMap<Origin, Arc<LineBudget>>>,
}

/// The numbers of a stream, for its line.
#[derive(Debug, Default)]
pub(in crate::rpc) struct StreamStats {
    pub(in crate::rpc) batches: u64,
    pub(in crate::rpc) states: u64,
    pub(in crate::rpc) interests: u64,
    pub(in crate::rpc) touches: u64,
    pub(in crate::rpc) refused: u64,
    /// The revision of the last answer.
    pub(in crate::rpc) revision: Option<Revision>,
}

// === impl UnaryStats ===

impl UnaryStats {
    /// Returns a response with this answer, and with these numbers for the log.
    pub(in crate::rpc) fn attach_to<T>(self, answer: T) -> Response<T> {
        let mut response = Response::new(answer);
        response.extensions_mut().insert(self);
        response
    }
}

// === impl CallLog ===

impl CallLog {
    /// Marks all calls without a status as cut off, from now on.
    pub(in crate::rpc) fn cut_off(&self) {
        self.cut_off.store(true, Relaxed);
    }

    /// Waits until all remaining lines are written, without the pauses that bound their number.
    pub(in crate::rpc) async fn finish_lines(&self) {
        self.closing.cancel();
        self.unwritten.close();
        self.unwritten.wait().await;
    }

    /// The budget of an address. It stays after the connections have ended, for as long as it is
    /// not idle, so that a peer gains nothing by connecting again.
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

/// Returns true if a service belongs to the contract, by its package. The calls of other services
/// are logged as probes.
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

    /// A client that connects again for each line gains no lines, and does not affect other
    /// addresses.
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

    /// The end reports the omitted lines at once, before the second is over.
    #[tokio::test(start_paused = true)]
    async fn the_end_reports_what_was_left_out() {
        let captured = Captured::start();
        let log = Arc::new(CallLog::default());
        let client = connection(&log, "127.0.0.1:9");
        assert_eq!((0..50).filter(|_| client.admits_refusal()).count(), 20);
        let begun = Instant::now();
        log.finish_lines().await;
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
