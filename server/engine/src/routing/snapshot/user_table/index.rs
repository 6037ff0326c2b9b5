//! Finds a key by a hash: a named user's number by the hash of its id, a server by the hash
//! of its name.
//!
//! This is a table of our own, since a decision consists mostly of this lookup. A slot
//! holds the key and half of the hash, so that one cache line nearly always identifies the
//! only possible user; a table with control bytes reads two. Keys are never removed, which
//! keeps linear probing simple.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::routing::snapshot::keys::Key;

/// Most shards. A change of who is named counts a reference to each.
const MAX_SHARDS: usize = 8192;

/// Slots of a shard when it is made: a change copies so many.
const SLOTS: usize = 256;

/// Users of a shard that it has slots for when it is made.
const PER_SHARD: usize = SLOTS / 10 * 7;

/// Keys by hash.
#[derive(Clone, Debug)]
pub(super) struct Index<K> {
    /// Those of one share of all hashes each.
    shards: Vec<Shard>,
    key: PhantomData<fn() -> K>,
}

/// A clone shares its slots until one of both changes.
#[derive(Clone, Debug, Default)]
struct Shard {
    /// A power of two of them, some of them free; or none at all.
    slots: Arc<[Slot]>,
    used: usize,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The half of the hash that does not choose the shard.
    hash: u32,
    /// The index of a key. `u32::MAX`, which no key has, marks a free slot.
    index: u32,
}

// === impl Index ===

impl<K: Key> Index<K> {
    /// Room for about so many users. More only make shards larger, and a change
    /// copies one.
    pub(super) fn for_about(users: usize) -> Self {
        let shards = (users / PER_SHARD).clamp(1, MAX_SHARDS);
        Self { shards: vec![Shard::default(); shards], key: PhantomData }
    }

    /// Keys that this may be the hash of: nearly always one, or none.
    #[inline]
    pub(super) fn candidates(&self, hash: u64) -> impl Iterator<Item = K> {
        let slots = self.shards.get(self.shard_of(hash)).map_or(&[][..], |shard| &shard.slots);
        let hash = low_half(hash);
        let from_there = probe(hash, slots.len()).map_while(|at| slots.get(at));
        let used = from_there.take_while(|slot| !slot.is_free());
        used.filter(move |slot| slot.hash == hash).map(|slot| K::from_index(slot.index.index()))
    }

    /// Adds a key that is not there yet.
    pub(super) fn insert(&mut self, hash: u64, key: K) {
        let shard = self.shard_of(hash);
        if let Some(shard) = self.shards.get_mut(shard) {
            shard.insert(Slot { hash: low_half(hash), index: u32::from_index(key.index()) });
        }
    }

    /// The only shard that can hold a hash.
    #[inline]
    fn shard_of(&self, hash: u64) -> usize {
        let spread = ((hash >> 32) * self.shards.len() as u64) >> 32;
        usize::try_from(spread).unwrap_or(0)
    }
}

// === impl Shard ===

impl Shard {
    fn insert(&mut self, slot: Slot) {
        // Four fifths full at most, and so there is always a free one.
        if (self.used + 1) * 5 > self.slots.len() * 4 {
            let mut slots = vec![Slot::FREE; (self.slots.len() * 2).max(SLOTS)];
            let used = self.slots.iter().filter(|slot| !slot.is_free());
            used.for_each(|slot| fill_free_slot(&mut slots, *slot));
            self.slots = slots.into();
        }
        fill_free_slot(Arc::make_mut(&mut self.slots), slot);
        self.used += 1;
    }
}

// === impl Slot ===

impl Slot {
    const FREE: Self = Self { hash: 0, index: u32::MAX };

    #[inline]
    fn is_free(self) -> bool {
        self.index == Self::FREE.index
    }
}

/// Puts a slot's content into the first free one of its hash.
fn fill_free_slot(slots: &mut [Slot], slot: Slot) {
    let is_free = |at: &usize| slots.get(*at).is_some_and(|slot| slot.is_free());
    let free = probe(slot.hash, slots.len()).find(is_free);
    if let Some(free) = free.and_then(|at| slots.get_mut(at)) {
        *free = slot;
    }
}

/// Indexes of all of so many slots, in the order in which a hash looks at them.
#[inline]
fn probe(hash: u32, slots: usize) -> impl Iterator<Item = usize> {
    let first = hash.index();
    (0..slots).map(move |step| (first + step) & (slots - 1))
}

/// The half of a hash that is kept.
#[expect(clippy::cast_possible_truncation, reason = "the other half chooses the shard")]
#[inline]
fn low_half(hash: u64) -> u32 {
    hash as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_number_by_its_hash_and_no_other() {
        let mut index = Index::<u32>::for_about(1000);
        // All in a few shards, and every hash twice, as bad luck would have it.
        let hash = |number: u32| u64::from(number / 2 % 5000) * 7;
        (0..10_000).for_each(|number| index.insert(hash(number), number));
        for number in (0..10_000).step_by(2) {
            let mut found: Vec<u32> = index.candidates(hash(number)).collect();
            found.sort_unstable();
            assert_eq!(found, [number, number + 1]);
        }
        assert_eq!(index.candidates(3).count(), 0);
        assert_eq!(Index::<u32>::for_about(0).candidates(3).count(), 0);
    }

    #[test]
    fn a_clone_keeps_what_it_had() {
        let mut index = Index::<u32>::for_about(0);
        index.insert(1, 1);
        let before = index.clone();
        index.insert(2, 2);
        let has = |index: &Index<u32>, hash| index.candidates(hash).count();
        assert_eq!([has(&index, 1), has(&index, 2)], [1, 1]);
        assert_eq!([has(&before, 1), has(&before, 2)], [1, 0]);
    }
}
