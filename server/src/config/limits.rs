//! The section `limits`.

use std::num::{NonZeroU16, NonZeroUsize};
use std::time::Duration;

use serde::Deserialize;

use super::values;
use crate::rpc::limits::Limits;
use crate::source::folder::MAX_MEMBERS_BYTES;

/// Bounds on what one caller may ask and get.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// Most bytes of a message from a client.
    #[serde(deserialize_with = "values::count")]
    pub request_bytes: NonZeroUsize,

    /// Most bytes of a unary answer.
    #[serde(deserialize_with = "values::count")]
    pub response_bytes: NonZeroUsize,

    /// Most states in a batch.
    #[serde(deserialize_with = "values::count")]
    pub batch_states: NonZeroUsize,

    /// Most bytes of a members file.
    #[serde(deserialize_with = "values::count")]
    pub members_file_bytes: NonZeroUsize,

    /// Most open connections. Further clients wait.
    #[serde(deserialize_with = "values::count")]
    pub connections: NonZeroUsize,

    /// Longest wait for a revision that a request demands, in seconds.
    #[serde(deserialize_with = "values::seconds")]
    pub at_least_seconds: NonZeroU16,

    /// Longest time that a stream is silent, in seconds.
    #[serde(deserialize_with = "values::seconds")]
    pub heartbeat_seconds: NonZeroU16,

    /// Longest wait at shutdown for calls that are under way, in seconds.
    #[serde(deserialize_with = "values::seconds")]
    pub shutdown_seconds: NonZeroU16,
}

// === impl LimitSettings ===

impl Default for LimitSettings {
    fn default() -> Self {
        let at = |n| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN);
        let seconds = |n| NonZeroU16::new(n).unwrap_or(NonZeroU16::MIN);
        Self {
            request_bytes: at(1024 * 1024),
            response_bytes: at(4 * 1024 * 1024),
            batch_states: at(10_000),
            members_file_bytes: at(usize::try_from(MAX_MEMBERS_BYTES).unwrap_or(usize::MAX)),
            connections: at(1024),
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
