//! The definition of visibility and of hides, evaluated for some users of a document at
//! once.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use super::invented_rooms::InventedRooms;
use crate::policy::Policy;
use crate::policy::analyse::reference::{ReferenceEvaluation, directory_of};
use crate::policy::analyse::verdict::PairVerdict;
use crate::routing::model::ruleset::{Hide, Relation};
use crate::routing::snapshot::Snapshot;

/// The definition, for some users.
pub(super) struct Definition<'p, 'u> {
    evaluation: ReferenceEvaluation<'p, 'u>,
    audiences: Vec<RoaringBitmap>,
    hides: Vec<BTreeMap<&'p Hide, RoaringBitmap>>,
}

// === impl Definition ===

impl<'p, 'u> Definition<'p, 'u> {
    /// Evaluates the definition over a policy, with the directory of a snapshot and with invented
    /// rooms.
    pub(super) fn new(
        policy: &'p Policy,
        users: impl IntoIterator<Item = &'u str>,
        snapshot: &Snapshot,
        rooms: InventedRooms,
    ) -> Self {
        let directory = directory_of(policy, snapshot);
        let evaluation =
            ReferenceEvaluation::new(&policy.document, &policy.groups, users, &directory);
        let holds = |relation: &Relation, users: [&str; 2]| rooms.holds(relation, users);
        let audiences = evaluation.audiences_by_sender(&holds);
        let hides = evaluation.hides_by_sender(&audiences, &holds);
        Self { evaluation, audiences, hides }
    }

    /// Returns the verdict on a pair of these users. Pairs with others count as not visible.
    pub(super) fn verdict_on(&self, sender: &str, recipient: &str) -> PairVerdict<'p> {
        let [from, to] = [sender, recipient].map(|user| self.evaluation.number_of(user));
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
