//! Counts the calls of all callers, and writes one summary a minute.
//!
//! Counters only grow: the events of a minute are the difference between two readings. The number
//! of open streams is computed from two counters. Calls of services outside the contract (health
//! checks, reflection) are not counted.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;
use tracing::info;

/// The target of the lines. Not the target of calls, since the log must not drop the one line
/// that reports the dropped ones.
const SUMMARIES: &str = "presence_router::calls::summary";

/// The time between two lines.
const INTERVAL: Duration = Duration::from_secs(60);

/// The end of a unary call, in the kinds that matter to an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The daemon answered the call.
    Ok,
    /// The daemon rejected an invalid request.
    Refused,
    /// The daemon answered with an error of its own.
    Failed,
    /// The deadline passed before the answer.
    DeadlineExceeded,
    /// The caller went away before the answer.
    Cancelled,
}

/// Counters of one server, since its start.
#[derive(Debug, Default)]
pub(in crate::rpc) struct Statistics {
    ok: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    deadline_exceeded: AtomicU64,
    cancelled: AtomicU64,
    streams_begun: AtomicU64,
    streams_ended: AtomicU64,
    batches: AtomicU64,
    states: AtomicU64,
    interests: AtomicU64,
    touches: AtomicU64,
}

/// One reading of the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reading {
    ok: u64,
    refused: u64,
    failed: u64,
    deadline_exceeded: u64,
    cancelled: u64,
    streams_begun: u64,
    streams_ended: u64,
    batches: u64,
    states: u64,
    interests: u64,
    touches: u64,
}

/// Writes the summaries: each covers the time since the previous one.
#[derive(Debug)]
pub(in crate::rpc) struct Summaries<'s> {
    statistics: &'s Statistics,
    last: Reading,
    since: Instant,
}

// === impl Outcome ===

impl From<Code> for Outcome {
    fn from(code: Code) -> Self {
        match code {
            Code::Ok => Self::Ok,
            Code::Cancelled => Self::Cancelled,
            Code::DeadlineExceeded => Self::DeadlineExceeded,
            Code::Unknown | Code::Internal | Code::Unavailable | Code::DataLoss => Self::Failed,
            Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unauthenticated => Self::Refused,
        }
    }
}

// === impl Statistics ===

impl Statistics {
    /// Counts a unary call that ended.
    pub(super) fn count_call(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Ok => &self.ok,
            Outcome::Refused => &self.refused,
            Outcome::Failed => &self.failed,
            Outcome::DeadlineExceeded => &self.deadline_exceeded,
            Outcome::Cancelled => &self.cancelled,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn count_stream_begun(&self) {
        self.streams_begun.fetch_add(1, Relaxed);
    }

    pub(super) fn count_stream_ended(&self) {
        self.streams_ended.fetch_add(1, Relaxed);
    }

    /// Counts a batch on a stream.
    pub(super) fn count_batch(&self) {
        self.batches.fetch_add(1, Relaxed);
    }

    /// Counts the states of a batch that were routed.
    pub(super) fn count_states(&self, states: u64) {
        self.states.fetch_add(states, Relaxed);
    }

    /// Counts a question about interest on a stream.
    pub(super) fn count_interest(&self) {
        self.interests.fetch_add(1, Relaxed);
    }

    /// Counts a message that says which answers the client still uses.
    pub(super) fn count_touch(&self) {
        self.touches.fetch_add(1, Relaxed);
    }

    fn read(&self) -> Reading {
        // Read `ended` before `begun`, so that the number of open streams is never negative.
        let streams_ended = self.streams_ended.load(Relaxed);
        Reading {
            ok: self.ok.load(Relaxed),
            refused: self.refused.load(Relaxed),
            failed: self.failed.load(Relaxed),
            deadline_exceeded: self.deadline_exceeded.load(Relaxed),
            cancelled: self.cancelled.load(Relaxed),
            streams_begun: self.streams_begun.load(Relaxed),
            streams_ended,
            batches: self.batches.load(Relaxed),
            states: self.states.load(Relaxed),
            interests: self.interests.load(Relaxed),
            touches: self.touches.load(Relaxed),
        }
    }
}

// === impl Summaries ===

impl<'s> Summaries<'s> {
    /// Returns the summaries of all calls, from the first one on.
    pub(in crate::rpc) fn new(statistics: &'s Statistics) -> Self {
        Self { statistics, last: Reading::default(), since: Instant::now() }
    }

    /// Writes a line a minute, for ever.
    pub(in crate::rpc) async fn write_each_minute(&mut self) {
        loop {
            tokio::time::sleep_until(self.since + INTERVAL).await;
            self.write();
        }
    }

    /// Writes a summary of the time since the last line, unless nothing happened.
    pub(in crate::rpc) fn write(&mut self) {
        let (now, last) = (self.statistics.read(), self.last);
        let seconds = self.since.elapsed().as_secs();
        (self.last, self.since) = (now, Instant::now());
        if now == last {
            return;
        }
        info!(
            target: SUMMARIES,
            seconds,
            ok = now.ok - last.ok,
            refused = now.refused - last.refused,
            failed = now.failed - last.failed,
            deadline_exceeded = now.deadline_exceeded - last.deadline_exceeded,
            cancelled = now.cancelled - last.cancelled,
            streams_open = now.streams_begun.saturating_sub(now.streams_ended),
            streams_ended = now.streams_ended - last.streams_ended,
            batches = now.batches - last.batches,
            states = now.states - last.states,
            interests = now.interests - last.interests,
            touches = now.touches - last.touches,
            "calls in summary"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::captured::Captured;

    #[tokio::test(start_paused = true)]
    async fn a_minute_in_which_something_happened_has_a_line() {
        let captured = Captured::start();
        let statistics = Statistics::default();
        let mut summaries = Summaries::new(&statistics);
        let minutes = Duration::from_secs(60 * 3 + 1);
        let happens = async {
            statistics.count_stream_begun();
            statistics.count_call(Outcome::Ok);
            statistics.count_call(Outcome::Refused);
            statistics.count_batch();
            statistics.count_states(7);
            // The second minute is silent.
            tokio::time::sleep(Duration::from_secs(130)).await;
            statistics.count_call(Outcome::Ok);
            std::future::pending().await
        };
        tokio::select! {
            () = summaries.write_each_minute() => {}
            () = happens => {}
            () = tokio::time::sleep(minutes) => {}
        }
        let lines = captured.lines("calls in summary");
        let [first, third] = lines.as_slice() else { panic!("{lines:?}") };
        let counts = "ok=1 refused=1 failed=0 deadline_exceeded=0 cancelled=0 streams_open=1 \
                      streams_ended=0 batches=1 states=7 interests=0 touches=0";
        assert!(first.contains(&format!("seconds=60 {counts}")), "{first}");
        assert!(third.contains("ok=1 refused=0") && third.contains("streams_open=1"), "{third}");
    }

    #[test]
    fn every_code_has_an_outcome() {
        let refused =
            (0..17).filter(|code| Outcome::from(Code::from_i32(*code)) == Outcome::Refused);
        assert_eq!(refused.collect::<Vec<_>>(), [3, 5, 6, 7, 8, 9, 10, 11, 12, 16]);
    }
}
