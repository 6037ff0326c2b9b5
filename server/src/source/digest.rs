//! Digests of texts, which show whether a text has changed.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// The SHA-256 digest of a text, kept in place of the text, which may have hundreds of
/// megabytes. The daemon must not miss a change: a hash for tables has only 64 bits, and the
/// writer of a file could construct two texts with the same hash. An operator gets the same
/// digest from `sha256sum`, and the build of SHA-256 needs no C compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest([u8; 32]);

// === impl Digest ===

impl Digest {
    /// Computes the digest of a text.
    pub fn of_text(text: &[u8]) -> Self {
        Self(Sha256::digest(text).into())
    }
}

impl fmt::Display for Digest {
    /// Writes the digest as `sha256sum` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
