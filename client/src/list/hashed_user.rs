//! A user id with its hash and its server, each computed once for all sets that a
//! question evaluates.

use std::{cell::OnceCell, hash::BuildHasher, sync::LazyLock};

use foldhash::fast::RandomState;

/// The hash function of all lists in this process. Its seed is random, so that nobody can
/// choose user ids that collide.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// A user id that sets are asked about.
#[derive(Debug)]
pub(crate) struct HashedUser<'u> {
    id: &'u str,
    hash: u64,
    server: OnceCell<Option<&'u str>>,
}

// === impl HashedUser ===

impl<'u> HashedUser<'u> {
    #[inline]
    pub(crate) fn new(id: &'u str) -> Self {
        Self { id, hash: HASHER.hash_one(id.as_bytes()), server: OnceCell::new() }
    }

    #[inline]
    pub(crate) fn id(&self) -> &'u str {
        self.id
    }

    #[inline]
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Returns the server name: the part after the first `:`.
    pub(crate) fn server(&self) -> Option<&'u str> {
        *self.server.get_or_init(|| server_of(self.id))
    }
}

/// Returns the server name of a user id: the part after its first `:`.
pub(crate) fn server_of(user_id: &str) -> Option<&str> {
    user_id.split_once(':').map(|(_, server)| server)
}
