//! Changes that edits of the directory made to the sets of a ruleset, for readers that
//! cache parts of audiences and interests.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::routing::model::caller::Caller;
use crate::routing::model::side::Side;
use crate::routing::query::parts::Part;
use crate::routing::query::visibility::Signature;
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::keys::{ClassId, SetId, UserNumber};
use crate::routing::snapshot::members::Members;
use presence_router_ids::UserId;

/// The users who entered or left sets, between two snapshots of one ruleset.
#[derive(Debug)]
pub struct MembershipDelta<'s> {
    old: &'s Snapshot,
    new: &'s Snapshot,
    sets: BTreeMap<SetId, RoaringBitmap>,
    /// Users who were named between the snapshots.
    newcomers: Range<UserNumber>,
    /// Classes that became empty.
    left: Vec<ClassId>,
    /// Those of the sets that a deny rule excludes.
    denies: Vec<SetId>,
}

// === impl Snapshot ===

impl Snapshot {
    /// Returns the effect of edits since an earlier snapshot. `None`: the ruleset differs.
    pub fn membership_delta_since<'s>(&'s self, old: &'s Self) -> Option<MembershipDelta<'s>> {
        if !Arc::ptr_eq(&self.rules, &old.rules) {
            return None;
        }
        let mut sets = BTreeMap::new();
        let newcomers = self.users.numbers_since(&old.users);
        for id in self.sets.unshared(&old.sets) {
            let (Some(before), Some(after)) = (old.sets.get(id), self.sets.get(id)) else {
                continue;
            };
            if Arc::ptr_eq(before, after) || !self.rules.is_used(id) {
                continue;
            }
            let mut moved = before.named() ^ after.named();
            // Newly named users whom the open rule included, and who are members, did not move.
            let let_in = after.covered_from(newcomers.start);
            let is_in = &let_in & after.named();
            moved -= &is_in;
            moved |= let_in - is_in;
            if !moved.is_empty() {
                sets.insert(id, moved);
            }
        }
        let is_deny = |set: &SetId| self.rules.denies().binary_search(set).is_ok();
        let denies = sets.keys().copied().filter(is_deny).collect();
        let left = self.classes_left_since(old);
        Some(MembershipDelta { old, new: self, sets, newcomers, left, denies })
    }

    /// Returns the classes that became empty, without classes that have no sets: their users
    /// have no counterparts.
    fn classes_left_since(&self, old: &Self) -> Vec<ClassId> {
        let is_empty = |snapshot: &Self, id: ClassId| {
            snapshot.classes.get(id).is_none_or(|class| class.sets.is_empty())
        };
        let changed = self.classes.unshared(&old.classes);
        changed.filter(|id| !is_empty(old, *id) && is_empty(self, *id)).collect()
    }
}

// === impl MembershipDelta ===

impl MembershipDelta<'_> {
    /// Returns true if no user moved, and every user is still found in the same place.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.left.is_empty() && self.newcomers.is_empty()
    }

    /// Signatures on a side, before the change, of users whose membership changed, or
    /// whose old signature no longer finds them: newly named users, and users of classes
    /// that became empty. An answer that is remembered by such a signature must be dropped:
    /// the next change of these users would not find it.
    pub fn signatures(&self, side: Side, caller: &Caller) -> HashSet<Signature> {
        let mut users = self.sets.values().fold(RoaringBitmap::new(), |all, moved| all | moved);
        users.insert_range(self.newcomers.clone());
        let ids = users.iter().map(|user| String::from(self.new.users.id(user)));
        let signature =
            |id: String| Some(self.old.signature(UserId::parse(&id).ok()?, side, caller));
        let left = self.left.iter().map(|id| self.old.signature_of_class(*id, side, caller));
        ids.filter_map(signature).chain(left).collect()
    }

    /// Returns true if a part has other members, or may have.
    pub fn may_change(&self, part: &Part) -> bool {
        part.all_sets().any(|set| self.sets.contains_key(&set))
    }

    /// Returns true if some deny rule now excludes users of a part's set and did not before, or
    /// the other way round: then the part differs for the users whom the rule matches.
    pub fn may_restructure(&self, part: &Part) -> bool {
        let allow = part.allowed_set();
        let denies = self.new.rules.denies();
        let denies = if self.sets.contains_key(&allow) { denies } else { &self.denies };
        let mut met = denies.iter().copied().filter(|deny| {
            let moved = [allow, *deny].into_iter().filter_map(|set| self.sets.get(&set));
            moved.flatten().any(|user| {
                [self.old, self.new].into_iter().any(|snapshot| {
                    let has = |set| {
                        snapshot
                            .set(set)
                            .is_some_and(|set: &Arc<Members>| set.named().contains(user))
                    };
                    has(allow) && has(*deny)
                })
            })
        });
        met.any(|deny| {
            let meet = |snapshot: &Snapshot| {
                snapshot.set(allow).zip(snapshot.set(deny)).is_some_and(|(a, b)| a.may_meet(b))
            };
            meet(self.old) != meet(self.new)
        })
    }

    /// Returns true if hidden fields, or the users of a hide, may have changed.
    pub fn may_change_hides(&self) -> bool {
        let hiding = self.new.rules.hiding();
        if hiding.iter().any(|set| self.sets.contains_key(set)) {
            return true;
        }
        hiding
            .iter()
            .filter_map(|set| self.new.set(*set))
            .any(|set| self.sets.values().any(|moved| !moved.is_disjoint(set.named())))
    }
}
