//! The watch on the policy's files, and what the log says of it. It follows the files from
//! load to load.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{info, warn};

use super::poll::POLL_INTERVAL;
use crate::source::inbox::Inbox;
use crate::source::watcher::Watcher;

/// The watch, if the operator wants one.
#[derive(Debug)]
pub(super) struct FileWatch {
    /// `None`: the files are not watched.
    watcher: Option<Arc<Mutex<Watcher>>>,
    logged: Status,
}

/// What the log last said about watching.
#[derive(Debug, PartialEq, Eq)]
enum Status {
    Nothing,
    Watching,
    /// Not every change is announced, for this reason.
    Incomplete(String),
}

// === impl FileWatch ===

impl FileWatch {
    /// A watch that puts changes into an inbox.
    pub(super) fn start(inbox: Inbox) -> Self {
        Self { watcher: Some(Arc::new(Mutex::new(Watcher::new(inbox)))), logged: Status::Nothing }
    }

    /// No watch.
    pub(super) fn none() -> Self {
        Self { watcher: None, logged: Status::Nothing }
    }

    /// True if changes of the files count.
    pub(super) fn is_on(&self) -> bool {
        self.watcher.is_some()
    }

    /// Watches these files, and no others any more.
    pub(super) async fn follow(&mut self, files: Vec<PathBuf>) {
        let Some(watcher) = &self.watcher else { return };
        let (watcher, count) = (Arc::clone(watcher), files.len());
        let followed = tokio::task::spawn_blocking(move || {
            // Poison is no harm: a watch that was not replaced is still one.
            watcher.lock().unwrap_or_else(PoisonError::into_inner).follow(&files)
        });
        let status = match followed.await {
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
                "looking at the policy every {POLL_INTERVAL:?} for changes, since not all of \
                 them are announced"
            ),
            Status::Nothing | Status::Watching => {
                info!(files = count, "watching the policy for changes");
            }
        }
        self.logged = status;
    }
}
