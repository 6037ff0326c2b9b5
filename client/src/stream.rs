//! Streams that a background task keeps open: what [`route`] and [`watch`] have
//! in common.
//!
//! A task opens its stream, reads it to its end, and opens the next one, at the
//! pace of the client's [`Backoff`]. The gate is for requests: whoever passes it
//! makes a waiting task try at once, and a stream that opens opens the gate.

pub(crate) mod route;
mod store;
pub(crate) mod watch;

use std::time::Duration;

use presence_router_proto::v1::Opened;
use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until},
};
use tonic::{Code, Status};

use crate::{
    Backoff, Breach, Error,
    client::Shared,
    error::has_source,
    gate::{Failure, full_jitter},
};

/// Longest wait for `Opened`. Longer than a request waits, so that a slow start
/// costs requests but not the stream.
const OPENING: Duration = Duration::from_secs(5);

/// Why a stream is not there.
#[derive(Clone, Debug)]
struct Failed {
    error: Error,
    /// `None`: the daemon answered.
    failure: Option<Failure>,
}

/// When to try again.
#[derive(Debug)]
struct Pace {
    backoff: Backoff,
    bound: Option<Duration>,
}

/// What the daemon does not do, and whether to ask for less of it.
#[derive(Debug)]
struct Demands {
    call: &'static str,
    set_budget_bytes: u64,
    /// Whether the daemon is asked to keep the budget. One that is older does
    /// not know how; then it is kept by ending the stream.
    budgeted: bool,
}

/// When a daemon that says nothing counts as gone.
#[derive(Debug)]
struct Silence {
    /// `None`: never.
    longest: Option<Duration>,
    last: Instant,
}

// === impl Failed ===

impl Failed {
    fn of_status(call: &'static str, status: &Status) -> Self {
        let error = Error::from_status_of(call, status, OPENING);
        // Not a refusal, but what tonic makes of bytes that are no message, or
        // of one that no daemon sends.
        let error = match (&error, status.code()) {
            (Error::Refused(refusal), Code::Internal | Code::OutOfRange)
                if refusal.reason.is_none() =>
            {
                if has_source(status) {
                    Error::Unreachable { reason: status.message().to_owned(), retry_in: None }
                } else {
                    Breach::Undecodable.into()
                }
            }
            _ => error,
        };
        let failure = error.failure(Some(status));
        Self { error, failure }
    }

    /// The stream ended without a status, or nothing came for too long.
    fn gone(reason: impl Into<String>) -> Self {
        Error::Unreachable { reason: reason.into(), retry_in: None }.into()
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let failure = error.failure(None);
        Self { error, failure }
    }
}

impl From<Breach> for Failed {
    fn from(breach: Breach) -> Self {
        Error::from(breach).into()
    }
}

// === impl Pace ===

impl Pace {
    fn new(backoff: Backoff) -> Self {
        Self { backoff, bound: None }
    }

    /// The stream was of use.
    fn reset(&mut self) {
        self.bound = None;
    }

    /// When to try again after another failure.
    fn next(&mut self) -> Instant {
        let Backoff { first, most, .. } = self.backoff;
        let bound = self.bound.map_or(first, |bound| bound.saturating_mul(2).min(most));
        self.bound = Some(bound);
        Instant::now() + full_jitter(bound)
    }
}

// === impl Demands ===

impl Demands {
    fn new(call: &'static str, shared: &Shared) -> Self {
        Self { call, set_budget_bytes: shared.set_budget_bytes, budgeted: true }
    }

    fn set_budget_bytes(&self) -> u64 {
        if self.budgeted { self.set_budget_bytes } else { 0 }
    }

    /// Whether to try again at once, with less.
    fn lower(&mut self, failed: &mut Failed) -> bool {
        let Error::Refused(refusal) = &failed.error else { return false };
        if refusal.code != Code::Unimplemented {
            return false;
        }
        if self.set_budget_bytes() != 0 {
            self.budgeted = false;
            return true;
        }
        *failed = Error::Unsupported(self.call).into();
        false
    }

    /// The daemon may be a newer one by the next time.
    fn restore(&mut self) {
        self.budgeted = true;
    }
}

// === impl Silence ===

impl Silence {
    fn new(opened: &Opened) -> Self {
        let interval = opened.heartbeat_interval.and_then(|one| Duration::try_from(one).ok());
        let longest = interval.filter(|interval| !interval.is_zero());
        // Two missed heartbeats.
        Self { longest: longest.map(|one| one.saturating_mul(2)), last: Instant::now() }
    }

    fn heard(&mut self) {
        self.last = Instant::now();
    }

    /// Ends when the daemon was silent for too long.
    async fn too_long(&self) -> Failed {
        match self.longest.and_then(|longest| self.last.checked_add(longest)) {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
        let longest = self.longest.unwrap_or_default();
        Failed::gone(format!("no message came within {} ms", longest.as_millis()))
    }
}

/// Runs a task that keeps a stream. Without a tokio runtime it is dropped, and
/// whoever waits for it finds that out: better than a panic in a constructor.
fn drive(task: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(task);
    }
}

/// Whether a refusal is about the revision to resume from, which then is of no
/// more use.
fn is_about_resuming(error: &Error) -> bool {
    matches!(error.reason(), Some("REVISION_MALFORMED" | "REVISION_OF_OTHER_HISTORY"))
}
