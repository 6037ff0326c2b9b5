//! Which sets of a plan are sets of the next plan too, over one directory, so
//! that what was made of them can stay. They are told by their members: what a
//! set was written as does not matter here.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::members::Members;
use super::relation::Part;
use super::roles::Roles;
use super::sets::{Evaluated, SetId, at};
use super::snapshot::Snapshot;

/// What has become of the sets of rules of a plan under a later one.
#[derive(Debug)]
pub struct Carried {
    /// By the earlier id: the later one. No later id occurs twice.
    pub(super) ids: Vec<Option<SetId>>,
    /// Sets that only the earlier plan has, and those that only the later has.
    pub(super) dropped: Vec<SetId>,
    pub(super) added: Vec<SetId>,
}

/// Sets that some rule names.
pub(super) fn used(sets: &Evaluated, roles: &Roles) -> impl Iterator<Item = SetId> + Clone {
    (0..SetId::try_from(sets.len()).unwrap_or(SetId::MAX)).filter(|id| roles.is_used(*id))
}

// === impl Carried ===

impl Carried {
    /// From a snapshot to sets that are evaluated among the same users, and
    /// perhaps more.
    pub(super) fn between(old: &Snapshot, sets: &Evaluated, roles: &Roles) -> Self {
        let first = u32::try_from(old.people.count()).unwrap_or(u32::MAX);
        let quickly = |set: &Members| {
            let named = set.named();
            (named.range_cardinality(..first), named.min().filter(|least| *least < first))
        };
        let mut known: HashMap<_, Vec<(SetId, &Arc<Members>)>> = HashMap::new();
        for id in used(&old.sets, &old.roles) {
            let Some(set) = at(id).and_then(|id| old.sets.get(id)) else { continue };
            known.entry(quickly(set)).or_default().push((id, set));
        }
        let mut ids = vec![None; old.sets.len()];
        let mut added = Vec::new();
        for id in used(sets, roles) {
            let Some(set) = at(id).and_then(|id| sets.get(id)) else { continue };
            let alike = known.get_mut(&quickly(set));
            let is = |(_, other): &(SetId, &Arc<Members>)| {
                Arc::ptr_eq(other, set) || other.is_among(first, set)
            };
            // The same id if it can be: then nothing has to be translated.
            let found = alike.and_then(|alike| {
                let same = alike.iter().position(|other| other.0 == id && is(other));
                let place = same.or_else(|| alike.iter().position(is))?;
                Some(alike.swap_remove(place).0)
            });
            match found.and_then(at).and_then(|place| ids.get_mut(place)) {
                Some(slot) => *slot = Some(id),
                None => added.push(id),
            }
        }
        let dropped = known.into_values().flatten().map(|(id, _)| id).collect();
        Self { ids, dropped, added }
    }

    /// What a part of a user's counterparts has become; `None`: nothing that is
    /// certain to be the same.
    pub fn part(&self, part: &Part) -> Option<Part> {
        part.renamed(|id| self.id(id))
    }

    fn id(&self, old: SetId) -> Option<SetId> {
        *self.ids.get(at(old)?)?
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// What has become of the sets of an earlier snapshot. `None`: users have other
    /// numbers.
    pub fn carried_from(&self, old: &Self) -> Option<Carried> {
        let alike = self.people.share_numbers_with(&old.people);
        alike.then(|| Carried::between(old, &self.sets, &self.roles))
    }

    /// Whether this is hidden of and from the same users as by an earlier snapshot,
    /// be they seen or not. `true` is certain.
    pub fn hides_as(&self, old: &Self) -> bool {
        if [self, old].iter().all(|snapshot| snapshot.roles.hiding().is_empty()) {
            return true;
        }
        let Some(carried) = self.carried_from(old) else { return false };
        let terms = old.roles.hide_terms().map(|(senders, recipients, hide)| {
            Some((carried.id(senders)?, carried.id(recipients)?, hide))
        });
        terms.collect::<Option<BTreeSet<_>>>() == Some(self.roles.hide_terms().collect())
    }
}
