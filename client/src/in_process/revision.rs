//! Revisions of an engine in the process. They are not those of a daemon: nothing may
//! be read from one but whether it equals another.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
};

/// A position in the history of one engine, opaque to its callers. Revisions of two
/// engines differ but for an accident of one in 2^64.
#[derive(Clone, Copy)]
pub(super) struct Revision {
    history: u64,
    number: u64,
}

// === impl Revision ===

impl Revision {
    /// The first revision of another history.
    pub(super) fn first() -> Self {
        // The keys of the standard library's hash tables are random.
        Self { history: RandomState::new().hash_one(0), number: 1 }
    }

    /// The revision after this one, in the same history.
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
