//! The latest revisions, and the differences between them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::active::Current;
use crate::revision::Revision;
use presence_router_engine::unstable::routing::change::difference::Budget;
use presence_router_engine::{Difference, TooMuch};
use presence_router_ids::RoomCapabilities;

/// The number of kept revisions, including the current one. A client that resumes from an
/// earlier revision starts from the beginning. An edit of the directory costs little memory,
/// since snapshots share their unchanged parts; each further policy for a million users may
/// cost hundreds of megabytes while the history keeps it.
const KEPT_REVISIONS: usize = 16;

/// The number of kept differences. It is more than one, since slow streams are several
/// revisions behind, and callers with other capabilities may need another difference.
const KEPT_DIFFERENCES: usize = 16;

/// The latest revisions.
#[derive(Debug)]
pub(super) struct History {
    /// The current revision is the last one.
    kept: Mutex<VecDeque<Arc<Current>>>,
    found: Mutex<VecDeque<Found>>,
}

/// A requested difference. The search for it may still be running.
#[derive(Debug)]
struct Found {
    between: [Revision; 2],
    /// The capabilities of the callers, as far as the difference depends on them.
    capabilities: RoomCapabilities,
    difference: Arc<OnceCell<Result<Arc<Difference>, TooMuch>>>,
}

// === impl History ===

impl History {
    pub(super) fn new(first: Arc<Current>) -> Self {
        Self { kept: Mutex::new(VecDeque::from([first])), found: Mutex::default() }
    }

    pub(super) fn add_revision(&self, current: Arc<Current>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT_REVISIONS {
            kept.pop_front();
        }
        kept.push_back(current);
    }

    pub(super) fn at_revision(&self, revision: Revision) -> Option<Arc<Current>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|current| current.revision == revision).cloned()
    }

    pub(super) async fn difference(
        &self,
        from: &Arc<Current>,
        to: &Arc<Current>,
        capabilities: RoomCapabilities,
    ) -> Result<Arc<Difference>, TooMuch> {
        let snapshots = [&*from.snapshot, &*to.snapshot];
        let capabilities = Difference::relevant_capabilities(snapshots, capabilities);
        let cell = self.difference_cell([from.revision, to.revision], capabilities);
        let found = cell.get_or_init(|| {
            let (from, to) = (Arc::clone(from), Arc::clone(to));
            // The search takes too long for a thread that other streams wait for.
            let find = move || {
                Difference::between(&from.snapshot, &to.snapshot, capabilities, Budget::CHANGE)
            };
            async { tokio::task::spawn_blocking(find).await.unwrap_or(Err(TooMuch)).map(Arc::new) }
        });
        found.await.clone()
    }

    fn difference_cell(
        &self,
        between: [Revision; 2],
        capabilities: RoomCapabilities,
    ) -> Arc<OnceCell<Result<Arc<Difference>, TooMuch>>> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |one: &&Found| one.between == between && one.capabilities == capabilities;
        if let Some(known) = found.iter().find(is_same) {
            return Arc::clone(&known.difference);
        }
        if found.len() == KEPT_DIFFERENCES {
            found.pop_front();
        }
        let difference = Arc::default();
        found.push_back(Found { between, capabilities, difference: Arc::clone(&difference) });
        difference
    }
}
