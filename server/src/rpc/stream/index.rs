//! Indexes into lists, with a separate type for each list.

use std::marker::PhantomData;
use std::num::NonZeroU32;

/// An index into a list of `T`, from 0. `Option<Index<T>>` takes four bytes as well.
pub(super) struct Index<T> {
    /// One more than the index.
    after: NonZeroU32,
    list: PhantomData<fn() -> T>,
}

// === impl Index ===

impl<T> Index<T> {
    /// Index 0.
    pub(super) const FIRST: Self = Self { after: NonZeroU32::MIN, list: PhantomData };

    /// Returns an index below 2^32 - 1. The lists of a stream are much shorter, so that any
    /// larger index only has to be outside all of them.
    pub(super) fn new(index: usize) -> Self {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        Self { after: NonZeroU32::MIN.saturating_add(index), list: PhantomData }
    }

    pub(super) fn get(self) -> usize {
        // The default 0 is not reached: all supported platforms have at least 32 bits.
        usize::try_from(self.after.get() - 1).unwrap_or_default()
    }
}

// By hand: derived implementations would demand the same traits of `T`.

impl<T> Clone for Index<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Index<T> {}

impl<T> PartialEq for Index<T> {
    fn eq(&self, other: &Self) -> bool {
        self.after == other.after
    }
}

impl<T> Eq for Index<T> {}

impl<T> std::fmt::Debug for Index<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}
