//! The answer of a snapshot about one user, read pair by pair. The reader knows which relations
//! hold for a pair.

use roaring::RoaringBitmap;

use super::verdict::PairVerdict;
use crate::routing::model::caller::Caller;
use crate::routing::model::ruleset::{Hide, Relation};
use crate::routing::model::side::Side;
use crate::routing::query::conditional_members::ConditionalMembers;
use crate::routing::query::visibility::{AppliedHide, CallerView};
use crate::routing::snapshot::Snapshot;
use presence_router_ids::{RoomCapabilities, UserId};

/// The audience or the interest of a user, as a callback answers it to a caller that all of
/// the user's pairs concern, and that evaluates every relation. The user itself may be in it,
/// without any meaning.
pub(in crate::policy) struct Answer<'s> {
    snapshot: &'s Snapshot,
    /// The other users of the user's pairs.
    counterparts: ConditionalMembers,
    /// Sorted by hide.
    hides: Vec<AppliedHide<'s>>,
}

// === impl Answer ===

impl<'s> Answer<'s> {
    /// Asks about a user on a side: for a sender's audience, or a recipient's interest.
    pub(in crate::policy) fn new(snapshot: &'s Snapshot, user: &str, side: Side) -> Self {
        let user = UserId::parse(user).ok();
        let caller = user.and_then(|user| Caller::new([user.server()]).ok());
        let Some((user, caller)) = user.zip(caller) else {
            let counterparts = ConditionalMembers::default();
            return Self { snapshot, counterparts, hides: Vec::new() };
        };
        let caller = caller.with_capabilities(RoomCapabilities::ALL);
        let signature = snapshot.signature(user, side, &caller);
        let counterparts = snapshot.counterparts(&signature, &CallerView::new(caller));
        let mut hides = snapshot.hides(&signature, &counterparts.at_most());
        hides.sort_by_key(|applied| applied.hide);
        Self { snapshot, counterparts, hides }
    }

    /// Returns true if the answer depends on no relation.
    pub(in crate::policy) fn is_unconditional(&self) -> bool {
        let mut hides = self.hides.iter();
        self.counterparts.is_unconditional() && hides.all(|applied| applied.relation.is_none())
    }

    /// Returns true if another user is a counterpart: certainly, if it is not known of a relation
    /// that it holds.
    pub(in crate::policy) fn contains(
        &self,
        other: &str,
        holds: impl Fn(&Relation) -> Option<bool>,
    ) -> bool {
        let Ok(other) = UserId::parse(other) else { return false };
        let who = self.snapshot.users().user_ref(other);
        self.counterparts.contains(who, holds) == Some(true)
    }

    /// Returns the counterparts with a number, listed or not. `room_mates` are all users who
    /// share a room with the user; `holds` evaluates a relation to one of them.
    pub(in crate::policy) fn numbered_counterparts<'m>(
        &self,
        room_mates: impl Iterator<Item = &'m str>,
        holds: impl Fn(&'m str, &Relation) -> Option<bool>,
    ) -> RoaringBitmap {
        // Set arithmetic for the many users without a shared room, and a look at each of the few
        // others.
        let mut numbered = self.counterparts.always().named().clone();
        let holds_without_rooms =
            |relation: &Relation| relation.holds_without_rooms() == Some(true);
        for (relation, users) in self.counterparts.required() {
            if holds_without_rooms(relation) {
                numbered |= users.named();
            }
        }
        for (relation, users) in self.counterparts.excluded() {
            if holds_without_rooms(relation) {
                numbered -= users.named();
            }
        }
        for mate in room_mates.filter(|_| !self.counterparts.is_unconditional()) {
            if let Some(number) = self.snapshot.users().number(mate) {
                match self.contains(mate, |relation| holds(mate, relation)) {
                    true => numbered.insert(number),
                    false => numbered.remove(number),
                };
            }
        }
        numbered
    }

    /// Returns the hides of the pair with another user. A hide applies unless its relation
    /// certainly does not hold.
    pub(in crate::policy) fn hides_of(
        &self,
        other: &str,
        holds: impl Fn(&Relation) -> Option<bool>,
    ) -> impl Iterator<Item = &'s Hide> {
        let who = UserId::parse(other).ok().map(|other| self.snapshot.users().user_ref(other));
        let hides = self.hides.iter().filter(move |applied| {
            who.is_some_and(|who| applied.users.contains(who))
                && applied.relation.is_none_or(|relation| holds(relation) != Some(false))
        });
        hides.map(|applied| applied.hide)
    }

    /// Returns the verdict on the pair with another user.
    pub(in crate::policy) fn verdict_on(
        &self,
        other: &str,
        holds: impl Fn(&Relation) -> Option<bool>,
    ) -> PairVerdict<'s> {
        let visible = self.contains(other, &holds);
        let mut hides: Vec<_> = self.hides_of(other, &holds).filter(|_| visible).collect();
        hides.dedup();
        PairVerdict { visible, hides }
    }
}
