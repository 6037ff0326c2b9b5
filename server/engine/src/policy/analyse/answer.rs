//! The answer of a snapshot about one user, read pair by pair, for users who share no room.

use roaring::RoaringBitmap;

use super::verdict::PairVerdict;
use crate::routing::model::caller::Caller;
use crate::routing::model::ruleset::{Hide, Relation};
use crate::routing::model::side::Side;
use crate::routing::query::conditional_members::ConditionalMembers;
use crate::routing::query::visibility::{AppliedHide, CallerView};
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::user_table::UserRef;
use presence_router_ids::{RoomCapabilities, UserId};

/// The audience or the interest of a user, as a callback answers it to a caller that all of
/// the user's pairs concern. The user itself may be in it, without any meaning.
pub(in crate::policy) struct Answer<'s> {
    snapshot: &'s Snapshot,
    /// The other users of the user's pairs.
    counterparts: ConditionalMembers,
    /// The counterparts for some outcome of the relations, with a number.
    numbered: RoaringBitmap,
    /// The hides whose relation holds for users who share no room, sorted.
    hides: Vec<AppliedHide<'s>>,
}

// === impl Answer ===

impl<'s> Answer<'s> {
    /// Asks about a user on a side: for a sender's audience, or a recipient's interest.
    pub(in crate::policy) fn new(snapshot: &'s Snapshot, user: &str, side: Side) -> Self {
        let user = UserId::parse(user).ok();
        let caller = user.and_then(|user| Caller::new([user.server()]).ok());
        let Some((user, caller)) = user.zip(caller) else {
            let (counterparts, numbered) = Default::default();
            return Self { snapshot, counterparts, numbered, hides: Vec::new() };
        };
        let caller = caller.with_capabilities(RoomCapabilities::ALL);
        let signature = snapshot.signature(user, side, &caller);
        let counterparts = snapshot.counterparts(&signature, &CallerView::new(caller));
        let at_most = counterparts.at_most();
        let mut hides = snapshot.hides(&signature, &at_most);
        let holds = |relation: Option<&Relation>| {
            relation.is_none_or(|one| one.holds_without_rooms() == Some(true))
        };
        hides.retain(|applied| holds(applied.relation));
        hides.sort_by_key(|applied| applied.hide);
        let numbered = at_most.named().clone();
        Self { snapshot, counterparts, numbered, hides }
    }

    /// Returns true if another user is a counterpart.
    pub(in crate::policy) fn contains(&self, other: &str) -> bool {
        let who = UserId::parse(other).map(|other| self.snapshot.users().user_ref(other));
        who.is_ok_and(|who| self.holds(who))
    }

    /// Returns the counterparts with a number, listed or not, and users with a number who are
    /// counterparts for other rooms only.
    pub(in crate::policy) fn numbered_counterparts(&self) -> &RoaringBitmap {
        &self.numbered
    }

    /// Returns the hides of the pair with another user.
    pub(in crate::policy) fn hides_of(&self, other: &str) -> impl Iterator<Item = &'s Hide> {
        let who = UserId::parse(other).ok().map(|other| self.snapshot.users().user_ref(other));
        let hides = self.hides.iter();
        let hides = hides.filter(move |one| who.is_some_and(|who| one.users.contains(who)));
        hides.map(|applied| applied.hide)
    }

    /// Returns the verdict on the pair with another user.
    pub(in crate::policy) fn verdict_on(&self, other: &str) -> PairVerdict<'s> {
        let Ok(other) = UserId::parse(other) else { return PairVerdict::default() };
        let who = self.snapshot.users().user_ref(other);
        let hides = self.hides.iter().filter(|applied| applied.users.contains(who));
        let mut hides: Vec<_> = hides.map(|applied| applied.hide).collect();
        hides.dedup();
        PairVerdict { visible: self.holds(who), hides }
    }

    fn holds(&self, who: UserRef<'_>) -> bool {
        self.counterparts.contains(who, Relation::holds_without_rooms) == Some(true)
    }
}
