//! The terms of "union of the allows minus the denies", and the hides. Only this module collects
//! them; the other modules of `query` fold them, and do not read the rule index for allows and
//! denies themselves. Hides are not terms: they exclude no users.
//!
//! Here the capabilities of the caller apply, rule by rule. If the caller cannot evaluate the
//! relation that a rule requires, an allow rule contributes nothing, and a deny or hide rule
//! contributes as if it required no relation. Rule by rule, and not relation by relation in the
//! finished expression, because the negation of "shares a room" would then widen the answer.

use presence_router_ids::RoomCapabilities;

use crate::routing::model::side::Side;
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::keys::{HideId, RelationId, SetId};
use crate::routing::snapshot::rule_index::Across;

/// The contribution of one rule about one of a user's sets to the user's counterparts.
///
/// Another relation (subscriptions, blocks) becomes another variant; the compiler then names all
/// code that has to fold it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Term {
    /// The members of the set are counterparts, if the relation holds,
    Allow(Across),
    /// unless they are members of this set, and its relation holds.
    Deny(Across),
}

/// Returns all sets of some terms, ascending and without repeats.
#[derive(Debug, Default)]
pub(super) struct Operands {
    pub(super) allow: Vec<SetId>,
    pub(super) deny: Vec<SetId>,
    /// The sets of terms with a relation.
    pub(super) allow_if: Vec<(RelationId, SetId)>,
    pub(super) deny_if: Vec<(RelationId, SetId)>,
}

// === impl Snapshot ===

impl Snapshot {
    /// Returns the terms for a user of these sets on a side, for a caller with these
    /// capabilities. A set may occur in several terms.
    pub(super) fn terms<'s>(
        &'s self,
        sets: &'s [SetId],
        side: Side,
        capabilities: RoomCapabilities,
    ) -> impl Iterator<Item = Term> + 's {
        let rules = sets.iter().filter_map(move |set| self.rules.of_set(*set, side));
        rules.flat_map(move |rules| {
            let can_evaluate = move |across: &Across| self.can_evaluate(*across, capabilities);
            let allow = rules.allow.iter().copied().filter(can_evaluate);
            let deny = rules.deny.iter().map(move |across| self.restrict(*across, capabilities));
            allow.map(Term::Allow).chain(deny.map(Term::Deny))
        })
    }

    /// Returns every product of an allow rule (`true`) or a deny rule that takes part for a caller
    /// with these capabilities: the set of senders, and the set of recipients with the relation
    /// that counts.
    pub(in crate::routing) fn deciding_products(
        &self,
        capabilities: RoomCapabilities,
    ) -> impl Iterator<Item = (bool, SetId, Across)> {
        let products = self.rules.deciding_products();
        products.filter_map(move |(allows, senders, recipients)| {
            let takes_part = !allows || self.can_evaluate(recipients, capabilities);
            takes_part.then(|| (allows, senders, self.restrict(recipients, capabilities)))
        })
    }

    /// Returns the hides for a user of these sets on a side, for a caller with these
    /// capabilities: the hide, the relation, and a set to which it applies. Sorted, without
    /// repeats.
    pub(super) fn hide_terms(
        &self,
        sets: &[SetId],
        side: Side,
        capabilities: RoomCapabilities,
    ) -> Vec<(HideId, Option<RelationId>, SetId)> {
        let rules = sets.iter().filter_map(|set| self.rules.of_set(*set, side));
        let hides = rules.flat_map(|rules| &rules.hide).map(|(across, hide)| {
            let Across { set, relation } = self.restrict(*across, capabilities);
            (*hide, relation, set)
        });
        let mut hides: Vec<_> = hides.collect();
        hides.sort_unstable();
        hides.dedup();
        hides
    }

    fn can_evaluate(&self, across: Across, capabilities: RoomCapabilities) -> bool {
        across.relation.is_none_or(|id| self.rules.can_evaluate(capabilities, id))
    }

    /// Drops a relation that the caller cannot evaluate.
    fn restrict(&self, across: Across, capabilities: RoomCapabilities) -> Across {
        let relation = across.relation.filter(|id| self.rules.can_evaluate(capabilities, *id));
        Across { relation, ..across }
    }
}

// === impl Operands ===

impl FromIterator<Term> for Operands {
    fn from_iter<I: IntoIterator<Item = Term>>(terms: I) -> Self {
        let mut operands = Self::default();
        for term in terms {
            let (across, always, conditional) = match term {
                Term::Allow(across) => (across, &mut operands.allow, &mut operands.allow_if),
                Term::Deny(across) => (across, &mut operands.deny, &mut operands.deny_if),
            };
            match across.relation {
                None => always.push(across.set),
                Some(relation) => conditional.push((relation, across.set)),
            }
        }
        for list in [&mut operands.allow, &mut operands.deny] {
            list.sort_unstable();
            list.dedup();
        }
        for list in [&mut operands.allow_if, &mut operands.deny_if] {
            list.sort_unstable();
            list.dedup();
        }
        operands
    }
}
