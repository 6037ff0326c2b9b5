//! Questions: whose answer, and which of the two.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use quick_cache::Equivalent;

/// The two questions of a homeserver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    /// The recipients of a sender.
    Audience,
    /// The senders that a recipient may see.
    Interest,
}

/// The side that a question is about, and its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) user: Arc<str>,
    pub(crate) side: Side,
}

/// A [`Key`] by reference.
#[derive(Clone, Copy)]
pub(super) struct KeyRef<'a> {
    pub(super) user: &'a str,
    pub(super) side: Side,
}

// === impl Key ===

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        KeyRef { user: &self.user, side: self.side }.hash(state);
    }
}

impl Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.side.hash(state);
        self.user.hash(state);
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.side == key.side && *self.user == *key.user
    }
}
