//! A list of users with cheap clones that keep their contents while the list is edited.
//!
//! The users are in hash tables, the chunks, behind reference counts. A clone increments
//! one count. An edit of a list that has clones copies one chunk and the references to
//! the others, instead of every user. The hash of a user decides on its chunk; a question
//! to many lists computes it once, in a [`HashedUser`].

mod chunk;
mod hashed_user;

use std::sync::Arc;

use self::chunk::Chunk;
pub(crate) use self::hashed_user::{HashedUser, server_of};

/// Number of users for each chunk of a new list, on average. The list splits all chunks
/// when their average grows beyond twice as many.
const CHUNK: usize = 256;

/// Users in no particular order, without repeats. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    shared: Arc<Chunks>,
}

#[derive(Clone, Debug, Default)]
struct Chunks {
    /// A power of two of them, or none in an empty list.
    chunks: Vec<Arc<Chunk>>,
    /// Number of users in all chunks.
    users: usize,
}

// === impl List ===

impl List {
    /// Creates a list from users in any order, possibly with repeats.
    pub(crate) fn new(users: impl ExactSizeIterator<Item: AsRef<str>>) -> Self {
        if users.len() == 0 {
            return Self::default();
        }
        let count = users.len().div_ceil(CHUNK).next_power_of_two();
        let mut chunks = Chunks::with_chunks(count);
        for user in users {
            chunks.insert(&HashedUser::new(user.as_ref()));
        }
        chunks.chunks.iter_mut().for_each(|chunk| Arc::make_mut(chunk).shrink());
        Self { shared: Arc::new(chunks) }
    }

    #[inline]
    pub(crate) fn contains(&self, user: &HashedUser<'_>) -> bool {
        let Chunks { chunks, .. } = &*self.shared;
        chunks.get(chunk_index(user.hash(), chunks.len())).is_some_and(|chunk| chunk.contains(user))
    }

    /// Returns the users, in any order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.shared.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.shared.users
    }

    /// Inserts a user. Returns true if the list did not contain it.
    pub(crate) fn insert(&mut self, user: &str) -> bool {
        let user = HashedUser::new(user);
        if self.contains(&user) {
            return false;
        }
        let shared = Arc::make_mut(&mut self.shared);
        if shared.users >= 2 * CHUNK * shared.chunks.len() {
            shared.split_all();
        }
        shared.insert(&user)
    }

    /// Removes a user. Returns true if the list contained it.
    pub(crate) fn remove(&mut self, user: &str) -> bool {
        let user = HashedUser::new(user);
        // Without this check, the removal of an absent user would copy a chunk.
        if !self.contains(&user) {
            return false;
        }
        let shared = Arc::make_mut(&mut self.shared);
        let index = chunk_index(user.hash(), shared.chunks.len());
        let removed =
            shared.chunks.get_mut(index).is_some_and(|chunk| Arc::make_mut(chunk).remove(&user));
        shared.users -= usize::from(removed);
        removed
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        // Not by chunks: their number depends on earlier edits.
        Arc::ptr_eq(&self.shared, &other.shared)
            || (self.len() == other.len()
                && self.iter().all(|user| other.contains(&HashedUser::new(user))))
    }
}

impl Eq for List {}

// === impl Chunks ===

impl Chunks {
    fn with_chunks(count: usize) -> Self {
        Self { chunks: vec![Arc::default(); count], users: 0 }
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// Inserts a user. Returns true if it was not there. There must be a chunk.
    fn insert(&mut self, user: &HashedUser<'_>) -> bool {
        let index = chunk_index(user.hash(), self.chunks.len());
        let inserted =
            self.chunks.get_mut(index).is_some_and(|chunk| Arc::make_mut(chunk).insert(user));
        self.users += usize::from(inserted);
        inserted
    }

    /// Spreads the users over twice as many chunks. This copies every user, once for each
    /// doubling of the list.
    fn split_all(&mut self) {
        let mut split = Self::with_chunks((2 * self.chunks.len()).max(1));
        for user in self.iter() {
            split.insert(&HashedUser::new(user));
        }
        *self = split;
    }
}

/// Returns the index of the only chunk that can contain a user with this hash. The bits
/// are others than those by which a table of a chunk finds its slot: those of all users
/// in one chunk would be equal otherwise.
fn chunk_index(hash: u64, chunks: usize) -> usize {
    let middle = usize::try_from((hash >> 24) & u64::from(u32::MAX)).unwrap_or(usize::MAX);
    middle & chunks.saturating_sub(1)
}

#[cfg(test)]
mod tests;
