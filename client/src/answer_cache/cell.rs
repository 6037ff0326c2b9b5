//! Answers that users share, and their current value.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use arc_swap::ArcSwapOption;
use presence_router_proto::v1;

use super::key::Key;
use crate::answer::{AnswerValue, Heard};

/// The answer of one user.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// The user has no counterparts, since the revision at which the daemon answered.
    Nobody(Arc<Heard>),
    /// The user has the counterparts of this cell.
    Shared(Arc<Cell>),
}

/// An answer that refers to sets of one stream. All users with the same sets and hides share
/// it. Only the task that owns the stream changes its value.
#[derive(Debug)]
pub(crate) struct Cell {
    /// `None`: the answer ended.
    value: ArcSwapOption<AnswerValue>,
    /// Number of the stream that defined the sets.
    pub(crate) stream: u64,
    pub(crate) set_id: u64,
    /// The hides, as the daemon sent them, so that they can be evaluated again.
    pub(crate) hides: Box<[v1::Hide]>,
    /// One user whose answer this is. The daemon ends the answers of users who move, so it is
    /// this user's answer as long as it lasts.
    pub(crate) asked: Key,
    /// True if a hit was reported to the task, and the task has not told the daemon yet.
    used: AtomicBool,
}

// === impl Cell ===

impl Cell {
    pub(crate) fn new(
        value: AnswerValue,
        stream: u64,
        set_id: u64,
        hides: Box<[v1::Hide]>,
        asked: Key,
    ) -> Self {
        let value = ArcSwapOption::from_pointee(value);
        Self { value, stream, set_id, hides, asked, used: AtomicBool::new(false) }
    }

    /// Returns the current value. `None`: the answer ended.
    pub(crate) fn value(&self) -> Option<Arc<AnswerValue>> {
        self.value.load_full()
    }

    pub(crate) fn replace_value(&self, value: AnswerValue) {
        self.value.store(Some(Arc::new(value)));
    }

    /// Ends the answer, for all users that share it. Returns true if it had not ended before.
    pub(crate) fn end(&self) -> bool {
        self.value.swap(None).is_some()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.value.load().is_none()
    }

    /// Marks the answer as used. Returns true if it was not marked.
    pub(super) fn mark_used(&self) -> bool {
        // Reading first keeps the cache line shared between threads.
        !self.used.load(Relaxed) && !self.used.swap(true, Relaxed)
    }

    /// Removes the mark, so that the next hit reports itself again.
    pub(crate) fn clear_used(&self) {
        self.used.store(false, Relaxed);
    }
}
