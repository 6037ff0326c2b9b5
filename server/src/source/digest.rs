//! Digests of texts, to tell whether one has changed.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// What a text is known by. SHA-256, since the text itself may be of hundreds of
/// megabytes, and a change must never be missed: a hash for tables has 64 bits,
/// and whoever can write a file can make two that are alike. `sha256sum` tells
/// an operator the same, and no C compiler is needed to build it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest([u8; 32]);

// === impl Digest ===

impl Digest {
    /// The digest of a text.
    pub fn of(text: &[u8]) -> Self {
        Self(Sha256::digest(text).into())
    }
}

impl fmt::Display for Digest {
    /// As `sha256sum` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
