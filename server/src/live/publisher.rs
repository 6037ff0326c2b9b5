//! Makes a policy the active one, and tells whoever waits for that. Keeps what was active
//! before, and the latest load if it failed. Loads nothing, and invents no revision: each
//! publication has the revision that its maker gave it.

use std::sync::{Arc, Mutex, PoisonError};

use presence_router_engine::{Difference, TooMuch};
use tokio::sync::watch;

use super::active::{ActivePolicy, Current};
use super::failed_load::FailedLoad;
use super::history::History;
use super::load_error::LoadError;

use crate::revision::Revision;
use crate::source::stamp::SeenFile;

/// What is published.
#[derive(Debug)]
pub(super) struct Publisher {
    current: watch::Sender<Arc<Current>>,
    history: History,
    active: Mutex<ActivePolicy>,
    /// The files to look at for a change. Sent at every load.
    files: watch::Sender<Vec<SeenFile>>,
    failed_load: watch::Sender<Option<FailedLoad>>,
}

// === impl Publisher ===

impl Publisher {
    /// Begins with a policy, which was made of these files.
    pub(super) fn new(active: ActivePolicy, files: Vec<SeenFile>) -> Self {
        Self {
            current: watch::Sender::new(Arc::clone(&active.current)),
            history: History::new(Arc::clone(&active.current)),
            active: Mutex::new(active),
            files: watch::Sender::new(files),
            failed_load: watch::Sender::new(None),
        }
    }

    /// Replaces the active policy, at the revision of the next. The caller sees to it that
    /// revisions come one by one and ascend.
    pub(super) fn publish(&self, next: ActivePolicy) {
        let current = Arc::clone(&next.current);
        // First: whoever hears of a revision can ask for it.
        self.history.add(Arc::clone(&current));
        *self.active.lock().unwrap_or_else(PoisonError::into_inner) = next;
        self.current.send_replace(current);
    }

    /// Records a load that did not fail, of these files.
    pub(super) fn record_success(&self, files: Vec<SeenFile>) {
        self.failed_load.send_replace(None);
        // Last: who hears of it finds everything else done.
        self.files.send_replace(files);
    }

    /// Records a load that failed, after which these files are looked at. `may_pass`: another
    /// try may succeed though no file changes.
    pub(super) fn record_failure(
        &self,
        error: Arc<LoadError>,
        may_pass: bool,
        files: Vec<SeenFile>,
    ) {
        self.failed_load.send_modify(|failed| {
            *failed = Some(FailedLoad::after(failed.as_ref(), error, may_pass));
        });
        // Last: who hears of it finds everything else done.
        self.files.send_replace(files);
    }

    pub(super) fn files(&self) -> watch::Receiver<Vec<SeenFile>> {
        self.files.subscribe()
    }

    pub(super) fn failed_load(&self) -> watch::Receiver<Option<FailedLoad>> {
        self.failed_load.subscribe()
    }

    pub(super) fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.borrow())
    }

    pub(super) fn active(&self) -> ActivePolicy {
        // Poison is no harm: it is replaced in one piece.
        self.active.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<Current>> {
        self.current.subscribe()
    }

    pub(super) fn at_revision(&self, revision: Revision) -> Option<Arc<Current>> {
        self.history.at_revision(revision)
    }

    pub(super) async fn difference(
        &self,
        from: &Arc<Current>,
        to: &Arc<Current>,
    ) -> Result<Arc<Difference>, TooMuch> {
        self.history.difference(from, to).await
    }
}
