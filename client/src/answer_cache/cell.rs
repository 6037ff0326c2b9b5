//! Answers that users share, and their current value.

use std::sync::{
    Arc, PoisonError, RwLock, RwLockReadGuard,
    atomic::{AtomicBool, Ordering::Relaxed},
};

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
///
/// In the order of fields, so that those that a hit reads are next to each other.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Cell {
    /// `None`: the answer ended. A lock inside the cell, rather than a pointer to the value, so
    /// that a hit reads one place of memory less. Nobody holds the lock for longer than it takes
    /// to copy some pointers.
    value: RwLock<Option<Current>>,
    /// True if a hit was reported to the task, and the task has not told the daemon yet.
    used: AtomicBool,
    /// Number of the stream that defined the sets.
    pub(crate) stream: u64,
    pub(crate) set_id: u64,
    /// The hides, as the daemon sent them, so that they can be evaluated again.
    pub(crate) hides: Box<[v1::Hide]>,
    /// One user whose answer this is. The daemon ends the answers of users who move, so it is
    /// this user's answer as long as it lasts.
    pub(crate) asked: Key,
}

/// The current value of a cell.
#[derive(Debug)]
struct Current {
    value: AnswerValue,
    /// The first revision at which this is the answer.
    since: Arc<Heard>,
}

// === impl Cell ===

impl Cell {
    pub(crate) fn new(
        value: AnswerValue,
        since: Arc<Heard>,
        stream: u64,
        set_id: u64,
        hides: Box<[v1::Hide]>,
        asked: Key,
    ) -> Self {
        let value = RwLock::new(Some(Current { value, since }));
        Self { value, used: AtomicBool::new(false), stream, set_id, hides, asked }
    }

    /// Returns the current value, and the revision at which it is exact: the published one, or a
    /// later one. `None`: the answer ended.
    pub(crate) fn value(&self, published: &Arc<Heard>) -> Option<(AnswerValue, Arc<Heard>)> {
        let current = self.read();
        let Current { value, since } = current.as_ref()?;
        Some((value.clone(), Heard::later_of(published, since).clone()))
    }

    pub(crate) fn replace_value(&self, value: AnswerValue, since: Arc<Heard>) {
        drop(self.exchange(Some(Current { value, since })));
    }

    /// Ends the answer, for all users that share it. Returns true if it had not ended before.
    pub(crate) fn end(&self) -> bool {
        self.exchange(None).is_some()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.read().is_none()
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<Current>> {
        // A poisoned lock is fine: nothing panics between two steps of an update.
        self.value.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the old value, so that a long list is dropped without the lock.
    fn exchange(&self, current: Option<Current>) -> Option<Current> {
        let mut value = self.value.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut value, current)
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
