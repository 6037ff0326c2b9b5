//! Streams that a background task keeps open: the common parts of [`route`] and
//! [`watch`].
//!
//! A task opens its stream, reads it to its end, and opens the next one after the delay
//! of the client's [`Backoff`]. The circuit breaker guards requests: a permitted request
//! makes a waiting task reconnect at once, and a stream that opens closes the breaker.

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
    Backoff, Error, ProtocolViolation,
    circuit_breaker::{Failure, full_jitter},
    error::has_source,
};

/// Maximum wait for `Opened`. Longer than a request's deadline, so that a slow start
/// fails requests but not the stream.
const OPENING: Duration = Duration::from_secs(5);

/// The reason why there is no stream.
#[derive(Clone, Debug)]
struct StreamError {
    error: Error,
    /// `None`: the daemon answered.
    failure: Option<Failure>,
}

/// The delays between streams.
#[derive(Debug)]
struct ReconnectBackoff {
    settings: Backoff,
    /// The bound of the last delay. `None`: the next delay is the first.
    bound: Option<Duration>,
}

/// The features of the contract that the client requests from the daemon.
#[derive(Debug)]
struct Capabilities {
    call: &'static str,
    set_budget_bytes: u64,
    /// True if the client asks the daemon to keep the budget. An older daemon does not
    /// support this; the client then enforces the budget by ending the stream.
    set_budget: bool,
}

/// Detects an unreachable daemon by missing heartbeats.
#[derive(Debug)]
struct Liveness {
    /// Maximum silence. `None`: unlimited.
    longest: Option<Duration>,
    last: Instant,
}

// === impl StreamError ===

impl StreamError {
    fn of_status(call: &'static str, status: &Status) -> Self {
        let error = Error::from_status_of(call, status, OPENING);
        // Not a refusal: tonic reports bytes that cannot be decoded, and messages that
        // are too long, by these codes.
        let error = match (&error, status.code()) {
            (Error::Refused(refusal), Code::Internal | Code::OutOfRange)
                if refusal.reason.is_none() =>
            {
                if has_source(status) {
                    Error::Unreachable { reason: status.message().to_owned(), retry_in: None }
                } else {
                    ProtocolViolation::Undecodable.into()
                }
            }
            _ => error,
        };
        let failure = error.breaker_failure(Some(status));
        Self { error, failure }
    }

    /// Creates the error for a stream that ended without a status, or was silent for too
    /// long.
    fn unreachable(reason: impl Into<String>) -> Self {
        Error::Unreachable { reason: reason.into(), retry_in: None }.into()
    }
}

impl From<Error> for StreamError {
    fn from(error: Error) -> Self {
        let failure = error.breaker_failure(None);
        Self { error, failure }
    }
}

impl From<ProtocolViolation> for StreamError {
    fn from(violation: ProtocolViolation) -> Self {
        Error::from(violation).into()
    }
}

// === impl ReconnectBackoff ===

impl ReconnectBackoff {
    fn new(settings: Backoff) -> Self {
        Self { settings, bound: None }
    }

    /// Starts over with the first delay, after a useful stream.
    fn reset(&mut self) {
        self.bound = None;
    }

    /// Returns the time of the next attempt, after another failure.
    fn next_try(&mut self) -> Instant {
        let Backoff { initial_delay, max_delay, .. } = self.settings;
        let bound =
            self.bound.map_or(initial_delay, |bound| bound.saturating_mul(2).min(max_delay));
        self.bound = Some(bound);
        Instant::now() + full_jitter(bound)
    }
}

// === impl Capabilities ===

impl Capabilities {
    fn new(call: &'static str, set_budget_bytes: u64) -> Self {
        Self { call, set_budget_bytes, set_budget: true }
    }

    fn set_budget_bytes(&self) -> u64 {
        if self.set_budget { self.set_budget_bytes } else { 0 }
    }

    /// Requests fewer features from here on, and returns true if the caller should retry at
    /// once. If no feature is left to drop, the error becomes [`Error::Unsupported`].
    fn downgrade_after(&mut self, error: &mut StreamError) -> bool {
        let Error::Refused(refusal) = &error.error else { return false };
        if refusal.code != Code::Unimplemented {
            return false;
        }
        if self.set_budget_bytes() != 0 {
            self.set_budget = false;
            return true;
        }
        *error = Error::Unsupported(self.call).into();
        false
    }

    /// Requests all features again: the next daemon may be newer.
    fn reset(&mut self) {
        self.set_budget = true;
    }
}

// === impl Liveness ===

impl Liveness {
    fn new(opened: &Opened) -> Self {
        let interval = opened.heartbeat_interval.and_then(|one| Duration::try_from(one).ok());
        let longest = interval.filter(|interval| !interval.is_zero());
        // Two missed heartbeats.
        Self { longest: longest.map(|one| one.saturating_mul(2)), last: Instant::now() }
    }

    /// Records that a message arrived.
    fn message_came(&mut self) {
        self.last = Instant::now();
    }

    /// Waits until the daemon was silent for two intervals.
    async fn expired(&self) -> StreamError {
        match self.longest.and_then(|longest| self.last.checked_add(longest)) {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
        let longest = self.longest.unwrap_or_default();
        StreamError::unreachable(format!("no message came within {} ms", longest.as_millis()))
    }
}

/// Spawns a task that keeps a stream open. Without a tokio runtime the task is dropped,
/// and its callers get an error: better than a panic in a constructor.
fn spawn_in_runtime(task: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(task);
    }
}

/// Returns true if a refusal concerns the revision to resume from, which is then
/// useless.
fn refuses_revision(error: &Error) -> bool {
    matches!(error.reason(), Some("REVISION_MALFORMED" | "REVISION_OF_OTHER_HISTORY"))
}
