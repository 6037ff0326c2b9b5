//! The watch on the policy's files, and its log lines. After each load, the watch moves to the
//! files of that load.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{info, warn};

use super::poll::POLL_INTERVAL;
use crate::source::inbox::Inbox;
use crate::source::watcher::Watcher;

/// The watch on the policy's files, if it is enabled.
#[derive(Debug)]
pub(super) struct FileWatch {
    /// `None` if the operator disabled the watch, or the policy has no files.
    watcher: Option<Arc<Mutex<Watcher>>>,
    logged: Status,
}

/// The latest status of the watch in the log.
#[derive(Debug, PartialEq, Eq)]
enum Status {
    Nothing,
    Watching,
    /// The system does not announce every change, for this reason.
    Incomplete(String),
}

// === impl FileWatch ===

impl FileWatch {
    /// Starts a watch that puts changes into an inbox.
    pub(super) fn start(inbox: Inbox) -> Self {
        Self { watcher: Some(Arc::new(Mutex::new(Watcher::new(inbox)))), logged: Status::Nothing }
    }

    /// Creates a disabled watch.
    pub(super) fn disabled() -> Self {
        Self { watcher: None, logged: Status::Nothing }
    }

    /// Returns true if the watch is enabled.
    pub(super) fn is_on(&self) -> bool {
        self.watcher.is_some()
    }

    /// Watches these files, and no others.
    pub(super) async fn watch_only(&mut self, files: Vec<PathBuf>) {
        let Some(watcher) = &self.watcher else { return };
        let (watcher, count) = (Arc::clone(watcher), files.len());
        let watching = tokio::task::spawn_blocking(move || {
            // A poisoned lock is harmless: a watch that was not replaced still works.
            watcher.lock().unwrap_or_else(PoisonError::into_inner).watch_only(&files)
        });
        let status = match watching.await {
            Ok(Ok(())) => Status::Watching,
            Ok(Err(reason)) => Status::Incomplete(reason),
            Err(panic) => Status::Incomplete(panic.to_string()),
        };
        if status == self.logged {
            return;
        }
        match &status {
            Status::Incomplete(reason) => warn!(
                reason,
                files = count,
                "checking the policy's files every {POLL_INTERVAL:?}, since the system does not \
                 announce every change of them"
            ),
            Status::Nothing | Status::Watching => {
                info!(files = count, "watching the policy for changes");
            }
        }
        self.logged = status;
    }
}
