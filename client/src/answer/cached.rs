//! Answers about one user that may come from the client's memory, with the revision at
//! which each is exact.

use std::sync::Arc;

use super::{Counterparts, Hide};
use crate::Set;

/// The audience of one sender, or the interest of one recipient.
///
/// The answer never changes, and is cheap to clone: users with the same audience share
/// one set.
#[derive(Clone, Debug)]
pub struct CachedAnswer<'a> {
    user_id: &'a str,
    answer: FoundAnswer,
}

/// An answer without the user that it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct FoundAnswer {
    /// `None`: there are no counterparts.
    pub(crate) value: Option<AnswerValue>,
    /// The revision at which the answer is exact.
    pub(crate) exact_at: Arc<Heard>,
    /// True if the client had no connection to the daemon.
    pub(crate) stale: bool,
}

/// The counterparts of the users that share one answer.
#[derive(Clone, Debug)]
pub(crate) struct AnswerValue {
    /// Answers with the same number at the same revision are the same.
    pub(crate) number: u64,
    pub(crate) set: Set,
    /// `None`: no hides. Most answers have none, and then a clone counts one reference less.
    pub(crate) hides: Option<Arc<[Hide]>>,
}

/// A revision that a client heard of. Revisions themselves have no order; the order in
/// which a client heard of them has.
#[derive(Debug)]
pub(crate) struct Heard {
    /// Greater than the numbers of all revisions that the client heard of earlier.
    pub(crate) number: u64,
    pub(crate) revision: Box<str>,
}

// === impl CachedAnswer ===

impl<'a> CachedAnswer<'a> {
    pub(crate) fn new(user_id: &'a str, answer: FoundAnswer) -> Self {
        Self { user_id, answer }
    }

    /// Returns the recipients that may see the user, or the senders that the user may
    /// see, without the user itself.
    pub fn counterparts(&self) -> Counterparts<'_> {
        let value = self.answer.value.as_ref();
        Counterparts {
            user_id: self.user_id,
            set: value.map(|value| &value.set),
            hides: value.map(AnswerValue::hides).unwrap_or_default(),
        }
    }

    /// Returns the revision at which the answer is exact. Opaque; compare for equality
    /// only. While the client is connected, this is the last revision that the daemon
    /// announced, or one that the client was about to take over.
    pub fn revision(&self) -> &str {
        &self.answer.exact_at.revision
    }

    /// Returns true if the client had no connection to the daemon when it gave the
    /// answer: the answer is exact at [`CachedAnswer::revision`], and later revisions are
    /// unknown.
    pub fn is_stale(&self) -> bool {
        self.answer.stale
    }
}

// === impl AnswerValue ===

impl AnswerValue {
    pub(crate) fn new(number: u64, set: Set, hides: Vec<Hide>) -> Self {
        Self { number, set, hides: (!hides.is_empty()).then(|| hides.into()) }
    }

    pub(crate) fn hides(&self) -> &[Hide] {
        self.hides.as_deref().unwrap_or_default()
    }
}

// === impl Heard ===

impl Heard {
    pub(crate) fn new(number: u64, revision: impl Into<Box<str>>) -> Arc<Self> {
        Arc::new(Self { number, revision: revision.into() })
    }

    /// Returns the published revision, or the one that an answer is valid since if that is later.
    pub(crate) fn later_of<'a>(published: &'a Arc<Self>, since: &'a Arc<Self>) -> &'a Arc<Self> {
        if since.number > published.number { since } else { published }
    }
}
