//! Polls the files on a separate thread, since a poll may hang on a network file system.

use std::path::PathBuf;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::source::stamp::SeenFile;

/// The time between two polls for changes that the system does not announce.
pub(super) const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The running poll, if there is one.
#[derive(Debug, Default)]
pub(super) struct Poll(Option<JoinHandle<Vec<PathBuf>>>);

// === impl Poll ===

impl Poll {
    /// Begins a poll.
    pub(super) fn begin_poll(&mut self, files: Vec<SeenFile>) {
        self.0 = Some(tokio::task::spawn_blocking(|| find_changed_files(files)));
    }

    /// Returns true if a poll is running.
    pub(super) fn is_running(&self) -> bool {
        self.0.is_some()
    }

    /// Waits for the end of the poll, and returns the changed files. Without a poll, waits
    /// for ever.
    pub(super) async fn changed_files(&mut self) -> Vec<PathBuf> {
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

/// Returns the files whose state differs from their last read state.
pub(super) fn find_changed_files(files: Vec<SeenFile>) -> Vec<PathBuf> {
    let changed = files.into_iter().filter(SeenFile::has_changed);
    changed.map(|file| file.path).collect()
}
