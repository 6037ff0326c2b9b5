//! The terms of "union of the allows minus the denies". Only this module collects them.
//! [`super::visibility`] and [`super::shadow`] fold them; neither reads the rule index for
//! allows and denies itself. Hides are not terms: they exclude no users.

use crate::routing::model::side::Side;
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::keys::SetId;

/// The contribution of the rules about one of a user's sets to the user's counterparts.
///
/// A relation that rules can require (subscriptions, blocks) becomes another variant; the
/// compiler then names all code that has to fold it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Term<'s> {
    /// The members of these sets are counterparts,
    Allow(&'s [SetId]),
    /// unless they are members of one of these.
    Deny(&'s [SetId]),
}

/// Returns all sets of some terms, ascending and without repeats.
#[derive(Debug, Default)]
pub(super) struct Operands {
    pub(super) allow: Vec<SetId>,
    pub(super) deny: Vec<SetId>,
}

// === impl Snapshot ===

impl Snapshot {
    /// Returns the terms for a user of these sets on a side. A set may occur in several terms.
    pub(super) fn terms<'s>(
        &'s self,
        sets: &'s [SetId],
        side: Side,
    ) -> impl Iterator<Item = Term<'s>> {
        let rules = sets.iter().filter_map(move |set| self.rules.of_set(*set, side));
        rules.flat_map(|rules| [Term::Allow(&rules.allow), Term::Deny(&rules.deny)])
    }
}

// === impl Operands ===

impl<'s> FromIterator<Term<'s>> for Operands {
    fn from_iter<I: IntoIterator<Item = Term<'s>>>(terms: I) -> Self {
        let mut operands = Self::default();
        for term in terms {
            match term {
                Term::Allow(sets) => operands.allow.extend_from_slice(sets),
                Term::Deny(sets) => operands.deny.extend_from_slice(sets),
            }
        }
        for list in [&mut operands.allow, &mut operands.deny] {
            list.sort_unstable();
            list.dedup();
        }
        operands
    }
}
