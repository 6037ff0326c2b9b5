//! The stored form of a set of users: numbers for the users that the ruleset names, and an
//! expression for all others.
//!
//! Lists are finite and name their users, so that only servers and patterns can match an
//! unlisted user. A set is therefore stored as three parts, and union, intersection and
//! difference apply to each part:
//!
//! - `named`: the named users in the set, for any reason;
//! - `open`: the other users in the set, by server and pattern alone;
//! - `covered`: the named users that `open` would include, so that the set can be
//!   described as "`open`, except `covered - named`, and also `named - covered`"
//!   without naming any other user.

mod open;

pub use self::open::Open;

use roaring::RoaringBitmap;

use super::keys::UserNumber;
use super::user_table::UserRef;
use crate::routing::model::caller::Caller;
use presence_router_ids::UserId;

/// A set of users.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Members {
    named: RoaringBitmap,
    covered: RoaringBitmap,
    open: Open,
}

/// The value by which [`Members::fingerprint`] compares sets.
pub(in crate::routing) type Fingerprint = (u64, Option<UserNumber>);

// === impl Members ===

impl Members {
    /// Creates a set that lists named users.
    pub fn listed(named: RoaringBitmap) -> Self {
        Self { named, ..Self::default() }
    }

    /// Creates a set of all users of an open rule, with the named users that the rule includes.
    pub fn opened(open: Open, covered: RoaringBitmap) -> Self {
        Self { named: covered.clone(), covered, open }
    }

    /// Adds the users of another set.
    pub fn unite(&mut self, other: &Self) {
        self.named |= &other.named;
        self.covered |= &other.covered;
        self.open = std::mem::take(&mut self.open).union_with(other.open.clone());
    }

    /// Keeps only users who are also in another set.
    pub fn intersect(&mut self, other: &Self) {
        self.named &= &other.named;
        self.covered &= &other.covered;
        self.open = std::mem::take(&mut self.open).intersect_with(other.open.clone());
    }

    /// Removes the users of another set.
    pub fn subtract(&mut self, other: &Self) {
        self.named -= &other.named;
        self.covered -= &other.covered;
        self.open = std::mem::take(&mut self.open).subtract(other.open.clone());
    }

    /// Removes all users with numbers except these. The open rule stays unchanged.
    pub(in crate::routing) fn keep_numbered(&mut self, users: &RoaringBitmap) {
        self.named &= users;
        self.covered &= users;
    }

    /// Adds or removes a named user, whatever the open rule decides.
    pub(in crate::routing) fn set_named(&mut self, number: UserNumber, is_in: bool) {
        if is_in {
            self.named.insert(number);
        } else {
            self.named.remove(number);
        }
    }

    /// Adds a newly named user whom the open rule includes.
    pub(in crate::routing) fn insert_covered(&mut self, number: UserNumber) {
        self.named.insert(number);
        self.covered.insert(number);
    }

    /// Keeps only users of the caller's own servers.
    #[must_use]
    pub fn on_servers_of(&self, caller: &Caller, local: &RoaringBitmap) -> Self {
        Self {
            named: &self.named & local,
            covered: &self.covered & local,
            open: self.open.on_servers(caller),
        }
    }

    /// Returns the same set with more named users: all of `newcomers` whom the open rule
    /// includes.
    #[must_use]
    pub(in crate::routing) fn with_newcomers(
        &self,
        newcomers: impl Iterator<Item = (UserNumber, String)>,
    ) -> Self {
        let mut members = self.clone();
        if members.is_open() {
            for (number, id) in newcomers {
                if UserId::parse(&id).is_ok_and(|user| members.open.contains(user)) {
                    members.insert_covered(number);
                }
            }
        }
        members
    }

    /// Returns the number of named users among the first users by number, and the least of
    /// them. Two sets that are the same for [`Self::is_same_with_more_users`] have equal
    /// fingerprints, which are cheap to compare.
    pub(in crate::routing) fn fingerprint(&self, first: UserNumber) -> Fingerprint {
        let least = self.named.min().filter(|least| *least < first);
        (self.named.range_cardinality(..first), least)
    }

    /// Returns true if this set, evaluated among the first users by number, is the other,
    /// evaluated among more.
    pub(in crate::routing) fn is_same_with_more_users(
        &self,
        first: UserNumber,
        other: &Self,
    ) -> bool {
        let is = |one: &RoaringBitmap, two: &RoaringBitmap| {
            one.len() == two.range_cardinality(..first) && one.is_subset(two)
        };
        let newcomers = |users: &RoaringBitmap| -> Vec<u32> { users.range(first..).collect() };
        self.open == other.open
            && is(&self.named, &other.named)
            && is(&self.covered, &other.covered)
            && newcomers(&other.named) == newcomers(&other.covered)
    }

    /// Returns the users with numbers from `first` on whom the open rule includes.
    pub(in crate::routing) fn covered_from(&self, first: UserNumber) -> RoaringBitmap {
        self.covered.range(first..).collect()
    }

    /// Returns true if the sets may have common users. `false` is certain.
    pub(in crate::routing) fn may_meet(&self, other: &Self) -> bool {
        let both_open = self.is_open() && other.is_open();
        both_open || !self.named.is_disjoint(&other.named)
    }

    /// Returns true if the set contains the user.
    #[inline]
    pub fn contains(&self, who: UserRef<'_>) -> bool {
        match who {
            UserRef::Numbered { number, .. } => self.named.contains(number),
            UserRef::Unnumbered(user) => self.open.contains(user),
        }
    }

    /// Returns true if the set may contain unlisted users.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.open != Open::Nobody
    }

    /// Returns true if the set contains every user.
    pub(in crate::routing) fn is_everyone(&self) -> bool {
        self.open == Open::Everyone && self.named.len() == self.covered.len()
    }

    /// Returns true if the set contains no users, listed or unlisted.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && !self.is_open()
    }

    /// Returns all named users in the set, for any reason.
    #[inline]
    pub fn named(&self) -> &RoaringBitmap {
        &self.named
    }

    /// Returns the rule that decides on all other users.
    #[inline]
    pub fn open(&self) -> &Open {
        &self.open
    }

    /// Returns the named users in the set whom the open rule does not include.
    pub fn listed_besides(&self) -> RoaringBitmap {
        &self.named - &self.covered
    }

    /// Returns the set without the users whom the open rule does not include.
    #[must_use]
    pub(in crate::routing) fn without_listed_besides(&self) -> Self {
        Self { named: &self.named & &self.covered, ..self.clone() }
    }

    /// Returns the named users not in the set whom the open rule includes.
    pub fn exceptions(&self) -> RoaringBitmap {
        &self.covered - &self.named
    }
}
