//! A sorted list of users with cheap clones that keep their contents while the list is
//! edited.
//!
//! The users are in chunks behind reference counts. A clone increments one count. An edit
//! of a list that has clones copies one chunk and the references to the others, instead of
//! every user.

use std::sync::Arc;

/// Number of users in each chunk of a new list. A chunk is split when it grows beyond
/// twice as many.
const CHUNK: usize = 256;

/// Users, sorted by their bytes, without repeats. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    /// No chunk is empty.
    chunks: Arc<Vec<Arc<Vec<Box<str>>>>>,
}

// === impl List ===

impl List {
    /// Creates a list from users in any order, possibly with repeats.
    pub(crate) fn new(mut users: Vec<Box<str>>) -> Self {
        users.sort_unstable();
        users.dedup();
        let mut chunks = Vec::with_capacity(users.len().div_ceil(CHUNK));
        let mut users = users.into_iter();
        loop {
            let chunk: Vec<_> = users.by_ref().take(CHUNK).collect();
            if chunk.is_empty() {
                return Self { chunks: Arc::new(chunks) };
            }
            chunks.push(Arc::new(chunk));
        }
    }

    pub(crate) fn contains(&self, user: &str) -> bool {
        let chunk = self.chunks.get(self.chunk_index(user));
        chunk.is_some_and(|chunk| find(chunk, user).is_ok())
    }

    /// Returns the users, sorted.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.chunks.iter().flat_map(|chunk| chunk.iter().map(|user| &**user))
    }

    /// Inserts a user. Returns true if the list did not contain it.
    pub(crate) fn insert(&mut self, user: &str) -> bool {
        let index = self.chunk_index(user).min(self.chunks.len().saturating_sub(1));
        let chunks = Arc::make_mut(&mut self.chunks);
        let Some(chunk) = chunks.get_mut(index) else {
            chunks.push(Arc::new(vec![user.into()]));
            return true;
        };
        let Err(at) = find(chunk, user) else { return false };
        let chunk = Arc::make_mut(chunk);
        chunk.insert(at, user.into());
        if chunk.len() > 2 * CHUNK {
            let rest = chunk.split_off(CHUNK);
            chunks.insert(index + 1, Arc::new(rest));
        }
        true
    }

    /// Removes a user. Returns true if the list contained it.
    pub(crate) fn remove(&mut self, user: &str) -> bool {
        let index = self.chunk_index(user);
        let found = self.chunks.get(index).and_then(|chunk| find(chunk, user).ok());
        let Some(at) = found else { return false };
        let chunks = Arc::make_mut(&mut self.chunks);
        if let Some(chunk) = chunks.get_mut(index) {
            let chunk = Arc::make_mut(chunk);
            chunk.remove(at);
            if chunk.is_empty() {
                chunks.remove(index);
            }
        }
        true
    }

    /// Returns the index of the only chunk that can contain a user.
    fn chunk_index(&self, user: &str) -> usize {
        self.chunks.partition_point(|chunk| chunk.last().is_some_and(|last| **last < *user))
    }
}

fn find(chunk: &[Box<str>], user: &str) -> Result<usize, usize> {
    chunk.binary_search_by(|one| (**one).cmp(user))
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        // Not by chunks: their boundaries depend on earlier edits.
        Arc::ptr_eq(&self.chunks, &other.chunks) || self.iter().eq(other.iter())
    }
}

impl Eq for List {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn edits_agree_with_a_tree_and_leave_clones_as_they_were() {
        // Numbers that come in no order, each several times.
        let mut seed = 1u32;
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            format!("@u{}:x", seed >> 16 & 0xfff)
        };
        let first: Vec<_> = (0..3000).map(|_| next()).collect();
        let mut tree: BTreeSet<_> = first.iter().cloned().collect();
        let mut list = List::new(first.iter().map(|user| user.as_str().into()).collect());
        let mut kept = Vec::new();
        for step in 0..6000 {
            let user = next();
            if step % 3 == 0 || step > 4000 {
                assert_eq!(list.remove(&user), tree.remove(&user), "{user}");
            } else {
                assert_eq!(list.insert(&user), tree.insert(user.clone()), "{user}");
            }
            assert_eq!(list.contains(&user), tree.contains(&user));
            if step % 1500 == 0 {
                kept.push((list.clone(), tree.clone()));
            }
        }
        kept.push((list.clone(), tree.clone()));
        for (list, tree) in &kept {
            assert!(list.iter().eq(tree.iter().map(String::as_str)));
        }
        for user in tree {
            assert!(list.remove(&user));
        }
        assert_eq!(list, List::default());
        assert!(list.insert("@a:x") && list.contains("@a:x"));
    }
}
