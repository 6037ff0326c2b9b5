//! The progress of a load, for the log of a large policy.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, interval_at};
use tracing::info;

/// The time between two log lines about the progress of a load.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

const MEBIBYTE: u64 = 1024 * 1024;

/// The progress of a load. Clones share the same load.
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
    /// Resets the progress for a new load.
    pub fn begin_load(&self) {
        *self.lock() = Stage::Begun;
    }

    /// Records that `read` of the `of` bytes of a file are read.
    pub fn note_read_bytes(&self, file: &str, read: u64, of: u64) {
        let mut stage = self.lock();
        let total = stage.total_read_bytes();
        let before = match &*stage {
            Stage::Reading { file: same, before, .. } if same == file => *before,
            _ => total,
        };
        *stage = Stage::Reading { file: file.to_owned(), read, of, before };
    }

    /// Waits for a load, and logs its progress every five seconds.
    pub async fn log_during<T>(&self, load: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let mut ticks = interval_at(begun + LOG_INTERVAL, LOG_INTERVAL);
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
        // A poisoned lock is harmless: a stage is replaced in one step.
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
            // This file was the last one, or the next one begins in a moment.
            _ => write!(
                f,
                "checking it, with {} MiB of members files",
                stage.total_read_bytes() / MEBIBYTE
            ),
        }
    }
}

// === impl Stage ===

impl Stage {
    /// Returns the number of bytes that were read from members files.
    fn total_read_bytes(&self) -> u64 {
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
    fn adds_up_the_bytes_of_all_files() {
        let progress = Progress::default();
        assert_eq!(progress.to_string(), "checking it, with 0 MiB of members files");
        progress.note_read_bytes("a", MEBIBYTE, 3 * MEBIBYTE);
        progress.note_read_bytes("a", 3 * MEBIBYTE, 3 * MEBIBYTE);
        progress.note_read_bytes("b", MEBIBYTE, 2 * MEBIBYTE);
        assert_eq!(progress.to_string(), "reading the members file `b`, 1 of 2 MiB");
        progress.note_read_bytes("b", 2 * MEBIBYTE, 2 * MEBIBYTE);
        assert_eq!(progress.to_string(), "checking it, with 5 MiB of members files");
        progress.begin_load();
        assert_eq!(progress.to_string(), "checking it, with 0 MiB of members files");
    }
}
