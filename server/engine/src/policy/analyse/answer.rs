//! The answer of a snapshot about one user, read pair by pair.

use roaring::RoaringBitmap;

use super::verdict::PairVerdict;
use crate::routing::model::caller::Caller;
use crate::routing::model::ruleset::Hide;
use crate::routing::model::side::Side;
use crate::routing::query::visibility::CallerView;
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::members::Members;
use presence_router_ids::UserId;

/// The audience or the interest of a user, as a callback answers it to a caller that all of
/// the user's pairs concern. The user itself may be in it, without any meaning.
pub(in crate::policy) struct Answer<'s> {
    snapshot: &'s Snapshot,
    /// The other users of the user's pairs.
    counterparts: Members,
    /// Sorted by hide.
    hides: Vec<(Members, &'s Hide)>,
}

// === impl Answer ===

impl<'s> Answer<'s> {
    /// Asks about a user on a side: for a sender's audience, or a recipient's interest.
    pub(in crate::policy) fn new(snapshot: &'s Snapshot, user: &str, side: Side) -> Self {
        let user = UserId::parse(user).ok();
        let caller = user.and_then(|user| Caller::new([user.server()]).ok());
        let Some((user, caller)) = user.zip(caller) else {
            return Self { snapshot, counterparts: Members::default(), hides: Vec::new() };
        };
        let signature = snapshot.signature(user, side, &caller);
        let counterparts = snapshot.counterparts(&signature, &CallerView::new(caller));
        let mut hides = snapshot.hides(&signature, &counterparts);
        hides.sort_by_key(|(_, hide)| *hide);
        Self { snapshot, counterparts, hides }
    }

    /// Returns true if another user is a counterpart.
    pub(in crate::policy) fn contains(&self, other: &str) -> bool {
        let who = UserId::parse(other).map(|other| self.snapshot.users().user_ref(other));
        who.is_ok_and(|who| self.counterparts.contains(who))
    }

    /// Returns the counterparts with a number, listed or not.
    pub(in crate::policy) fn numbered_counterparts(&self) -> &RoaringBitmap {
        self.counterparts.named()
    }

    /// Returns the hides of the pair with another user.
    pub(in crate::policy) fn hides_of(&self, other: &str) -> impl Iterator<Item = &'s Hide> {
        let who = UserId::parse(other).ok().map(|other| self.snapshot.users().user_ref(other));
        let hides = self.hides.iter();
        let hides = hides.filter(move |(users, _)| who.is_some_and(|who| users.contains(who)));
        hides.map(|(_, hide)| *hide)
    }

    /// Returns the verdict on the pair with another user.
    pub(in crate::policy) fn verdict_on(&self, other: &str) -> PairVerdict<'s> {
        let Ok(other) = UserId::parse(other) else { return PairVerdict::default() };
        let who = self.snapshot.users().user_ref(other);
        let hides = self.hides.iter().filter(|(users, _)| users.contains(who));
        let mut hides: Vec<_> = hides.map(|(_, hide)| *hide).collect();
        hides.dedup();
        PairVerdict { visible: self.counterparts.contains(who), hides }
    }
}
