//! Which sets of a ruleset are sets of the next ruleset too, over one directory, so
//! that what was made of them can stay. They are told by their members: what a
//! set was written as does not matter here.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::routing::query::relation::Part;
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::members::Members;
use crate::routing::snapshot::rule_index::RuleIndex;
use crate::routing::snapshot::sets::{Evaluated, SetId, at};

/// What has become of the sets of rules of a ruleset under a later one.
#[derive(Debug)]
pub struct SetMapping {
    /// By the earlier id: the later one. No later id occurs twice.
    pub(in crate::routing) ids: Vec<Option<SetId>>,
    /// Sets that only the earlier ruleset has, and those that only the later has.
    pub(in crate::routing) dropped: Vec<SetId>,
    pub(in crate::routing) added: Vec<SetId>,
}

/// Sets that some rule names.
pub(in crate::routing) fn used(
    sets: &Evaluated,
    rules: &RuleIndex,
) -> impl Iterator<Item = SetId> + Clone {
    (0..SetId::try_from(sets.len()).unwrap_or(SetId::MAX)).filter(|id| rules.is_used(*id))
}

// === impl SetMapping ===

impl SetMapping {
    /// From a snapshot to sets that are evaluated among the same users, and
    /// perhaps more.
    pub(in crate::routing) fn between(old: &Snapshot, sets: &Evaluated, rules: &RuleIndex) -> Self {
        let first = u32::try_from(old.users.count()).unwrap_or(u32::MAX);
        let fingerprint = |set: &Members| {
            let named = set.named();
            (named.range_cardinality(..first), named.min().filter(|least| *least < first))
        };
        let mut known: HashMap<_, Vec<(SetId, &Arc<Members>)>> = HashMap::new();
        for id in used(&old.sets, &old.rules) {
            let Some(set) = at(id).and_then(|id| old.sets.get(id)) else { continue };
            known.entry(fingerprint(set)).or_default().push((id, set));
        }
        let mut ids = vec![None; old.sets.len()];
        let mut added = Vec::new();
        for id in used(sets, rules) {
            let Some(set) = at(id).and_then(|id| sets.get(id)) else { continue };
            let alike = known.get_mut(&fingerprint(set));
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
    pub fn set_mapping_from(&self, old: &Self) -> Option<SetMapping> {
        let alike = self.users.share_numbers_with(&old.users);
        alike.then(|| SetMapping::between(old, &self.sets, &self.rules))
    }

    /// Whether this is hidden of and from the same users as by an earlier snapshot,
    /// be they seen or not. `true` is certain.
    pub fn hides_as(&self, old: &Self) -> bool {
        if [self, old].iter().all(|snapshot| snapshot.rules.hiding().is_empty()) {
            return true;
        }
        let Some(carried) = self.set_mapping_from(old) else { return false };
        let terms = old.rules.hide_terms().map(|(senders, recipients, hide)| {
            Some((carried.id(senders)?, carried.id(recipients)?, hide))
        });
        terms.collect::<Option<BTreeSet<_>>>() == Some(self.rules.hide_terms().collect())
    }
}
