//! Counters of a near-cache.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of a near-cache, and its size. Counters begin at 0 and only grow; they are read
/// one after the other, so that sums may be off by the look-ups under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NearCacheStats {
    /// Look-ups that found an answer in memory.
    pub hits: u64,
    /// Look-ups that found none, each of `cached_audience` and then `audience` if the caller
    /// tries both.
    pub misses: u64,
    /// Hits without a connection to the daemon. `hits` includes them.
    pub stale: u64,
    /// Answers that ended because a change, a refusal or another history made them invalid.
    /// An answer that several users share counts once.
    pub closed: u64,
    /// Questions that failed.
    pub errors: u64,
    /// Answers that were dropped, or not kept, for lack of room.
    pub evictions: u64,
    /// Bytes that the cache counts at the moment: answers, and the user ids and expressions of
    /// sets. In memory, sets take a few times as much.
    pub bytes: u64,
    /// Number of answers in memory, including those that ended and were not asked for since.
    pub entries: u64,
}

/// The counters behind [`NearCacheStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) stale: Counter,
    pub(crate) closed: Counter,
    pub(crate) errors: Counter,
    pub(crate) evictions: Counter,
    /// Bytes of sets, as the task counts them.
    pub(crate) set_bytes: Counter,
}

/// A counter that no other memory depends on.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

// === impl Counter ===

impl Counter {
    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
