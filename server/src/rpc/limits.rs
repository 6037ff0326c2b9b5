//! The limits that services and transport enforce. It does not know the settings that they come
//! from.

use presence_router_engine::MAX_POLICY_BYTES;
use std::time::Duration;

/// Most bytes of a request of `PolicyService`: a policy of the largest readable size, and the
/// fields around it.
pub(super) const MAX_POLICY_REQUEST_BYTES: usize = MAX_POLICY_BYTES + 4096;

/// Limits on the requests and answers of callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of a message from a client.
    pub request_bytes: usize,
    /// Most bytes of a unary answer.
    pub response_bytes: usize,
    /// Most states in a batch.
    pub batch_states: usize,
    /// Most open connections.
    pub connections: usize,
    /// Longest wait for a revision that a request demands.
    pub at_least: Duration,
    /// Longest time without a message on a stream.
    pub heartbeat: Duration,
    /// Longest wait for unfinished calls at shutdown.
    pub shutdown: Duration,
}

#[cfg(test)]
impl Limits {
    /// Limits for tests that send very little.
    pub(super) const SMALL: Self = Self {
        request_bytes: 1024,
        response_bytes: 1024,
        batch_states: 1,
        connections: 1,
        at_least: Duration::ZERO,
        heartbeat: Duration::from_secs(1),
        shutdown: Duration::from_secs(1),
    };
}
