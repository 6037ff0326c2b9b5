//! Makes a policy active and notifies subscribers. Keeps the revisions before it, and the
//! latest load if it failed. The publisher loads nothing and assigns no revisions: each policy
//! comes with its revision.

use std::sync::{Arc, Mutex, PoisonError};

use presence_router_engine::{Difference, TooMuch};
use presence_router_ids::RoomCapabilities;
use tokio::sync::watch;

use super::active::{ActivePolicy, Current};
use super::failed_load::FailedLoad;
use super::history::History;
use super::load_error::LoadError;
use crate::revision::Revision;
use crate::source::stamp::SeenFile;

/// The published policy, and its history.
#[derive(Debug)]
pub(super) struct Publisher {
    current: watch::Sender<Arc<Current>>,
    history: History,
    active: Mutex<ActivePolicy>,
    /// The files to watch. Every load sends them.
    files: watch::Sender<Vec<SeenFile>>,
    failed_load: watch::Sender<Option<FailedLoad>>,
}

// === impl Publisher ===

impl Publisher {
    /// Begins with a policy that was read from these files.
    pub(super) fn new(active: ActivePolicy, files: Vec<SeenFile>) -> Self {
        Self {
            current: watch::Sender::new(Arc::clone(&active.current)),
            history: History::new(Arc::clone(&active.current)),
            active: Mutex::new(active),
            files: watch::Sender::new(files),
            failed_load: watch::Sender::new(None),
        }
    }

    /// Replaces the active policy by the next one, at the revision of the next one. The caller
    /// ensures that revisions ascend and that calls do not overlap.
    pub(super) fn publish(&self, next: ActivePolicy) {
        let current = Arc::clone(&next.current);
        // First, so that a subscriber who is notified of a revision finds it in the history.
        self.history.add_revision(Arc::clone(&current));
        *self.active.lock().unwrap_or_else(PoisonError::into_inner) = next;
        self.current.send_replace(current);
    }

    /// Records a successful load of these files.
    pub(super) fn record_success(&self, files: Vec<SeenFile>) {
        self.failed_load.send_replace(None);
        // Last, so that a notified subscriber finds everything else done.
        self.files.send_replace(files);
    }

    /// Records a failed load, and the files to watch after it. `may_pass` means that another
    /// try may succeed although no file changes.
    pub(super) fn record_failure(
        &self,
        error: Arc<LoadError>,
        may_pass: bool,
        files: Vec<SeenFile>,
    ) {
        self.failed_load.send_modify(|failed| {
            *failed = Some(FailedLoad::with_next_failure(failed.as_ref(), error, may_pass));
        });
        // Last, so that a notified subscriber finds everything else done.
        self.files.send_replace(files);
    }

    pub(super) fn subscribe_files(&self) -> watch::Receiver<Vec<SeenFile>> {
        self.files.subscribe()
    }

    pub(super) fn subscribe_failed_load(&self) -> watch::Receiver<Option<FailedLoad>> {
        self.failed_load.subscribe()
    }

    pub(super) fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.borrow())
    }

    pub(super) fn active(&self) -> ActivePolicy {
        // A poisoned lock is harmless: the policy is replaced in one step.
        self.active.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn subscribe_current(&self) -> watch::Receiver<Arc<Current>> {
        self.current.subscribe()
    }

    pub(super) fn at_revision(&self, revision: Revision) -> Option<Arc<Current>> {
        self.history.at_revision(revision)
    }

    pub(super) async fn difference(
        &self,
        from: &Arc<Current>,
        to: &Arc<Current>,
        capabilities: RoomCapabilities,
    ) -> Result<Arc<Difference>, TooMuch> {
        self.history.difference(from, to, capabilities).await
    }
}
