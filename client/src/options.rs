//! The options of a client. It knows neither the daemon nor the calls.

use std::time::Duration;

use crate::Backoff;

/// The options of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Server names that are the caller's own, as in user ids, port included if
    /// they have one. The daemon takes 1 to 100.
    pub server_names: Vec<String>,
    /// Longest time that a call takes, connecting included. Default 200 ms.
    pub deadline: Duration,
    /// What happens while the daemon is away.
    pub backoff: Backoff,
    /// Most bytes of user ids and expressions that are kept for the sets of one
    /// stream; what they take in memory is a few times as much. 0: no bound.
    /// Default 256 MiB. The daemon keeps below it, and a stream on which it does
    /// not is ended.
    pub set_budget_bytes: u64,
}

// === impl Options ===

impl Options {
    /// The defaults, for a caller that answers for these server names.
    pub fn new(server_names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            server_names: server_names.into_iter().map(Into::into).collect(),
            deadline: Duration::from_millis(200),
            backoff: Backoff::default(),
            set_budget_bytes: 256 * 1024 * 1024,
        }
    }
}
