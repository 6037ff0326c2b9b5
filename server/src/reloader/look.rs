//! A look at the files on a thread of its own: on a network file system it may hang.

use std::path::PathBuf;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::source::stamp::SeenFile;

/// How often the files are looked at for changes that the system does not announce.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A look that is under way, if any.
#[derive(Debug, Default)]
pub(super) struct Look(Option<JoinHandle<Vec<PathBuf>>>);

// === impl Look ===

impl Look {
    /// Begins a look.
    pub(super) fn begin(&mut self, files: Vec<SeenFile>) {
        self.0 = Some(tokio::task::spawn_blocking(|| changed_files(files)));
    }

    /// True if a look is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.0.is_some()
    }

    /// Waits for the end of the look, and returns the files that have changed. For ever
    /// without a look.
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
