//! A circuit breaker: without it, every call to an unreachable daemon would wait for
//! its deadline.
//!
//! A closed breaker permits calls. Once the daemon seems unreachable the breaker
//! opens, and calls fail without waiting. After each delay it is half-open: it permits
//! one call as a probe, whose outcome closes or reopens it. The breaker knows nothing
//! of gRPC; the caller decides which outcomes are failures.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Settings for an unreachable daemon: the number of failures after which calls fail
/// without waiting, and the delays between attempts to reach the daemon again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Number of consecutive failures after which calls fail without waiting. At least
    /// 1. A single refused connection is enough. Default 5.
    pub failure_threshold: u32,
    /// Upper bound of the first delay before a probe. The delay is a random part of the
    /// bound ("full jitter"), so that many homeservers do not reconnect at the same
    /// moment. The bound doubles after each failed probe. Default 100 ms.
    pub initial_delay: Duration,
    /// Maximum of the bound. Default 2 s.
    pub max_delay: Duration,
}

/// The severity of a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The connection was refused: the next call would fail too.
    Refused,
    /// The call got no answer, or the connection broke: the next call may succeed.
    Unanswered,
}

/// The circuit breaker. Shared by all clones of a client.
#[derive(Debug)]
pub(crate) struct CircuitBreaker {
    backoff: Backoff,
    jitter: fn(Duration) -> Duration,
    state: Mutex<State>,
}

/// The permission for one call. If the permit is dropped without an outcome (the call
/// was abandoned), nothing changes, except that the next call may be a probe.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    breaker: &'a CircuitBreaker,
    probe: bool,
}

/// The error if no call is permitted now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CircuitOpen {
    /// The last failure, for people.
    pub(crate) reason: Arc<str>,
    /// The time until a probe is permitted. Zero: a probe is under way.
    pub(crate) retry_in: Duration,
}

#[derive(Debug)]
enum State {
    /// Calls are permitted. `failures` calls have failed in a row.
    Closed { failures: u32 },
    /// Calls fail at once; from `until` on, one call may be a probe.
    Open { until: Instant, bound: Duration, reason: Arc<str> },
    /// One call is a probe, all others fail at once.
    HalfOpen { bound: Duration, reason: Arc<str> },
}

// === impl Backoff ===

impl Default for Backoff {
    fn default() -> Self {
        Self {
            failure_threshold: 5,
            initial_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(2),
        }
    }
}

// === impl CircuitBreaker ===

impl CircuitBreaker {
    /// Creates a closed breaker. `jitter` returns a part of a duration.
    pub(crate) fn new(backoff: Backoff, jitter: fn(Duration) -> Duration) -> Self {
        Self { backoff, jitter, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// Acquires a permit for one call, or fails without waiting.
    pub(crate) fn try_acquire(&self) -> Result<Permit<'_>, CircuitOpen> {
        let mut state = self.lock();
        let probe = match &*state {
            State::Closed { .. } => false,
            State::Open { until, bound, reason } => {
                let retry_in = until.saturating_duration_since(Instant::now());
                if !retry_in.is_zero() {
                    return Err(CircuitOpen { reason: reason.clone(), retry_in });
                }
                *state = State::HalfOpen { bound: *bound, reason: reason.clone() };
                true
            }
            State::HalfOpen { reason, .. } => {
                return Err(CircuitOpen { reason: reason.clone(), retry_in: Duration::ZERO });
            }
        };
        Ok(Permit { breaker: self, probe })
    }

    /// Closes the breaker, after a message that no call asked for.
    pub(crate) fn close(&self) {
        *self.lock() = State::Closed { failures: 0 };
    }

    /// Locks the state. A poisoned lock is fine: no update is split into steps that a
    /// panic could separate.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Permit ===

impl Permit<'_> {
    /// Records an answer of the daemon. A refusal is an answer, too.
    pub(crate) fn record_answer(mut self) {
        self.probe = false;
        self.breaker.close();
    }

    /// Records that the daemon did not answer.
    pub(crate) fn record_failure(mut self, failure: Failure, reason: &str) {
        let probe = std::mem::take(&mut self.probe);
        let Backoff { failure_threshold, initial_delay, max_delay } = self.breaker.backoff;
        let mut state = self.breaker.lock();
        let bound = match &mut *state {
            State::Closed { failures } => {
                *failures = failures.saturating_add(1);
                if failure == Failure::Unanswered && *failures < failure_threshold {
                    return;
                }
                initial_delay
            }
            State::HalfOpen { bound, .. } if probe => bound.saturating_mul(2).min(max_delay),
            // The call started before the breaker opened, and adds no information.
            State::Open { .. } | State::HalfOpen { .. } => return,
        };
        let until = Instant::now() + (self.breaker.jitter)(bound);
        *state = State::Open { until, bound, reason: reason.into() };
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.probe {
            return;
        }
        let mut state = self.breaker.lock();
        if let State::HalfOpen { bound, reason } = &*state {
            *state = State::Open { until: Instant::now(), bound: *bound, reason: reason.clone() };
        }
    }
}

/// Returns a random part of a duration, between zero and all of it.
pub(crate) fn full_jitter(bound: Duration) -> Duration {
    // Each `RandomState` has keys of its own: randomness enough for a pause,
    // without a dependency.
    let random = RandomState::new().build_hasher().finish() >> 32;
    bound.mul_f64(random as f64 / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bound: Duration) -> Duration {
        bound
    }

    fn breaker() -> CircuitBreaker {
        CircuitBreaker::new(Backoff::default(), whole)
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn fail(breaker: &CircuitBreaker, failure: Failure) {
        breaker.try_acquire().unwrap().record_failure(failure, "why");
    }

    #[tokio::test(start_paused = true)]
    async fn opens_after_failures_in_a_row_only() {
        let breaker = breaker();
        for _ in 0..3 {
            (0..4).for_each(|_| fail(&breaker, Failure::Unanswered));
            breaker.try_acquire().unwrap().record_answer();
        }
        (0..5).for_each(|_| fail(&breaker, Failure::Unanswered));
        assert_eq!(
            breaker.try_acquire().unwrap_err(),
            CircuitOpen { reason: "why".into(), retry_in: ms(100) }
        );
    }

    #[tokio::test(start_paused = true)]
    async fn opens_at_once_when_nobody_listens() {
        let breaker = breaker();
        fail(&breaker, Failure::Refused);
        assert!(breaker.try_acquire().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn lets_one_probe_through_and_doubles_up_to_the_bound() {
        let breaker = breaker();
        fail(&breaker, Failure::Refused);
        for pause in [100, 200, 400, 800, 1600, 2000, 2000] {
            tokio::time::advance(ms(pause - 1)).await;
            assert_eq!(breaker.try_acquire().unwrap_err().retry_in, ms(1));
            tokio::time::advance(ms(1)).await;
            let probe = breaker.try_acquire().unwrap();
            assert_eq!(breaker.try_acquire().unwrap_err().retry_in, ms(0), "one at a time");
            probe.record_failure(Failure::Unanswered, "why");
        }
        tokio::time::advance(ms(2000)).await;
        breaker.try_acquire().unwrap().record_answer();
        let (_a, _b) = (breaker.try_acquire().unwrap(), breaker.try_acquire().unwrap());
        // The backoff starts over.
        fail(&breaker, Failure::Refused);
        assert_eq!(breaker.try_acquire().unwrap_err().retry_in, ms(100));
    }

    #[tokio::test(start_paused = true)]
    async fn an_abandoned_probe_leaves_the_next_call_to_probe() {
        let breaker = breaker();
        fail(&breaker, Failure::Refused);
        tokio::time::advance(ms(100)).await;
        drop(breaker.try_acquire().unwrap());
        breaker.try_acquire().unwrap().record_answer();
        assert!(breaker.try_acquire().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_of_calls_from_before_do_not_lengthen_the_backoff() {
        let breaker = breaker();
        let (early, late) = (breaker.try_acquire().unwrap(), breaker.try_acquire().unwrap());
        fail(&breaker, Failure::Refused);
        early.record_failure(Failure::Refused, "why");
        assert_eq!(breaker.try_acquire().unwrap_err().retry_in, ms(100));
        // An answer to such a call still closes the breaker.
        late.record_answer();
        assert!(breaker.try_acquire().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_speaks_closes_it() {
        let breaker = breaker();
        fail(&breaker, Failure::Refused);
        assert!(breaker.try_acquire().is_err());
        breaker.close();
        assert!(breaker.try_acquire().is_ok());
    }

    #[test]
    fn jitter_is_a_part_of_the_bound_and_varies() {
        let parts: Vec<_> = (0..64).map(|_| full_jitter(ms(1000))).collect();
        assert!(parts.iter().all(|part| *part <= ms(1000)));
        assert!(
            parts.iter().any(|part| *part < ms(500)) && parts.iter().any(|part| *part > ms(500))
        );
    }
}
