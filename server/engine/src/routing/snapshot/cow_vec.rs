//! A copy-on-write vector, which shares unchanged entries with its clones. It is a tree
//! with two levels above the entries: a clone copies one pointer for each hundred thousand
//! entries; a change copies one chunk and the pointers beside it.

use std::marker::PhantomData;
use std::sync::Arc;

use super::keys::Key;

/// The number of entries in a chunk.
const CHUNK: usize = 1024;
/// The number of chunks in a block.
const BLOCK: usize = 128;

/// A vector in blocks of chunks. Keys of one type find its entries.
#[derive(Clone, Debug)]
pub(in crate::routing) struct CowVec<K, T> {
    /// Blocks, all of them full except the last one.
    blocks: Vec<Arc<Block<T>>>,
    len: usize,
    key: PhantomData<fn() -> K>,
}

/// Chunks of entries. Every chunk of a vector is full except the last one.
type Block<T> = Vec<Arc<Vec<T>>>;

impl<K, T> Default for CowVec<K, T> {
    fn default() -> Self {
        Self { blocks: Vec::new(), len: 0, key: PhantomData }
    }
}

impl<K: Key, T: Clone> CowVec<K, T> {
    pub(in crate::routing) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(in crate::routing) fn get(&self, key: K) -> Option<&T> {
        let index = key.index();
        let chunk = index / CHUNK;
        self.blocks.get(chunk / BLOCK)?.get(chunk % BLOCK)?.get(index % CHUNK)
    }

    /// Returns all keys, ascending.
    pub(in crate::routing) fn keys(&self) -> impl Iterator<Item = K> + Clone + use<K, T> {
        (0..self.len).map(K::from_index)
    }

    /// Returns all entries with their keys, ascending.
    pub(in crate::routing) fn iter(&self) -> impl Iterator<Item = (K, &T)> {
        self.keys().filter_map(|key| Some((key, self.get(key)?)))
    }

    /// Returns the keys of entries that may differ from those of a clone: both vectors share all
    /// other entries.
    pub(in crate::routing) fn unshared<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = K> + 'a {
        let longest = self.blocks.len().max(other.blocks.len());
        let blocks = (0..longest).filter(move |block| differ(&self.blocks, &other.blocks, *block));
        let chunks = blocks.flat_map(move |block| {
            let [ours, theirs] = [self, other].map(|all| all.blocks.get(block));
            let [ours, theirs] = [ours, theirs].map(|block| block.map_or(&[][..], |b| b));
            let chunks = (0..BLOCK).filter(move |chunk| differ(ours, theirs, *chunk));
            chunks.map(move |chunk| block * BLOCK + chunk)
        });
        let indexes = chunks.flat_map(|chunk| chunk * CHUNK..(chunk + 1) * CHUNK);
        indexes.take_while(move |index| *index < self.len.max(other.len)).map(K::from_index)
    }

    /// Returns an entry for a change. Copies the chunk if a clone shares it.
    pub(in crate::routing) fn get_mut(&mut self, key: K) -> Option<&mut T> {
        let index = key.index();
        let chunk = index / CHUNK;
        let block = Arc::make_mut(self.blocks.get_mut(chunk / BLOCK)?);
        Arc::make_mut(block.get_mut(chunk % BLOCK)?).get_mut(index % CHUNK)
    }

    /// Returns an entry for a change, after filling the vector with default entries up to it.
    pub(in crate::routing) fn get_mut_or_fill(&mut self, key: K) -> Option<&mut T>
    where
        T: Default,
    {
        while self.len <= key.index() {
            self.push(T::default());
        }
        self.get_mut(key)
    }

    /// Adds an entry, and returns its key.
    pub(in crate::routing) fn push(&mut self, entry: T) -> K {
        let index = self.len;
        if index.is_multiple_of(CHUNK * BLOCK) {
            self.blocks.push(Arc::new(Vec::with_capacity(1)));
        }
        if let Some(block) = self.blocks.last_mut() {
            let block = Arc::make_mut(block);
            if index.is_multiple_of(CHUNK) {
                block.push(Arc::new(Vec::new()));
            }
            if let Some(chunk) = block.last_mut() {
                let chunk = Arc::make_mut(chunk);
                // A copy has no spare capacity, and a vector would then grow to twice.
                chunk.reserve_exact(CHUNK - chunk.len());
                chunk.push(entry);
            }
        }
        self.len += 1;
        K::from_index(index)
    }
}

/// Returns true if two vectors do not share the entry at an index, or neither has one.
fn differ<T>(ours: &[Arc<T>], theirs: &[Arc<T>], index: usize) -> bool {
    let both = ours.get(index).zip(theirs.get(index));
    both.is_none_or(|(one, two)| !Arc::ptr_eq(one, two))
}

impl<K: Key, T: Clone> FromIterator<T> for CowVec<K, T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        let mut all = Self::default();
        for entry in entries {
            all.push(entry);
        }
        let last = all.blocks.last_mut().and_then(|block| Arc::make_mut(block).last_mut());
        if let Some(last) = last {
            Arc::make_mut(last).shrink_to_fit();
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Key for usize {
        fn from_index(index: usize) -> Self {
            index
        }

        fn index(self) -> usize {
            self
        }
    }

    #[test]
    fn a_clone_keeps_what_it_had() {
        let mut all: CowVec<usize, usize> = (0..3000).collect();
        let before = all.clone();
        *all.get_mut(2047).unwrap() = 7;
        assert_eq!(all.push(8), 3000);
        assert_eq!((all.get(2047), all.get(3000), all.len()), (Some(&7), Some(&8), 3001));
        assert_eq!((before.get(2047), before.get(3000), before.len()), (Some(&2047), None, 3000));
        assert!(
            Arc::ptr_eq(&all.blocks[0][0], &before.blocks[0][0]),
            "what did not change is shared"
        );
        assert!((0..3000).all(|at| before.get(at) == Some(&at)));
        let unshared: Vec<usize> = all.unshared(&before).collect();
        assert_eq!(unshared, (1024..3001).collect::<Vec<_>>(), "the chunk of 2047, and the last");
        assert_eq!(all.unshared(&all.clone()).count(), 0);
    }

    #[test]
    fn blocks_are_shared_too() {
        const LEN: usize = 2 * BLOCK * CHUNK;
        let mut all: CowVec<usize, usize> = (0..LEN).collect();
        let before = all.clone();
        assert_eq!(all.push(LEN), LEN);
        *all.get_mut(BLOCK * CHUNK).unwrap() = 7;
        assert!(Arc::ptr_eq(&all.blocks[0], &before.blocks[0]));
        let changed = BLOCK * CHUNK..(BLOCK + 1) * CHUNK;
        let unshared: Vec<usize> = all.unshared(&before).collect();
        assert_eq!(unshared, changed.clone().chain([LEN]).collect::<Vec<_>>());
        assert_eq!(before.unshared(&all).collect::<Vec<_>>(), unshared, "either way");
        assert!((0..=LEN).all(|at| all.get(at) == Some(&if at == changed.start { 7 } else { at })));
        assert!((0..LEN).all(|at| before.get(at) == Some(&at)));
    }
}
