//! The progress of a load, for the log of a large policy.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, interval_at};
use tracing::info;

/// How often the log says how far a load is.
const EVERY: Duration = Duration::from_secs(5);

const MEBIBYTE: u64 = 1024 * 1024;

/// How far a load is. Clones are of the same load.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<Stage>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Begun,
    Reading {
        file: String,
        read: u64,
        of: u64,
        before: u64,
    },
}

// === impl Progress ===

impl Progress {
    /// A load begins.
    pub fn begin(&self) {
        *self.lock() = Stage::Begun;
    }

    /// So many bytes of a file are read.
    pub fn reading(&self, file: &str, read: u64, of: u64) {
        let mut stage = self.lock();
        let total = stage.bytes();
        let before = match &*stage {
            Stage::Reading { file: same, before, .. } if same == file => *before,
            _ => total,
        };
        *stage = Stage::Reading { file: file.to_owned(), read, of, before };
    }

    /// Waits for a load, and says in the log now and then how far it is.
    pub async fn log_during<T>(&self, load: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let mut ticks = interval_at(begun + EVERY, EVERY);
        let mut load = std::pin::pin!(load);
        loop {
            tokio::select! {
                loaded = &mut load => return loaded,
                _ = ticks.tick() => {
                    info!(seconds = begun.elapsed().as_secs(), "still loading the policy: {self}");
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Stage> {
        // Poison is no harm: a stage is replaced in one piece.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = self.lock();
        match &*stage {
            Stage::Reading { file, read, of, .. } if read < of => write!(
                f,
                "reading the members file {}, {} of {} MiB",
                presence_router_engine::unstable::policy::wording::quoted(file),
                read / MEBIBYTE,
                of / MEBIBYTE
            ),
            // It is the last one, or the next one begins in a moment.
            _ => write!(f, "checking it, with {} MiB of members files", stage.bytes() / MEBIBYTE),
        }
    }
}

// === impl Stage ===

impl Stage {
    /// Bytes of members files that are read.
    fn bytes(&self) -> u64 {
        match self {
            Self::Begun => 0,
            Self::Reading { read, before, .. } => before + read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_up_what_was_read() {
        let progress = Progress::default();
        assert_eq!(progress.to_string(), "checking it, with 0 MiB of members files");
        progress.reading("a", MEBIBYTE, 3 * MEBIBYTE);
        progress.reading("a", 3 * MEBIBYTE, 3 * MEBIBYTE);
        progress.reading("b", MEBIBYTE, 2 * MEBIBYTE);
        assert_eq!(progress.to_string(), "reading the members file `b`, 1 of 2 MiB");
        progress.reading("b", 2 * MEBIBYTE, 2 * MEBIBYTE);
        assert_eq!(progress.to_string(), "checking it, with 5 MiB of members files");
        progress.begin();
        assert_eq!(progress.to_string(), "checking it, with 0 MiB of members files");
    }
}
