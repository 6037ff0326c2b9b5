//! Polls the files on a thread of its own: on a network file system it may hang.

use std::path::PathBuf;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::source::stamp::SeenFile;

/// How often the files are polled for changes that the system does not announce.
pub(super) const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// A poll that is under way, if any.
#[derive(Debug, Default)]
pub(super) struct Poll(Option<JoinHandle<Vec<PathBuf>>>);

// === impl Poll ===

impl Poll {
    /// Begins a poll.
    pub(super) fn begin(&mut self, files: Vec<SeenFile>) {
        self.0 = Some(tokio::task::spawn_blocking(|| changed_files(files)));
    }

    /// True if a poll is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.0.is_some()
    }

    /// Waits for the end of the poll, and returns the files that have changed. For ever
    /// without a poll.
    pub(super) async fn finished(&mut self) -> Vec<PathBuf> {
        match &mut self.0 {
            Some(handle) => {
                let changed = handle.await.unwrap_or_default();
                self.0 = None;
                changed
            }
            None => std::future::pending().await,
        }
    }
}

/// Those of the files that are not as they were last read.
pub(super) fn changed_files(files: Vec<SeenFile>) -> Vec<PathBuf> {
    let changed = files.into_iter().filter(SeenFile::has_changed);
    changed.map(|file| file.path).collect()
}
