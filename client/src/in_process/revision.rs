//! Revisions of an engine in the process. They differ from a daemon's revisions; callers
//! may only compare them for equality.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
};

/// A position in the history of one engine, opaque to callers. Revisions of two engines
/// are equal only with a probability of one in 2^64.
#[derive(Clone, Copy)]
pub(super) struct Revision {
    history: u64,
    number: u64,
}

// === impl Revision ===

impl Revision {
    /// Returns the first revision of a new history.
    pub(super) fn first() -> Self {
        // The standard library's hash tables have random keys.
        Self { history: RandomState::new().hash_one(0), number: 1 }
    }

    /// Returns the next revision in the same history.
    pub(super) fn next(self) -> Self {
        Self { number: self.number + 1, ..self }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}:{}", self.history, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_of_one_engine_follow_each_other_and_never_meet_those_of_another() {
        let first = Revision::first();
        let second = first.next();
        assert_ne!(first.to_string(), second.to_string());
        assert_ne!(second.to_string(), second.next().to_string());
        assert_ne!(first.to_string(), Revision::first().to_string());
        assert_eq!(second.to_string(), { second }.to_string());
    }
}
