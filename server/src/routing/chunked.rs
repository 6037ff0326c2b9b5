//! A vector that shares with its clones what did not change: a clone costs a
//! pointer for each chunk, a change a copy of one chunk.

use std::sync::Arc;

/// Entries of a chunk. A change copies so many, a clone counts one reference for
/// so many.
const CHUNK: usize = 1024;

/// A vector in chunks.
#[derive(Clone, Debug)]
pub(super) struct Chunked<T> {
    /// All but the last are full.
    chunks: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<T: Clone> Chunked<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, at: usize) -> Option<&T> {
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)
    }

    /// Places of entries that may differ from those of a clone: all others are
    /// shared with it.
    pub(super) fn unshared(&self, other: &Self) -> impl Iterator<Item = usize> {
        let longest = self.chunks.len().max(other.chunks.len());
        let differ = |chunk: &usize| match (self.chunks.get(*chunk), other.chunks.get(*chunk)) {
            (Some(one), Some(two)) => !Arc::ptr_eq(one, two),
            _ => true,
        };
        let places =
            (0..longest).filter(differ).flat_map(|chunk| chunk * CHUNK..(chunk + 1) * CHUNK);
        places.take_while(|place| *place < self.len.max(other.len))
    }

    /// The entry to change. Copies its chunk if a clone shares it.
    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        Arc::make_mut(self.chunks.get_mut(at / CHUNK)?).get_mut(at % CHUNK)
    }

    /// Adds an entry, and says where.
    pub(super) fn push(&mut self, entry: T) -> usize {
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => {
                let chunk = Arc::make_mut(chunk);
                // A copy has no room, and a vector would then grow to twice.
                chunk.reserve_exact(CHUNK - chunk.len());
                chunk.push(entry);
            }
            None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(entry);
                self.chunks.push(Arc::new(chunk));
            }
        }
        self.len += 1;
        self.len - 1
    }
}

impl<T: Clone> FromIterator<T> for Chunked<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        let mut all = Self::default();
        for entry in entries {
            all.push(entry);
        }
        if let Some(last) = all.chunks.last_mut() {
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
        let mut all: Chunked<usize> = (0..3000).collect();
        let before = all.clone();
        *all.get_mut(2047).unwrap() = 7;
        assert_eq!(all.push(8), 3000);
        assert_eq!((all.get(2047), all.get(3000), all.len()), (Some(&7), Some(&8), 3001));
        assert_eq!((before.get(2047), before.get(3000), before.len()), (Some(&2047), None, 3000));
        assert!(Arc::ptr_eq(&all.chunks[0], &before.chunks[0]), "what did not change is shared");
        assert!((0..3000).all(|at| before.get(at) == Some(&at)));
        let unshared: Vec<usize> = all.unshared(&before).collect();
        assert_eq!(unshared, (1024..3001).collect::<Vec<_>>(), "the chunk of 2047, and the last");
        assert_eq!(all.unshared(&all.clone()).count(), 0);
    }
}
