//! A vector that shares with its clones what did not change. A tree of two
//! levels above the entries: a clone costs a pointer for each hundred thousand of
//! them, a change a copy of one chunk and of the pointers beside it.

use std::sync::Arc;

/// Entries of a chunk.
const CHUNK: usize = 1024;
/// Chunks of a block.
const BLOCK: usize = 128;

/// A vector in blocks of chunks.
#[derive(Clone, Debug)]
pub(in crate::routing) struct CowVec<T> {
    /// All but the last are full.
    blocks: Vec<Arc<Block<T>>>,
    len: usize,
}

/// All chunks of a vector but the last are full.
type Block<T> = Vec<Arc<Vec<T>>>;

impl<T> Default for CowVec<T> {
    fn default() -> Self {
        Self { blocks: Vec::new(), len: 0 }
    }
}

impl<T: Clone> CowVec<T> {
    pub(in crate::routing) fn len(&self) -> usize {
        self.len
    }

    pub(in crate::routing) fn get(&self, at: usize) -> Option<&T> {
        let chunk = at / CHUNK;
        self.blocks.get(chunk / BLOCK)?.get(chunk % BLOCK)?.get(at % CHUNK)
    }

    /// Places of entries that may differ from those of a clone: all others are
    /// shared with it.
    pub(in crate::routing) fn unshared<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = usize> + 'a {
        let longest = self.blocks.len().max(other.blocks.len());
        let blocks = (0..longest).filter(move |block| differ(&self.blocks, &other.blocks, *block));
        let chunks = blocks.flat_map(move |block| {
            let [ours, theirs] = [self, other].map(|all| all.blocks.get(block));
            let [ours, theirs] = [ours, theirs].map(|block| block.map_or(&[][..], |b| b));
            let chunks = (0..BLOCK).filter(move |chunk| differ(ours, theirs, *chunk));
            chunks.map(move |chunk| block * BLOCK + chunk)
        });
        let places = chunks.flat_map(|chunk| chunk * CHUNK..(chunk + 1) * CHUNK);
        places.take_while(move |place| *place < self.len.max(other.len))
    }

    /// The entry to change. Copies its chunk if a clone shares it.
    pub(in crate::routing) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        let chunk = at / CHUNK;
        let block = Arc::make_mut(self.blocks.get_mut(chunk / BLOCK)?);
        Arc::make_mut(block.get_mut(chunk % BLOCK)?).get_mut(at % CHUNK)
    }

    /// Adds an entry, and says where.
    pub(in crate::routing) fn push(&mut self, entry: T) -> usize {
        let at = self.len;
        if at.is_multiple_of(CHUNK * BLOCK) {
            self.blocks.push(Arc::new(Vec::with_capacity(1)));
        }
        if let Some(block) = self.blocks.last_mut() {
            let block = Arc::make_mut(block);
            if at.is_multiple_of(CHUNK) {
                block.push(Arc::new(Vec::new()));
            }
            if let Some(chunk) = block.last_mut() {
                let chunk = Arc::make_mut(chunk);
                // A copy has no room, and a vector would then grow to twice.
                chunk.reserve_exact(CHUNK - chunk.len());
                chunk.push(entry);
            }
        }
        self.len += 1;
        at
    }
}

/// Whether what two have at a place is not shared. True where neither has any.
fn differ<T>(ours: &[Arc<T>], theirs: &[Arc<T>], at: usize) -> bool {
    let both = ours.get(at).zip(theirs.get(at));
    both.is_none_or(|(one, two)| !Arc::ptr_eq(one, two))
}

impl<T: Clone> FromIterator<T> for CowVec<T> {
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

    #[test]
    fn a_clone_keeps_what_it_had() {
        let mut all: CowVec<usize> = (0..3000).collect();
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
        let mut all: CowVec<usize> = (0..LEN).collect();
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
