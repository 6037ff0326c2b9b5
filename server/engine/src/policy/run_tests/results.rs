//! The failed conditions of a test, collected over the members of its subject.

use crate::policy::document::{Named, Test};

/// The failures of a test, for each user that it names.
pub(super) struct Results<'t, 'u> {
    pub(super) test: &'t Test,
    /// The users of `reaches` or `sees`, `only` and `not`. `true`: the pair must be visible.
    pub(super) pairs: Vec<(&'t Named, bool, Failing<'u, ()>)>,
    /// For `only`: a listed user who is not in the list, and the number of more such users.
    pub(super) only: Failing<'u, (String, usize)>,
    /// For `only`: the members of given rooms who count as listed for that reason alone.
    pub(super) unlisted_members: Vec<&'t str>,
    /// For `hides`: the users of `reaches` or `sees` and `only`, with their hidden fields.
    pub(super) hides: Vec<(&'t Named, Failing<'u, String>)>,
}

/// The members of a subject for whom a condition fails: the first one with the finding, and
/// the number of others.
pub(super) struct Failing<'u, T> {
    pub(super) first: Option<(&'u str, T)>,
    pub(super) others: usize,
}

// === impl Results ===

impl<'t> Results<'t, '_> {
    pub(super) fn new(test: &'t Test, unlisted_members: Vec<&'t str>) -> Self {
        let only = test.only.iter().flat_map(|only| &only.users);
        let reached = test.yes.iter().chain(only);
        let wanted = reached.clone().map(|other| (other, true, Failing::default()));
        let unwanted = test.not.iter().map(|other| (other, false, Failing::default()));
        Self {
            test,
            pairs: wanted.chain(unwanted).collect(),
            only: Failing::default(),
            unlisted_members,
            hides: reached.map(|other| (other, Failing::default())).collect(),
        }
    }
}

// === impl Failing ===

impl<T> Default for Failing<'_, T> {
    fn default() -> Self {
        Self { first: None, others: 0 }
    }
}

impl<'u, T> Failing<'u, T> {
    pub(super) fn add_user(&mut self, user: &'u str, found: impl FnOnce() -> T) {
        let before = self.first.as_ref().map(|(first, _)| *first);
        self.others += usize::from(before.is_some());
        if before.is_none_or(|before| user < before) {
            self.first = Some((user, found()));
        }
    }
}
