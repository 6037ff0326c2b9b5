//! Maps the sets of a ruleset to those of the next ruleset over one directory, so that
//! answers made of these sets can be kept. Two sets are the same if they have the same members,
//! however the rulesets write them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::routing::query::parts::Part;
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::keys::{Key, SetId};
use crate::routing::snapshot::members::Members;
use crate::routing::snapshot::rule_index::RuleIndex;
use crate::routing::snapshot::set_defs::Evaluated;

/// A map from each set of a ruleset's rules to the later set.
#[derive(Debug)]
pub struct SetMapping {
    /// By the index of an earlier set: the later set. No later set occurs twice.
    later: Vec<Option<SetId>>,
    /// Sets that only the earlier ruleset has, and those that only the later has.
    pub(in crate::routing) dropped: Vec<SetId>,
    pub(in crate::routing) added: Vec<SetId>,
}

/// The sets that some rule names.
pub(in crate::routing) fn sets_of_rules(
    sets: &Evaluated,
    rules: &RuleIndex,
) -> impl Iterator<Item = SetId> + Clone {
    sets.keys().filter(|id| rules.is_used(*id))
}

// === impl SetMapping ===

impl SetMapping {
    /// Maps the sets of a snapshot to sets that are evaluated among the same users, and
    /// possibly more.
    pub(in crate::routing) fn between(old: &Snapshot, sets: &Evaluated, rules: &RuleIndex) -> Self {
        let first = old.users.numbers().end;
        let mut known: HashMap<_, Vec<(SetId, &Arc<Members>)>> = HashMap::new();
        for id in sets_of_rules(&old.sets, &old.rules) {
            let Some(set) = old.sets.get(id) else { continue };
            known.entry(set.fingerprint(first)).or_default().push((id, set));
        }
        let mut later = vec![None; old.sets.len()];
        let mut added = Vec::new();
        for id in sets_of_rules(sets, rules) {
            let Some(set) = sets.get(id) else { continue };
            let alike = known.get_mut(&set.fingerprint(first));
            let is = |(_, other): &(SetId, &Arc<Members>)| {
                Arc::ptr_eq(other, set) || other.is_same_with_more_users(first, set)
            };
            // The same id if possible: then readers need no translation.
            let found = alike.and_then(|alike| {
                let same = alike.iter().position(|other| other.0 == id && is(other));
                let index = same.or_else(|| alike.iter().position(is))?;
                Some(alike.swap_remove(index).0)
            });
            match found.and_then(|earlier| later.get_mut(earlier.index())) {
                Some(slot) => *slot = Some(id),
                None => added.push(id),
            }
        }
        let dropped = known.into_values().flatten().map(|(id, _)| id).collect();
        Self { later, dropped, added }
    }

    /// Maps a part of a user's counterparts to the later snapshot. `None`: no part is
    /// certainly the same.
    pub fn map_part(&self, part: &Part) -> Option<Part> {
        part.with_mapped_sets(|id| self.later_id(id))
    }

    /// Returns the later set of an earlier one.
    pub(in crate::routing) fn later_id(&self, earlier: SetId) -> Option<SetId> {
        *self.later.get(earlier.index())?
    }

    /// Returns the later sets that have an earlier one, in the order of the earlier sets.
    pub(in crate::routing) fn kept_ids(&self) -> impl Iterator<Item = SetId> {
        self.later.iter().flatten().copied()
    }

    /// Returns true if every set of both rulesets keeps its id.
    pub(in crate::routing) fn is_identity(&self) -> bool {
        let is_same =
            |(index, later): (usize, &Option<SetId>)| later.is_none_or(|id| id.index() == index);
        self.later.iter().enumerate().all(is_same)
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// Maps the sets of an earlier snapshot to this one. `None`: users have other
    /// numbers.
    pub fn set_mapping_from(&self, old: &Self) -> Option<SetMapping> {
        let alike = self.users.share_numbers_with(&old.users);
        alike.then(|| SetMapping::between(old, &self.sets, &self.rules))
    }

    /// Returns true if this snapshot hides fields of and from the same users as an earlier
    /// snapshot, whether visible or not. `true` is certain.
    pub fn hides_as(&self, old: &Self) -> bool {
        if [self, old].iter().all(|snapshot| snapshot.rules.hiding().is_empty()) {
            return true;
        }
        if Arc::ptr_eq(&self.rules, &old.rules) {
            return self.shares_sets_with(old, self.rules.hiding());
        }
        let Some(mapping) = self.set_mapping_from(old) else { return false };
        let products = old.rules.hide_products().map(|(senders, recipients, relation, hide)| {
            Some((mapping.later_id(senders)?, mapping.later_id(recipients)?, relation, hide))
        });
        products.collect::<Option<BTreeSet<_>>>() == Some(self.rules.hide_products().collect())
    }

    /// Returns true if sets of one ruleset have the same members as in an earlier snapshot.
    /// Most of them are one object in both, which costs a comparison of pointers.
    fn shares_sets_with(&self, old: &Self, ids: &[SetId]) -> bool {
        let first = old.users.numbers().end;
        ids.iter().all(|id| match (old.sets.get(*id), self.sets.get(*id)) {
            (Some(before), Some(after)) => {
                Arc::ptr_eq(before, after) || before.is_same_with_more_users(first, after)
            }
            (before, after) => before.is_none() && after.is_none(),
        })
    }
}
