//! The definition of visibility and of hides, evaluated for some users of a document at
//! once.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use crate::policy::Policy;
use crate::policy::analyse::reference::{ReferenceEvaluation, directory_of};
use crate::policy::analyse::verdict::PairVerdict;
use crate::routing::model::ruleset::Hide;
use crate::routing::snapshot::Snapshot;

/// The definition, for some users.
pub(super) struct Definition<'p, 'u> {
    evaluation: ReferenceEvaluation<'p, 'u>,
    audiences: Vec<RoaringBitmap>,
    hides: Vec<BTreeMap<&'p Hide, RoaringBitmap>>,
}

// === impl Definition ===

impl<'p, 'u> Definition<'p, 'u> {
    /// The definition over what a policy says, with the directory as a snapshot
    /// has it.
    pub(super) fn new(
        policy: &'p Policy,
        users: impl IntoIterator<Item = &'u str>,
        snapshot: &Snapshot,
    ) -> Self {
        let directory = directory_of(policy, snapshot);
        let evaluation =
            ReferenceEvaluation::new(&policy.document, &policy.groups, users, &directory);
        let audiences = evaluation.audiences();
        let hides = evaluation.hides(&audiences);
        Self { evaluation, audiences, hides }
    }

    /// The verdict on a pair of these users. Pairs with others count as not visible.
    pub(super) fn verdict(&self, sender: &str, recipient: &str) -> PairVerdict<'p> {
        let [from, to] = [sender, recipient].map(|user| self.evaluation.number(user));
        let (Some(from), Some(to)) = (from.and_then(|from| usize::try_from(from).ok()), to) else {
            return PairVerdict::default();
        };
        let hides = self.hides.get(from).into_iter().flatten();
        PairVerdict {
            visible: self.audiences.get(from).is_some_and(|audience| audience.contains(to)),
            hides: hides.filter(|(_, from)| from.contains(to)).map(|(hide, _)| *hide).collect(),
        }
    }
}
