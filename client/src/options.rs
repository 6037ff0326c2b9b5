//! The options of a client. This module knows neither the daemon nor the calls.

use std::time::Duration;

use presence_router_proto::ids::RoomCapabilities;

use crate::Backoff;

/// Longest duration that a client distinguishes, a year. Clocks and gRPC's timeouts have an end,
/// beyond which tonic and additions panic.
const MAX_DURATION: Duration = Duration::from_secs(365 * 24 * 3600);

/// The options of a client. Durations of more than a year count as a year.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The caller's own server names, spelled as in user ids, including the port if there
    /// is one. The daemon accepts 1 to 100.
    pub server_names: Vec<String>,
    /// Maximum duration of a call, including connecting. Default 200 ms.
    pub deadline: Duration,
    /// Settings for an unreachable daemon.
    pub backoff: Backoff,
    /// Maximum bytes of user ids and expressions that the client keeps for the sets of
    /// one stream; in memory they take a few times as much. 0: unlimited. Default 256
    /// MiB. The daemon retires sets to stay below; the client ends a stream on which it
    /// does not.
    pub set_budget_bytes: u64,
    /// The parts of `share_room` that the homeserver evaluates; the daemon then sends sets that
    /// depend on rooms ([`Set::contains_if`](crate::Set::contains_if)). For a rule that needs
    /// another part, its relation counts as not met if the rule allows, and as met if it denies
    /// or hides. Default: none, for a homeserver that knows nothing of shared rooms.
    pub room_capabilities: RoomCapabilities,
}

// === impl Options ===

impl Options {
    /// Returns the default options for a homeserver with these server names.
    pub fn new(server_names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            server_names: server_names.into_iter().map(Into::into).collect(),
            deadline: Duration::from_millis(200),
            backoff: Backoff::default(),
            set_budget_bytes: 256 * 1024 * 1024,
            room_capabilities: RoomCapabilities::NONE,
        }
    }

    /// Returns the options with durations that can be added to any time.
    pub(crate) fn bounded(mut self) -> Self {
        let Backoff { initial_delay, max_delay, .. } = &mut self.backoff;
        for duration in [&mut self.deadline, initial_delay, max_delay] {
            *duration = bounded(*duration);
        }
        self
    }
}

/// Returns a duration that can be added to any time.
pub(crate) fn bounded(duration: Duration) -> Duration {
    duration.min(MAX_DURATION)
}
