//! The number of files and sockets that the process may have open.
//!
//! The usual soft limit, 1024, is there for programs that use `select`; the daemon
//! does not, and takes what the hard limit allows. Connections never take the last
//! ones: a policy that changes must still be read.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// The descriptors that connections leave to everything else: sockets that are
/// listened on, one more client for each that waits to be let in, the policy's files
/// and the watches on them, the log, the runtime.
const RESERVE: u64 = 64;

/// The number of descriptors that the process may have. `None`: as many as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorLimit(Option<u64>);

// === impl DescriptorLimit ===

impl DescriptorLimit {
    /// Raises the soft limit to the hard one. Where the system refuses, the limit
    /// stays what it was.
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
                warn!(limit, %error, "cannot raise the limit of open files");
                Self(limit)
            }
        }
    }

    /// The number of connections that there is room for, of those that are wanted.
    /// Warns if they are fewer.
    pub fn connections(self, wanted: usize) -> usize {
        let connections = self.max_connections().min(wanted);
        if connections < wanted {
            warn!(
                wanted,
                connections,
                open_files = self.0,
                "`limits.connections` is more than this process may have open: further clients \
                 wait; raise its limit of open files (`ulimit -n`, `LimitNOFILE=` of a unit), or \
                 lower `limits.connections`"
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
            assert_eq!(DescriptorLimit(limit).connections(wanted), want, "{limit:?}");
        }
    }
}
