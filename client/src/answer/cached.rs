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
    answer: SharedAnswer,
}

/// An answer without the user that it belongs to, so that a homeserver can derive something
/// from it once for all users who share it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SharedAnswer {
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
    /// Answers with the same number are the same. Never 0.
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
    pub(crate) fn new(user_id: &'a str, answer: SharedAnswer) -> Self {
        Self { user_id, answer }
    }

    /// Returns the recipients that may see the user, or the senders that the user may
    /// see, without the user itself.
    pub fn counterparts(&self) -> Counterparts<'_> {
        self.answer.counterparts_of(self.user_id)
    }

    /// Returns the revision at which the answer is exact. Opaque; compare for equality
    /// only. While the client is connected, this is the last revision that the daemon
    /// announced, or one that the client was about to take over.
    pub fn revision(&self) -> &str {
        self.answer.revision()
    }

    /// Returns true if the client had no connection to the daemon when it gave the
    /// answer: the answer is exact at [`CachedAnswer::revision`], and later revisions are
    /// unknown.
    pub fn is_stale(&self) -> bool {
        self.answer.stale
    }

    /// Returns the answer without its user.
    pub fn into_shared(self) -> SharedAnswer {
        self.answer
    }
}

// === impl SharedAnswer ===

impl SharedAnswer {
    /// Returns a number for the counterparts and their hides: two answers of one near-cache, or
    /// of one `InProcess`, with the same number have the same ones, whatever their revisions. 0:
    /// there are no counterparts. An answer that changes gets a number that no answer had before.
    pub fn number(&self) -> u64 {
        self.value.as_ref().map_or(0, |value| value.number)
    }

    /// Returns the counterparts of `user_id`, which must be a user with this answer.
    pub fn counterparts_of<'s>(&'s self, user_id: &'s str) -> Counterparts<'s> {
        let value = self.value.as_ref();
        Counterparts::new(user_id, value.map(|value| &value.set), self.hides())
    }

    /// Returns the counterparts, which may contain the user itself. `None`: there are none.
    pub fn as_set(&self) -> Option<&Set> {
        self.value.as_ref().map(|value| &value.set)
    }

    /// Returns all hides that apply to some of the counterparts.
    pub fn hides(&self) -> &[Hide] {
        self.value.as_ref().map(AnswerValue::hides).unwrap_or_default()
    }

    /// Returns the revision at which the answer is exact, as [`CachedAnswer::revision`] does.
    pub fn revision(&self) -> &str {
        &self.exact_at.revision
    }

    /// Returns true if the client had no connection to the daemon, as
    /// [`CachedAnswer::is_stale`] does.
    pub fn is_stale(&self) -> bool {
        self.stale
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
