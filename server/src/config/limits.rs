//! The section `limits`.

use std::num::{NonZeroU16, NonZeroUsize};
use std::time::Duration;

use serde::Deserialize;

use super::values;
use crate::rpc::limits::Limits;
use crate::source::folder::MAX_MEMBERS_BYTES;

/// Limits on the requests and answers of one caller.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// Maximum size of a message from a client, in bytes.
    #[serde(deserialize_with = "values::read_count")]
    pub request_bytes: NonZeroUsize,

    /// Maximum size of the answer to a unary call, in bytes.
    #[serde(deserialize_with = "values::read_count")]
    pub response_bytes: NonZeroUsize,

    /// Maximum number of states in a batch.
    #[serde(deserialize_with = "values::read_count")]
    pub batch_states: NonZeroUsize,

    /// Maximum size of a members file, in bytes.
    #[serde(deserialize_with = "values::read_count")]
    pub members_file_bytes: NonZeroUsize,

    /// Maximum number of open connections. Further clients wait.
    #[serde(deserialize_with = "values::read_count")]
    pub connections: NonZeroUsize,

    /// Longest wait for a revision that a request demands, in seconds.
    #[serde(deserialize_with = "values::read_seconds")]
    pub at_least_seconds: NonZeroU16,

    /// Longest silence of the daemon on a stream, in seconds.
    #[serde(deserialize_with = "values::read_seconds")]
    pub heartbeat_seconds: NonZeroU16,

    /// Longest wait at shutdown for calls in progress, in seconds.
    #[serde(deserialize_with = "values::read_seconds")]
    pub shutdown_seconds: NonZeroU16,
}

// === impl LimitSettings ===

impl Default for LimitSettings {
    fn default() -> Self {
        let count = |n| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN);
        let seconds = |n| NonZeroU16::new(n).unwrap_or(NonZeroU16::MIN);
        Self {
            request_bytes: count(1024 * 1024),
            response_bytes: count(4 * 1024 * 1024),
            batch_states: count(10_000),
            members_file_bytes: count(usize::try_from(MAX_MEMBERS_BYTES).unwrap_or(usize::MAX)),
            connections: count(1024),
            at_least_seconds: seconds(1),
            heartbeat_seconds: seconds(15),
            shutdown_seconds: seconds(10),
        }
    }
}

impl From<LimitSettings> for Limits {
    fn from(settings: LimitSettings) -> Self {
        let seconds = |n: NonZeroU16| Duration::from_secs(n.get().into());
        Self {
            request_bytes: settings.request_bytes.get(),
            response_bytes: settings.response_bytes.get(),
            batch_states: settings.batch_states.get(),
            connections: settings.connections.get().min(tokio::sync::Semaphore::MAX_PERMITS),
            at_least: seconds(settings.at_least_seconds),
            heartbeat: seconds(settings.heartbeat_seconds),
            shutdown: seconds(settings.shutdown_seconds),
        }
    }
}
