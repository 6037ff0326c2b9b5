//! What is said of a pair: by the definition, and by a callback of a snapshot.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use super::Hides;
use crate::policy::Policy;
use crate::policy::standings::Standings;
use crate::routing::model::caller::Caller;
use crate::routing::model::ruleset::Hide;
use crate::routing::model::side::Side;
use crate::routing::query::relation::CallerView;
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::members::Members;
use presence_router_ids::UserId;

/// What is said of a pair.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said<'h> {
    visible: bool,
    /// Sorted, without repeats.
    hides: Vec<&'h Hide>,
}

/// The definition, for some users.
pub(super) struct Definition<'p, 'u> {
    standings: Standings<'p, 'u>,
    audiences: Vec<RoaringBitmap>,
    hides: Vec<BTreeMap<&'p Hide, RoaringBitmap>>,
}

/// What a callback answers about a user, to a caller whom all of the user's pairs
/// concern. Modulo self.
pub(in crate::policy) struct Answer<'s> {
    snapshot: &'s Snapshot,
    /// Those whom the pairs of the user are with.
    counterparts: Members,
    /// Sorted by what they hide.
    hides: Vec<(Members, &'s Hide)>,
}

// === impl Said ===

impl Said<'_> {
    /// In what an answer is not what this says, if in anything: whether the pair is
    /// visible, and the hides, unless it is about just that.
    pub(super) fn against(&self, answered: &Said<'_>) -> Option<(bool, Option<Hides>)> {
        let Self { visible, hides } = self;
        let list = |hides: &[&Hide]| hides.iter().map(|hide| (*hide).clone()).collect();
        if *visible != answered.visible {
            return Some((*visible, None));
        }
        let differ = *hides != answered.hides;
        let told = || Hides { defined: list(hides), answered: list(&answered.hides) };
        differ.then(|| (*visible, Some(told())))
    }
}

// === impl Definition ===

impl<'p, 'u> Definition<'p, 'u> {
    /// The definition over what a policy says, with the directory as a snapshot
    /// has it.
    pub(super) fn new(
        policy: &'p Policy,
        users: impl IntoIterator<Item = &'u str>,
        snapshot: &Snapshot,
    ) -> Self {
        let directory = policy.directory(snapshot);
        let standings = Standings::new(&policy.document, &policy.groups, users, &directory);
        let audiences = standings.audiences();
        let hides = standings.hides(&audiences);
        Self { standings, audiences, hides }
    }

    pub(super) fn says(&self, sender: &str, recipient: &str) -> Said<'p> {
        let [from, to] = [sender, recipient].map(|user| self.standings.number(user));
        let (Some(from), Some(to)) = (from.and_then(|from| usize::try_from(from).ok()), to) else {
            return Said::default();
        };
        let hides = self.hides.get(from).into_iter().flatten();
        Said {
            visible: self.audiences.get(from).is_some_and(|audience| audience.contains(to)),
            hides: hides.filter(|(_, from)| from.contains(to)).map(|(hide, _)| *hide).collect(),
        }
    }
}

// === impl Answer ===

impl<'s> Answer<'s> {
    /// The audience or the interest of a user, by the side that the user is on.
    pub(in crate::policy) fn new(snapshot: &'s Snapshot, user: &str, of: Side) -> Self {
        let user = UserId::parse(user).ok();
        let caller = user.and_then(|user| Caller::new([user.server()]).ok());
        let Some((user, caller)) = user.zip(caller) else {
            return Self { snapshot, counterparts: Members::default(), hides: Vec::new() };
        };
        let signature = snapshot.signature(user, of, &caller);
        let counterparts = snapshot.counterparts(&signature, &CallerView::new(caller));
        let mut hides = snapshot.hides(&signature, &counterparts);
        hides.sort_by_key(|(_, hide)| *hide);
        Self { snapshot, counterparts, hides }
    }

    /// True if another user is a counterpart.
    pub(in crate::policy) fn sees(&self, other: &str) -> bool {
        let who = UserId::parse(other).map(|other| self.snapshot.users().who(other));
        who.is_ok_and(|who| self.counterparts.contains(who))
    }

    /// Counterparts who have a number, listed or not.
    pub(in crate::policy) fn numbered(&self) -> &RoaringBitmap {
        self.counterparts.named()
    }

    /// The hides of the pair with another user.
    pub(in crate::policy) fn hides_of(&self, other: &str) -> impl Iterator<Item = &'s Hide> {
        let who = UserId::parse(other).ok().map(|other| self.snapshot.users().who(other));
        let hides = self.hides.iter();
        let hides = hides.filter(move |(users, _)| who.is_some_and(|who| users.contains(who)));
        hides.map(|(_, hide)| *hide)
    }

    /// What the answer says of the pair with another user.
    pub(super) fn says(&self, other: &str) -> Said<'s> {
        let Ok(other) = UserId::parse(other) else { return Said::default() };
        let who = self.snapshot.users().who(other);
        let hides = self.hides.iter().filter(|(users, _)| users.contains(who));
        let mut hides: Vec<_> = hides.map(|(_, hide)| *hide).collect();
        hides.dedup();
        Said { visible: self.counterparts.contains(who), hides }
    }
}
