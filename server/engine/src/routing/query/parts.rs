//! The parts of counterparts: sets that the answers about many users share.
//!
//! Each set that an allow rule puts across, minus the sets of deny rules, is a *part*. Users with
//! different counterparts share parts, and so do audiences and interests; a group is one part,
//! however many audiences contain it. The relation that a rule requires is no property of the
//! part, but of its role in one answer.

use std::sync::Arc;

use super::conditional_members::ConditionalMembers;
use super::terms::Operands;
use super::visibility::{CallerView, Signature};
use crate::routing::model::ruleset::Relation;
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::keys::{RelationId, SetId};
use crate::routing::snapshot::members::{Members, Open};

/// A set that counterparts are made of: the members of one set, minus those of others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    allow: SetId,
    /// For an exception, the sets of deny rules: only members of any of them as well. Ascending.
    /// Empty for every other part.
    also: Arc<[SetId]>,
    deny: Arc<[SetId]>,
    local_only: bool,
}

/// The role of a part in the counterparts of a user.
///
/// Counterparts are the members of parts that are always in or whose required relation holds,
/// without members of parts whose excluding relation holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The members are counterparts.
    Always,

    /// The members for whom the relation holds are counterparts.
    Required(RelationId),

    /// The members for whom the relation holds are no counterparts.
    Excluded(RelationId),
}

// === impl Part ===

impl Part {
    /// Returns the set without its exclusions.
    pub(in crate::routing) fn allowed_set(&self) -> SetId {
        self.allow
    }

    /// Returns all sets that the members depend on.
    pub(in crate::routing) fn all_sets(&self) -> impl Iterator<Item = SetId> {
        [self.allow].into_iter().chain(self.also.iter().chain(&*self.deny).copied())
    }

    /// Returns true if the part occurs in the role [`Role::Excluded`], and in no other: a
    /// part with the same members in another role is another part.
    pub fn is_exception(&self) -> bool {
        !self.also.is_empty()
    }

    /// Converts the part to sets with other ids.
    pub(in crate::routing) fn with_mapped_sets(
        &self,
        id: impl Fn(SetId) -> Option<SetId>,
    ) -> Option<Self> {
        let mapped = |sets: &[SetId]| {
            let mut sets = sets.iter().map(|set| id(*set)).collect::<Option<Vec<_>>>()?;
            sets.sort_unstable();
            Some(sets.into())
        };
        let (also, deny) = (mapped(&self.also)?, mapped(&self.deny)?);
        Some(Self { allow: id(self.allow)?, also, deny, local_only: self.local_only })
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// Returns the parts that the counterparts are made of, each in its role. Without parts,
    /// there are no counterparts. `None` is everyone, in the role [`Role::Excluded`] only: such a
    /// deny rule needs no list of the users whom other parts contain.
    pub fn parts(&self, signature: &Signature) -> Vec<(Role, Option<Part>)> {
        let Operands { allow, deny, allow_if, deny_if } = self.operands(signature);
        let meet = |one: SetId, two: SetId| {
            self.set(one).zip(self.set(two)).is_some_and(|(one, two)| one.may_meet(two))
        };
        let part = |allow, also: Arc<[SetId]>| {
            // Only exclusions that overlap the set: a group that no deny rule touches stays
            // one part, whatever other users its members are denied.
            let deny = deny.iter().copied().filter(|deny| meet(allow, *deny)).collect();
            Part { allow, also, deny, local_only: signature.is_local_only() }
        };
        let no_exception: Arc<[SetId]> = Arc::default();
        let member_part = |set| Some(part(set, Arc::clone(&no_exception)));
        let always = allow.iter().map(|set| (Role::Always, member_part(*set)));
        let required =
            allow_if.iter().map(|(relation, set)| (Role::Required(*relation), member_part(*set)));
        let mut parts: Vec<_> = always.chain(required).collect();
        if deny_if.is_empty() || parts.is_empty() {
            return parts;
        }
        let mut allowed: Vec<_> =
            allow.into_iter().chain(allow_if.iter().map(|(_, set)| *set)).collect();
        allowed.sort_unstable();
        allowed.dedup();
        for same in deny_if.chunk_by(|(a, _), (b, _)| a == b) {
            let Some((relation, _)) = same.first() else { continue };
            let role = Role::Excluded(*relation);
            if same.iter().any(|(_, set)| self.rules.is_everyone(*set)) {
                parts.push((role, None));
                continue;
            }
            // One exception for each allowed set, however many deny rules have the relation.
            for allow in &allowed {
                let denied = same.iter().map(|(_, set)| *set).filter(|set| meet(*allow, *set));
                let denied: Arc<[SetId]> = denied.collect();
                if !denied.is_empty() {
                    parts.push((role, Some(part(*allow, denied))));
                }
            }
        }
        parts
    }

    /// Returns the members of one part.
    pub fn members_of_part(&self, part: &Part, view: &CallerView) -> Members {
        let set = self.set(part.allow);
        let mut members = match (set, part.local_only) {
            (None, _) => Members::default(),
            (Some(set), false) => Members::clone(set),
            (Some(set), true) => set.on_servers_of(view.caller(), view.local_users(self)),
        };
        if part.is_exception() {
            members.intersect(&self.union_of(&part.also));
        }
        for deny in part.deny.iter() {
            if let Some(denied) = self.set(*deny) {
                members.subtract(denied);
            }
        }
        members
    }

    /// Returns all counterparts of the users with a signature, modulo self.
    pub fn counterparts(&self, signature: &Signature, view: &CallerView) -> ConditionalMembers {
        let mut always = Members::default();
        let (mut required, mut excluded) = (Vec::new(), Vec::new());
        for (role, part) in self.parts(signature) {
            let members = match part {
                Some(part) => self.members_of_part(&part, view),
                None => self.everyone(),
            };
            match role {
                Role::Always => always.unite(&members),
                Role::Required(relation) => self.unite_by(&mut required, relation, &members),
                Role::Excluded(relation) => self.unite_by(&mut excluded, relation, &members),
            }
        }
        ConditionalMembers::new(always, required, excluded)
    }

    /// Adds members to the set of a relation. The sets come in the order of the relations.
    pub(super) fn unite_by(
        &self,
        sets: &mut Vec<(Arc<Relation>, Members)>,
        relation: RelationId,
        members: &Members,
    ) {
        let Some(relation) = self.relation(relation) else { return };
        match sets.last_mut() {
            Some((last, all)) if Arc::ptr_eq(last, relation) => all.unite(members),
            _ => sets.push((Arc::clone(relation), members.clone())),
        }
    }

    fn everyone(&self) -> Members {
        Members::opened(Open::Everyone, self.users.everyone())
    }
}
