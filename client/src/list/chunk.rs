//! Some hundred users of a list: their texts end to end in one allocation, and a hash
//! table of their positions. A copy is two allocations, whatever the number of users.

use hashbrown::HashTable;

use super::HashedUser;

/// A part of a list.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunk {
    /// The user ids, and the remains of removed ones.
    text: String,
    positions: HashTable<Position>,
    /// Bytes of `text` that belong to removed users.
    removed: usize,
}

/// The position of a user id in the text of its chunk. Eight bytes: a text ends long
/// before 4 GiB, since no message is as long.
#[derive(Clone, Copy, Debug)]
struct Position {
    start: u32,
    end: u32,
}

// === impl Chunk ===

impl Chunk {
    #[inline]
    pub(super) fn contains(&self, user: &HashedUser<'_>) -> bool {
        self.positions.find(user.hash(), |at| at.is_text(&self.text, user.id())).is_some()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.positions.iter().map(|at| at.read(&self.text))
    }

    /// Inserts a user. Returns true if it was not there.
    pub(super) fn insert(&mut self, user: &HashedUser<'_>) -> bool {
        if self.contains(user) {
            return false;
        }
        let start = self.text.len();
        let ends = (u32::try_from(start), u32::try_from(start + user.id().len()));
        // Not reached, see `Position`.
        let (Ok(start), Ok(end)) = ends else { return false };
        let Self { text, positions, .. } = self;
        text.push_str(user.id());
        let hash_of = |at: &Position| HashedUser::new(at.read(text)).hash();
        positions.insert_unique(user.hash(), Position { start, end }, hash_of);
        true
    }

    /// Removes a user. Returns true if it was there.
    pub(super) fn remove(&mut self, user: &HashedUser<'_>) -> bool {
        let Self { text, positions, .. } = self;
        let found = positions.find_entry(user.hash(), |at| at.is_text(text, user.id()));
        let Ok(found) = found else { return false };
        found.remove();
        self.removed += user.id().len();
        if 2 * self.removed > self.text.len() {
            self.compact();
        }
        true
    }

    /// Gives back the memory that the text does not use.
    pub(super) fn shrink(&mut self) {
        self.text.shrink_to_fit();
    }

    /// Drops the remains of removed users.
    fn compact(&mut self) {
        let mut compact = Self {
            text: String::with_capacity(self.text.len() - self.removed),
            positions: HashTable::with_capacity(self.positions.len()),
            removed: 0,
        };
        for user in self.iter() {
            compact.insert(&HashedUser::new(user));
        }
        *self = compact;
    }
}

// === impl Position ===

impl Position {
    fn read(self, text: &str) -> &str {
        let [start, end] =
            [self.start, self.end].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
        text.get(start..end).unwrap_or_default()
    }

    fn is_text(self, text: &str, user: &str) -> bool {
        self.read(text) == user
    }
}
