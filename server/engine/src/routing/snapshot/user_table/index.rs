//! Where a named user's number is found by the hash of its id.
//!
//! A table of our own, since a decision is little else than this lookup: a slot
//! holds the number and half of the hash, so that one cache line says nearly
//! always which user it can only be, where a table with control bytes reads two.
//! Nobody is ever taken out, which makes linear probing as simple as it looks.

use std::sync::Arc;

/// Most shards. A change of who is named counts a reference to each.
const MAX_SHARDS: usize = 8192;

/// Slots of a shard when it is made: a change copies so many.
const SLOTS: usize = 256;

/// Users of a shard that it has slots for when it is made.
const PER_SHARD: usize = SLOTS / 10 * 7;

/// In place of a number, where there is none.
const FREE: u32 = u32::MAX;

/// Numbers by hash.
#[derive(Clone, Debug)]
pub(super) struct Index {
    /// Those of one share of all hashes each.
    shards: Vec<Shard>,
}

/// A clone shares its slots until one of both changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Shard {
    /// A power of two of them, some of them free; or none at all.
    slots: Arc<[Slot]>,
    used: usize,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The half of the hash that does not choose the shard.
    hash: u32,
    number: u32,
}

// === impl Index ===

impl Index {
    /// Room for about so many users. More only make shards larger, and a change
    /// copies one.
    pub(super) fn for_about(users: usize) -> Self {
        let shards = (users / PER_SHARD).clamp(1, MAX_SHARDS);
        Self { shards: vec![Shard::default(); shards] }
    }

    /// The only shard that can hold a hash.
    pub(super) fn shard(&self, hash: u64) -> Option<&Shard> {
        self.shards.get(self.place(hash))
    }

    /// Adds a number that is not there yet.
    pub(super) fn insert(&mut self, hash: u64, number: u32) {
        let place = self.place(hash);
        if let Some(shard) = self.shards.get_mut(place) {
            shard.insert(low(hash), number);
        }
    }

    fn place(&self, hash: u64) -> usize {
        let spread = ((hash >> 32) * self.shards.len() as u64) >> 32;
        usize::try_from(spread).unwrap_or(0)
    }
}

// === impl Shard ===

impl Shard {
    /// Numbers that this may be the hash of: nearly always one, or none.
    pub(super) fn numbers(&self, hash: u64) -> impl Iterator<Item = u32> {
        let hash = low(hash);
        let from_there = probe(hash, self.slots.len()).map_while(|at| self.slots.get(at));
        let used = from_there.take_while(|slot| slot.number != FREE);
        used.filter(move |slot| slot.hash == hash).map(|slot| slot.number)
    }

    fn insert(&mut self, hash: u32, number: u32) {
        // Four fifths full at most, and so there is always a free one.
        if (self.used + 1) * 5 > self.slots.len() * 4 {
            let mut slots = vec![Slot { hash: 0, number: FREE }; (self.slots.len() * 2).max(SLOTS)];
            let used = self.slots.iter().filter(|slot| slot.number != FREE);
            used.for_each(|slot| put(&mut slots, *slot));
            self.slots = slots.into();
        }
        put(Arc::make_mut(&mut self.slots), Slot { hash, number });
        self.used += 1;
    }
}

/// Puts a number into the first free slot.
fn put(slots: &mut [Slot], slot: Slot) {
    let is_free = |at: &usize| slots.get(*at).is_some_and(|slot| slot.number == FREE);
    let free = probe(slot.hash, slots.len()).find(is_free);
    if let Some(free) = free.and_then(|at| slots.get_mut(at)) {
        *free = slot;
    }
}

/// All places among so many slots, in the order in which a hash looks at them.
fn probe(hash: u32, slots: usize) -> impl Iterator<Item = usize> {
    let first = usize::try_from(hash).unwrap_or(0);
    (0..slots).map(move |step| (first + step) & (slots - 1))
}

/// The half of a hash that is kept.
#[expect(clippy::cast_possible_truncation, reason = "the other half chooses the shard")]
fn low(hash: u64) -> u32 {
    hash as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_number_by_its_hash_and_no_other() {
        let mut index = Index::for_about(1000);
        // All in a few shards, and every hash twice, as bad luck would have it.
        let hash = |number: u32| u64::from(number / 2 % 5000) * 7;
        (0..10_000).for_each(|number| index.insert(hash(number), number));
        for number in (0..10_000).step_by(2) {
            let shard = index.shard(hash(number)).unwrap();
            let mut found: Vec<u32> = shard.numbers(hash(number)).collect();
            found.sort_unstable();
            assert_eq!(found, [number, number + 1]);
        }
        assert_eq!(index.shard(3).unwrap().numbers(3).count(), 0);
        assert_eq!(Index::for_about(0).shard(3).unwrap().numbers(3).count(), 0);
    }

    #[test]
    fn a_clone_keeps_what_it_had() {
        let mut index = Index::for_about(0);
        index.insert(1, 1);
        let before = index.clone();
        index.insert(2, 2);
        let has = |index: &Index, hash| index.shard(hash).unwrap().numbers(hash).count();
        assert_eq!([has(&index, 1), has(&index, 2)], [1, 1]);
        assert_eq!([has(&before, 1), has(&before, 2)], [1, 0]);
    }
}
