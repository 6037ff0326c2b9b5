//! The answers by user, bounded by bytes. This module knows nothing of their validity.

use std::sync::Arc;

use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter, sync::Cache};

use super::{
    cell::Entry,
    key::{Key, KeyRef, Side},
    stats::Counters,
};

/// Bytes that an answer takes beside its user id and its sets: 56 in a slot of the cache, half
/// as much again for recently evicted ones, 12 in its index, 16 before the id, and room to grow.
/// The test of `answer_cache` measures it.
pub(crate) const ENTRY_BYTES: u64 = 136;

/// Bytes that an answer takes once for all users that share it, beside its sets: the cell with
/// its value, and its place among the cells of its sets.
pub(crate) const CELL_BYTES: u64 = 240;

/// Number of answers for which an unlimited cache is laid out at first.
const UNLIMITED_ITEMS: u64 = 100_000;

/// Answers of both sides, in one map, so that they share one budget.
#[derive(Debug)]
pub(crate) struct Entries(Cache<Key, Entry, ByBytes, DefaultHashBuilder, CountEvictions>);

/// Weighs an answer by its bytes.
#[derive(Clone, Copy, Debug)]
struct ByBytes;

/// Counts evicted answers, and drops them outside of the cache's locks: an answer of an earlier
/// stream may be the last to refer to a long list.
#[derive(Clone, Debug)]
struct CountEvictions(Arc<Counters>);

// === impl Entries ===

impl Entries {
    /// Creates a cache for so many bytes. `u64::MAX`: unlimited.
    pub(crate) fn new(bytes: u64, counters: Arc<Counters>) -> Self {
        let items = if bytes == u64::MAX { UNLIMITED_ITEMS } else { bytes / (ENTRY_BYTES + 32) };
        let items = usize::try_from(items).unwrap_or(usize::MAX);
        let hasher = DefaultHashBuilder::default();
        Self(Cache::with(items, bytes, ByBytes, hasher, CountEvictions(counters)))
    }

    pub(crate) fn get(&self, side: Side, user: &str) -> Option<Entry> {
        self.0.get(&KeyRef { user, side })
    }

    pub(crate) fn insert(&self, key: Key, entry: Entry) {
        self.0.insert(key, entry);
    }

    /// Removes a user's answer if it meets a condition. Returns true if it did.
    pub(crate) fn remove_if(
        &self,
        side: Side,
        user: &str,
        condition: impl FnOnce(&Entry) -> bool,
    ) -> bool {
        self.0.remove_if(&KeyRef { user, side }, condition).is_some()
    }

    /// Returns the keys of all answers that meet a condition. Takes a lock for one answer at a
    /// time, so that no reader waits.
    pub(crate) fn find_keys(&self, condition: impl Fn(&Key, &Entry) -> bool) -> Vec<Key> {
        let entries = self.0.iter().filter(|(key, entry)| condition(key, entry));
        entries.map(|(key, _)| key).collect()
    }

    pub(crate) fn clear(&self) {
        self.0.clear();
    }

    /// Changes the number of bytes, and evicts what no longer fits.
    pub(crate) fn set_capacity(&self, bytes: u64) {
        self.0.set_capacity(bytes);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the bytes of all answers, without their sets.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.weight()
    }

    #[cfg(test)]
    pub(super) fn memory_used(&self) -> usize {
        self.0.memory_used().total()
    }
}

// === impl ByBytes ===

impl Weighter<Key, Entry> for ByBytes {
    fn weight(&self, key: &Key, entry: &Entry) -> u64 {
        let id = u64::try_from(key.user.len()).unwrap_or(u64::MAX);
        // The first user with an answer carries the answer's own bytes: a weight must not change,
        // and so it cannot depend on the number of users.
        let own = match entry {
            Entry::Shared(cell) if Arc::ptr_eq(&cell.asked.user, &key.user) => CELL_BYTES,
            _ => 0,
        };
        ENTRY_BYTES.saturating_add(own).saturating_add(id)
    }
}

// === impl CountEvictions ===

impl Lifecycle<Key, Entry> for CountEvictions {
    type RequestState = Vec<(Key, Entry)>;

    fn on_evict(&self, evicted: &mut Self::RequestState, key: Key, entry: Entry) {
        self.0.evictions.add(1);
        evicted.push((key, entry));
    }
}
