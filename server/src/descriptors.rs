//! The limit on the number of open files and sockets of the process.
//!
//! The usual soft limit, 1024, exists for programs that use `select`; the daemon does not use
//! `select`, and raises its soft limit to the hard limit. Connections never take the last
//! descriptors, so that the daemon can still read a changed policy.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// The number of descriptors that connections leave to everything else: the listening
/// sockets, one waiting client for each of these, the policy's files and the watches on
/// them, the log, and the runtime.
const RESERVE: u64 = 64;

/// The maximum number of descriptors of the process. `None` means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorLimit(Option<u64>);

// === impl DescriptorLimit ===

impl DescriptorLimit {
    /// Raises the soft limit to the hard limit. If the system refuses, the soft limit
    /// stays unchanged.
    pub fn raise() -> Self {
        let limit = getrlimit(Resource::Nofile);
        if limit.current == limit.maximum {
            return Self(limit.current);
        }
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => Self(limit.maximum),
            Err(error) => {
                let limit = limit.current;
                warn!(limit, %error, "the system refused to raise the limit of open files");
                Self(limit)
            }
        }
    }

    /// Returns the number of connections that fit into the limit, at most `wanted`. Warns
    /// if fewer than `wanted` fit.
    pub fn allowed_connections(self, wanted: usize) -> usize {
        let connections = self.max_connections().min(wanted);
        if connections < wanted {
            warn!(
                wanted,
                connections,
                open_files = self.0,
                "`limits.connections` exceeds the limit of open files: the daemon serves fewer \
                 connections, and further clients wait; raise the limit (`ulimit -n`, \
                 `LimitNOFILE=` of a unit), or lower `limits.connections`"
            );
        }
        connections
    }

    fn max_connections(self) -> usize {
        let Some(limit) = self.0 else { return usize::MAX };
        let connections = limit - RESERVE.min(limit / 2);
        usize::try_from(connections).unwrap_or(usize::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_a_reserve() {
        for (limit, wanted, want) in [
            (None, 1024, 1024),
            (Some(524_288), 1024, 1024),
            (Some(1088), 1024, 1024),
            (Some(1024), 1024, 960),
            (Some(1024), 5, 5),
            (Some(100), 1024, 50),
            (Some(1), 1024, 1),
        ] {
            assert_eq!(DescriptorLimit(limit).allowed_connections(wanted), want, "{limit:?}");
        }
    }
}
