//! Keeps a daemon that is away from costing a deadline on every call.
//!
//! A gate lets calls through until the daemon seems to be away, then fails them
//! without waiting, except for one probe after each backoff. It knows nothing of
//! gRPC; what counts as a failure is the caller's business.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// When calls stop waiting for a daemon that is away, and how it is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Failures in a row, without any answer between them, after which calls
    /// fail at once. At least 1. A refused connection counts as all of them.
    /// Default 5.
    pub failures: u32,
    /// Upper bound of the first pause before a probe. The pause is a random
    /// part of it ("full jitter"), so that many homeservers do not all come
    /// back in one instant; the bound doubles after each failed probe. Default
    /// 100 ms.
    pub first: Duration,
    /// What the bound grows to. Default 2 s.
    pub most: Duration,
}

/// How bad a failed call was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody listens: the next call would fail too.
    Refused,
    /// No answer, or a broken connection: the next call may succeed.
    Unanswered,
}

/// The gate. Shared by all clones of a client.
#[derive(Debug)]
pub(crate) struct Gate {
    backoff: Backoff,
    jitter: fn(Duration) -> Duration,
    state: Mutex<State>,
}

/// The right to make one call. Dropped without a verdict (the call was
/// abandoned), it changes nothing, except that the next call may probe.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
    probe: bool,
}

/// Why no call may be made now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shut {
    /// The last failure, for people.
    pub(crate) reason: Arc<str>,
    /// Until a probe may be made. Zero: one is under way.
    pub(crate) retry_in: Duration,
}

#[derive(Debug)]
enum State {
    /// Calls go through. So many have failed in a row.
    Open { failures: u32 },
    /// Calls fail at once; from `until` on, one is a probe.
    Shut { until: Instant, bound: Duration, reason: Arc<str> },
    /// One call is a probe, all others fail at once.
    Probing { bound: Duration, reason: Arc<str> },
}

// === impl Backoff ===

impl Default for Backoff {
    fn default() -> Self {
        Self { failures: 5, first: Duration::from_millis(100), most: Duration::from_secs(2) }
    }
}

// === impl Gate ===

impl Gate {
    /// A gate that lets calls through. `jitter` takes a part of a duration.
    pub(crate) fn new(backoff: Backoff, jitter: fn(Duration) -> Duration) -> Self {
        Self { backoff, jitter, state: Mutex::new(State::Open { failures: 0 }) }
    }

    /// Asks for the right to make a call now.
    pub(crate) fn enter(&self) -> Result<Pass<'_>, Shut> {
        let mut state = self.lock();
        let probe = match &*state {
            State::Open { .. } => false,
            State::Shut { until, bound, reason } => {
                let retry_in = until.saturating_duration_since(Instant::now());
                if !retry_in.is_zero() {
                    return Err(Shut { reason: reason.clone(), retry_in });
                }
                *state = State::Probing { bound: *bound, reason: reason.clone() };
                true
            }
            State::Probing { reason, .. } => {
                return Err(Shut { reason: reason.clone(), retry_in: Duration::ZERO });
            }
        };
        Ok(Pass { gate: self, probe })
    }

    /// The daemon spoke without being asked.
    pub(crate) fn heard(&self) {
        *self.lock() = State::Open { failures: 0 };
    }

    /// Nothing is half-done while the lock is held, so a poisoned one is good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Pass ===

impl Pass<'_> {
    /// The daemon answered, whatever it said.
    pub(crate) fn answered(mut self) {
        self.probe = false;
        *self.gate.lock() = State::Open { failures: 0 };
    }

    /// The daemon did not answer.
    pub(crate) fn failed(mut self, failure: Failure, reason: &str) {
        let probe = std::mem::take(&mut self.probe);
        let Backoff { failures: most_failures, first, most } = self.gate.backoff;
        let mut state = self.gate.lock();
        let bound = match &mut *state {
            State::Open { failures } => {
                *failures = failures.saturating_add(1);
                if failure == Failure::Unanswered && *failures < most_failures {
                    return;
                }
                first
            }
            State::Probing { bound, .. } if probe => bound.saturating_mul(2).min(most),
            // A call from before the gate shut says nothing new.
            State::Shut { .. } | State::Probing { .. } => return,
        };
        let until = Instant::now() + (self.gate.jitter)(bound);
        *state = State::Shut { until, bound, reason: reason.into() };
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if !self.probe {
            return;
        }
        let mut state = self.gate.lock();
        if let State::Probing { bound, reason } = &*state {
            *state = State::Shut { until: Instant::now(), bound: *bound, reason: reason.clone() };
        }
    }
}

/// A random part of a duration, from none to all of it.
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

    fn gate() -> Gate {
        Gate::new(Backoff::default(), whole)
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn fail(gate: &Gate, failure: Failure) {
        gate.enter().unwrap().failed(failure, "why");
    }

    #[tokio::test(start_paused = true)]
    async fn shuts_after_failures_in_a_row_only() {
        let gate = gate();
        for _ in 0..3 {
            (0..4).for_each(|_| fail(&gate, Failure::Unanswered));
            gate.enter().unwrap().answered();
        }
        (0..5).for_each(|_| fail(&gate, Failure::Unanswered));
        assert_eq!(gate.enter().unwrap_err(), Shut { reason: "why".into(), retry_in: ms(100) });
    }

    #[tokio::test(start_paused = true)]
    async fn shuts_at_once_when_nobody_listens() {
        let gate = gate();
        fail(&gate, Failure::Refused);
        assert!(gate.enter().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn lets_one_probe_through_and_doubles_up_to_the_bound() {
        let gate = gate();
        fail(&gate, Failure::Refused);
        for pause in [100, 200, 400, 800, 1600, 2000, 2000] {
            tokio::time::advance(ms(pause - 1)).await;
            assert_eq!(gate.enter().unwrap_err().retry_in, ms(1));
            tokio::time::advance(ms(1)).await;
            let probe = gate.enter().unwrap();
            assert_eq!(gate.enter().unwrap_err().retry_in, ms(0), "one at a time");
            probe.failed(Failure::Unanswered, "why");
        }
        tokio::time::advance(ms(2000)).await;
        gate.enter().unwrap().answered();
        let (_a, _b) = (gate.enter().unwrap(), gate.enter().unwrap());
        // And the backoff starts over.
        fail(&gate, Failure::Refused);
        assert_eq!(gate.enter().unwrap_err().retry_in, ms(100));
    }

    #[tokio::test(start_paused = true)]
    async fn an_abandoned_probe_leaves_the_next_call_to_probe() {
        let gate = gate();
        fail(&gate, Failure::Refused);
        tokio::time::advance(ms(100)).await;
        drop(gate.enter().unwrap());
        gate.enter().unwrap().answered();
        assert!(gate.enter().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_of_calls_from_before_do_not_lengthen_the_backoff() {
        let gate = gate();
        let (early, late) = (gate.enter().unwrap(), gate.enter().unwrap());
        fail(&gate, Failure::Refused);
        early.failed(Failure::Refused, "why");
        assert_eq!(gate.enter().unwrap_err().retry_in, ms(100));
        // But an answer is an answer.
        late.answered();
        assert!(gate.enter().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_speaks_opens_it() {
        let gate = gate();
        fail(&gate, Failure::Refused);
        assert!(gate.enter().is_err());
        gate.heard();
        assert!(gate.enter().is_ok());
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
