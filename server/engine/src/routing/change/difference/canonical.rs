//! Counterparts in a canonical form, to compare those before a change with those after it.
//!
//! Whether a user is a counterpart is a function of relations: the user is always in or some
//! required relation holds, and no excluding relation holds. Different rules can give one
//! function. In the canonical form, a user's sets decide the function and the function decides
//! the sets, so that a comparison of sets finds exactly the users whose function changed.
//! Relations count as independent of each other: the daemon does not know rooms.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::TooMuch;
use crate::routing::model::ruleset::Relation;
use crate::routing::query::conditional_members::ConditionalMembers;
use crate::routing::snapshot::members::Members;

/// Counterparts in the canonical form.
pub(super) struct Canonical {
    /// The users whom no required relation decides on.
    always: Members,
    /// The users for whom a relation must hold: nobody of `always`, and nobody whom the same
    /// relation excludes.
    required: BTreeMap<Arc<Relation>, Members>,
    /// The users whom a relation excludes if it holds: only users of the other sets.
    excluded: BTreeMap<Arc<Relation>, Members>,
}

/// The users who became counterparts.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Became {
    /// The users who were counterparts for no outcome of the relations, and are for every one.
    pub(super) certainly: Members,
    /// The users who became counterparts for some outcome of the relations, and not for every one.
    pub(super) for_some_rooms: Members,
}

// === impl Canonical ===

impl Canonical {
    /// Converts counterparts, and each of their sets by `lift`.
    pub(super) fn new(
        counterparts: &ConditionalMembers,
        mut lift: impl FnMut(&Members) -> Result<Members, TooMuch>,
    ) -> Result<Self, TooMuch> {
        let always = lift(counterparts.always())?;
        let mut by_relation = |sets: &[(Arc<Relation>, Members)]| {
            let lifted = sets.iter().map(|(one, set)| Ok((Arc::clone(one), lift(set)?)));
            lifted.collect::<Result<BTreeMap<_, _>, TooMuch>>()
        };
        let mut required = by_relation(counterparts.required())?;
        let mut excluded = by_relation(counterparts.excluded())?;
        for (relation, members) in &mut required {
            members.subtract(&always);
            if let Some(denied) = excluded.get(relation) {
                members.subtract(denied);
            }
        }
        required.retain(|_, members| !members.is_empty());
        let mut canonical = Self { always, required, excluded: BTreeMap::new() };
        if !excluded.is_empty() {
            let possible = canonical.at_most();
            excluded.values_mut().for_each(|members| members.intersect(&possible));
            excluded.retain(|_, members| !members.is_empty());
        }
        canonical.excluded = excluded;
        Ok(canonical)
    }

    /// Returns the number of named users in all sets.
    pub(super) fn size(&self) -> u64 {
        let conditional = self.required.values().chain(self.excluded.values());
        conditional.chain([&self.always]).map(|members| members.named().len()).sum()
    }

    /// Returns the users who are counterparts of these, and were not of the counterparts
    /// `before`, for some outcome of the relations.
    pub(super) fn became_since(&self, before: &Self) -> Became {
        let mut added = self.always.clone();
        added.subtract(&before.always);
        if self.is_unconditional() && before.is_unconditional() {
            return Became { certainly: added, for_some_rooms: Members::default() };
        }
        let mut certainly = added.clone();
        before.required.values().for_each(|members| certainly.subtract(members));
        self.excluded.values().for_each(|members| certainly.subtract(members));

        let mut for_some_rooms = added;
        for members in added_by_relation(&before.required, &self.required) {
            let mut members = members;
            members.subtract(&before.always);
            for_some_rooms.unite(&members);
        }
        let no_longer_excluded = added_by_relation(&self.excluded, &before.excluded);
        let possible = if before.excluded.is_empty() { Members::default() } else { self.at_most() };
        for mut members in no_longer_excluded {
            members.intersect(&possible);
            for_some_rooms.unite(&members);
        }
        for_some_rooms.subtract(&certainly);
        Became { certainly, for_some_rooms }
    }

    fn is_unconditional(&self) -> bool {
        self.required.is_empty() && self.excluded.is_empty()
    }

    fn at_most(&self) -> Members {
        let mut all = self.always.clone();
        self.required.values().for_each(|members| all.unite(members));
        all
    }
}

/// Returns, for each relation, the users in its later set who are not in its earlier set.
fn added_by_relation(
    earlier: &BTreeMap<Arc<Relation>, Members>,
    later: &BTreeMap<Arc<Relation>, Members>,
) -> impl Iterator<Item = Members> {
    later.iter().map(|(relation, members)| {
        let mut added = members.clone();
        if let Some(known) = earlier.get(relation) {
            added.subtract(known);
        }
        added
    })
}
