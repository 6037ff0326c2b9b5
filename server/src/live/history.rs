//! The latest revisions, and what changed between them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::active::Current;
use crate::revision::Revision;
use presence_router_engine::unstable::routing::change::difference::Budget;
use presence_router_engine::{Difference, TooMuch};

/// Revisions that are kept, the current one included. A client that comes back
/// from an earlier one starts afresh. An edit of the directory costs little
/// memory, since snapshots share what did not change; another policy for a
/// million users may cost hundreds of megabytes while it is kept.
const KEPT: usize = 16;

/// Differences that are remembered: streams that read slowly are behind by
/// several.
const REMEMBERED: usize = 16;

/// The latest revisions.
#[derive(Debug)]
pub(super) struct History {
    /// The current one last.
    kept: Mutex<VecDeque<Arc<Current>>>,
    found: Mutex<VecDeque<Found>>,
}

/// A difference that was asked for, perhaps not found yet.
#[derive(Debug)]
struct Found {
    between: [Revision; 2],
    difference: Arc<OnceCell<Result<Arc<Difference>, TooMuch>>>,
}

// === impl History ===

impl History {
    pub(super) fn new(first: Arc<Current>) -> Self {
        Self { kept: Mutex::new(VecDeque::from([first])), found: Mutex::default() }
    }

    pub(super) fn add(&self, current: Arc<Current>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
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
    ) -> Result<Arc<Difference>, TooMuch> {
        let cell = self.cell([from.revision, to.revision]);
        let found = cell.get_or_init(|| {
            let (from, to) = (Arc::clone(from), Arc::clone(to));
            // Too long for a thread on which other streams wait.
            let find = move || Difference::between(&from.snapshot, &to.snapshot, Budget::CHANGE);
            async { tokio::task::spawn_blocking(find).await.unwrap_or(Err(TooMuch)).map(Arc::new) }
        });
        found.await.clone()
    }

    fn cell(&self, between: [Revision; 2]) -> Arc<OnceCell<Result<Arc<Difference>, TooMuch>>> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = found.iter().find(|known| known.between == between) {
            return Arc::clone(&known.difference);
        }
        if found.len() == REMEMBERED {
            found.pop_front();
        }
        let difference = Arc::default();
        found.push_back(Found { between, difference: Arc::clone(&difference) });
        difference
    }
}
