//! Counterparts of whom some depend on relations that only the caller can evaluate.

use std::borrow::Cow;
use std::sync::Arc;

use presence_router_ids::{all_of, any_of};
use roaring::RoaringBitmap;

use crate::routing::model::ruleset::Relation;
use crate::routing::snapshot::members::Members;
use crate::routing::snapshot::user_table::UserRef;

/// The counterparts of a user: those in `always` or in a set of `required` whose relation holds,
/// without those in a set of `excluded` whose relation holds.
///
/// It names no other users: each set of `excluded` contains only users who are in another set as
/// well, or it is everyone without exceptions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConditionalMembers {
    always: Members,
    /// At most one set for each relation, and none of them empty.
    required: Vec<(Arc<Relation>, Members)>,
    excluded: Vec<(Arc<Relation>, Members)>,
}

// === impl ConditionalMembers ===

impl ConditionalMembers {
    /// Creates counterparts. The sets of `required` and of `excluded` may be empty, and each of
    /// `excluded` is everyone or contains only users of the other sets.
    pub(super) fn new(
        always: Members,
        mut required: Vec<(Arc<Relation>, Members)>,
        mut excluded: Vec<(Arc<Relation>, Members)>,
    ) -> Self {
        required.retain(|(_, members)| !members.is_empty());
        excluded.retain(|(_, members)| !members.is_empty());
        if always.is_empty() && required.is_empty() {
            excluded.clear();
        }
        Self { always, required, excluded }
    }

    /// Excludes more users, each set if its relation holds. There were no exclusions before.
    pub(super) fn without(self, mut excluded: Vec<(Arc<Relation>, Members)>) -> Self {
        let all = self.at_most().into_owned();
        for (_, members) in &mut excluded {
            if !members.is_everyone() {
                members.intersect(&all);
            }
        }
        Self::new(self.always, self.required, excluded)
    }

    /// Returns the counterparts that no required relation decides on. A relation of
    /// [`Self::excluded`] may still exclude them.
    pub fn always(&self) -> &Members {
        &self.always
    }

    /// Returns the counterparts for whom a relation must hold. A user may be in several sets, and
    /// one relation that holds is enough.
    pub fn required(&self) -> &[(Arc<Relation>, Members)] {
        &self.required
    }

    /// Returns the users whom a relation excludes if it holds.
    pub fn excluded(&self) -> &[(Arc<Relation>, Members)] {
        &self.excluded
    }

    /// Returns all sets: those of counterparts, and those of excluded users.
    pub fn all_sets(&self) -> impl Iterator<Item = &Members> {
        let conditional = self.required.iter().chain(&self.excluded);
        [&self.always].into_iter().chain(conditional.map(|(_, members)| members))
    }

    /// Returns true if there are no counterparts, whatever relations hold.
    pub fn is_empty(&self) -> bool {
        self.always.is_empty() && self.required.is_empty()
    }

    /// Returns true if the counterparts depend on no relation.
    pub fn is_unconditional(&self) -> bool {
        self.required.is_empty() && self.excluded.is_empty()
    }

    /// Returns the users who are counterparts for some outcome of the relations.
    pub fn at_most(&self) -> Cow<'_, Members> {
        let mut all = Cow::Borrowed(&self.always);
        for (_, members) in &self.required {
            all.to_mut().unite(members);
        }
        all
    }

    /// Returns the users who are counterparts whatever relations hold.
    pub fn at_least(&self) -> Cow<'_, Members> {
        let mut rest = Cow::Borrowed(&self.always);
        for (_, members) in &self.excluded {
            rest.to_mut().subtract(members);
        }
        rest
    }

    /// Removes the listed users who are counterparts whatever relations hold, as far as the open
    /// rule of [`Self::always`] does not include them, and returns them.
    pub fn take_certain(&mut self) -> RoaringBitmap {
        let mut certain = self.always.listed_besides();
        if !self.excluded.is_empty() {
            certain &= self.at_least().named();
        }
        self.always.subtract(&Members::listed(certain.clone()));
        if self.is_empty() {
            self.excluded.clear();
        }
        certain
    }

    /// Returns true if a user is a counterpart, `None` if an unknown relation decides it. `holds`
    /// evaluates a relation between the two users.
    pub fn contains(
        &self,
        who: UserRef<'_>,
        holds: impl Fn(&Relation) -> Option<bool>,
    ) -> Option<bool> {
        let applies = |(relation, members): &(Arc<Relation>, Members)| {
            if members.contains(who) { holds(relation) } else { Some(false) }
        };
        let always = std::iter::once(Some(self.always.contains(who)));
        let allowed = any_of(always.chain(self.required.iter().map(applies)));
        let denied = any_of(self.excluded.iter().map(applies));
        all_of([allowed, denied.map(|denied| !denied)])
    }
}
