//! The facade for embedders: one policy, with the members of its directory's groups.
//!
//! This module combines `policy` and `routing`, which the daemon uses directly. It knows
//! no caches and no streams.

use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::policy::analyse::explain::{Explanation, explain};
use crate::policy::analyse::impact::{Impact, compute_impact};
use crate::policy::analyse::verify::{Verified, verify};
use crate::policy::problem::Problems;
use crate::policy::{Files, Policy};
use crate::routing::change::difference::{Budget, Difference, TooMuch};
use crate::routing::engine::{Edit, EditError, Engine};
use crate::routing::model::caller::Caller;
use crate::routing::model::ruleset::{Hide, Relation};
use crate::routing::model::side::Side;
use crate::routing::query::conditional_members::ConditionalMembers;
use crate::routing::query::visibility::CallerView;
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::members::Members;
use presence_router_ids::{RoomCapabilities, RoomConditions, UserId};

/// Decides by one policy which users may see whose presence.
///
/// Groups with `directory: true` begin empty; [`Router::edit`] fills them.
#[derive(Debug)]
pub struct Router {
    policy: Policy,
    engine: Engine,
    /// The engine's current snapshot.
    snapshot: Arc<Snapshot>,
}

/// The audience or the interest of one user, at one moment.
///
/// It may contain unlisted users, such as all users of a server. It never contains the user
/// itself.
///
/// Rules may require that two users share a room (`share_room`), which only the embedder knows.
/// [`Counterparts::contains_if`] and [`Counterparts::hides_if`] take a function for it; the other
/// functions say what they assume.
#[derive(Clone, Debug)]
pub struct Counterparts {
    snapshot: Arc<Snapshot>,
    /// The user's id.
    user: String,
    members: ConditionalMembers,
    hides: Vec<(Members, Option<Relation>, Hide)>,
}

// === impl Router ===

impl Router {
    /// Reads and checks a policy, and runs its tests. `file` is its name in messages.
    ///
    /// # Errors
    ///
    /// All problems of the policy, each with its position; or all of its failing tests.
    pub fn load(file: &str, text: &[u8], files: &dyn Files) -> Result<Self, Problems> {
        Policy::load_over(None, file, text, files).map(Self::new)
    }

    /// Loads another policy over the same members of the directory's groups, to compare
    /// it with this one. Changes nothing.
    ///
    /// # Errors
    ///
    /// As [`Router::load`].
    pub fn candidate(&self, file: &str, text: &[u8], files: &dyn Files) -> Result<Self, Problems> {
        Policy::load_candidate(&self.engine, file, text, files).map(Self::new)
    }

    /// Replaces the policy, and keeps the members of the directory's groups. Members of
    /// groups that the new policy does not have are dropped.
    ///
    /// # Errors
    ///
    /// As [`Router::load`]. The previous policy stays active.
    pub fn replace_policy(
        &mut self,
        file: &str,
        text: &[u8],
        files: &dyn Files,
    ) -> Result<(), Problems> {
        *self = Policy::load_over(Some(&self.engine), file, text, files).map(Self::new)?;
        Ok(())
    }

    /// Changes the members of the directory's groups: all edits, or none of them.
    ///
    /// # Errors
    ///
    /// If the directory does not fill a group, or no number is left for a new user.
    pub fn edit(&mut self, edits: &[Edit<'_>]) -> Result<(), EditError> {
        self.engine.edit(edits)?;
        self.snapshot = self.engine.snapshot();
        Ok(())
    }

    /// Returns the policy, as written and as resolved.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Returns the current snapshot, from which answers are computed. A snapshot never
    /// changes, and is cheap to keep.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    /// Returns true if the recipient may see the sender, and the two share no room.
    pub fn is_visible(&self, sender: UserId<'_>, recipient: UserId<'_>) -> bool {
        self.snapshot.visible(sender, recipient)
    }

    /// Returns true if the recipient may see the sender. `share_room` returns true if the two
    /// share a room that meets some conditions, and `None` if a missing fact decides it. The result
    /// is then `None` as well, unless another rule decides: show nothing.
    pub fn is_visible_if(
        &self,
        sender: UserId<'_>,
        recipient: UserId<'_>,
        share_room: impl Fn(&RoomConditions) -> Option<bool>,
    ) -> Option<bool> {
        self.snapshot.visible_if(sender, recipient, |relation| relation.holds(&share_room))
    }

    /// Returns the recipients who may see a sender, limited to pairs that concern the
    /// caller: those with at least one user on the caller's servers. Rules apply as far as the
    /// caller's [capabilities](Caller::with_capabilities) allow.
    pub fn audience(&self, sender: UserId<'_>, caller: &Caller) -> Counterparts {
        self.counterparts(sender, Side::Sender, caller)
    }

    /// Returns the senders whom a recipient may see, limited to pairs that concern the
    /// caller: those with at least one user on the caller's servers. Rules apply as far as the
    /// caller's [capabilities](Caller::with_capabilities) allow.
    pub fn interest(&self, recipient: UserId<'_>, caller: &Caller) -> Counterparts {
        self.counterparts(recipient, Side::Recipient, caller)
    }

    /// Explains why a pair is visible or not.
    pub fn explain(&self, sender: UserId<'_>, recipient: UserId<'_>) -> Explanation {
        explain(&self.policy, &self.snapshot, sender, recipient)
    }

    /// Compares answers with a slow and simple evaluation of the policy's text, on at most
    /// `pairs` pairs. If there are more, `seed` selects a random sample.
    pub fn verify(&self, pairs: u64, seed: u64) -> Verified {
        verify(&self.policy, &self.snapshot, pairs, seed)
    }

    /// Previews the changes if a [candidate](Router::candidate) replaced this router, with
    /// at most `samples` pairs of each kind.
    ///
    /// # Errors
    ///
    /// If the change is too large to report.
    pub fn plan(&self, candidate: &Self, samples: usize) -> Result<Impact, TooMuch> {
        compute_impact(
            &self.policy,
            &self.snapshot,
            &candidate.policy,
            &candidate.snapshot,
            samples,
        )
    }

    /// Returns the pairs that were gained and lost since an earlier snapshot, for callers with
    /// these [capabilities](Caller::with_capabilities).
    ///
    /// # Errors
    ///
    /// If the change is too large to report, or the snapshot belongs to another router.
    pub fn difference(
        &self,
        earlier: &Snapshot,
        capabilities: RoomCapabilities,
    ) -> Result<Difference, TooMuch> {
        Difference::between(earlier, &self.snapshot, capabilities, Budget::PLAN)
    }

    fn new((policy, engine): (Policy, Engine)) -> Self {
        let snapshot = engine.snapshot();
        Self { policy, engine, snapshot }
    }

    fn counterparts(&self, user: UserId<'_>, side: Side, caller: &Caller) -> Counterparts {
        let snapshot = self.snapshot();
        let signature = snapshot.signature(user, side, caller);
        let members = snapshot.counterparts(&signature, &CallerView::new(caller.clone()));
        let hides = snapshot.hides(&signature, &members.at_most()).into_iter();
        let hides = hides.map(|one| (one.users, one.relation.cloned(), one.hide.clone())).collect();
        Counterparts { snapshot, user: user.as_str().to_owned(), members, hides }
    }
}

// === impl Counterparts ===

impl Counterparts {
    /// Returns true if a user is one of the counterparts, and shares no room with the user.
    pub fn contains(&self, other: UserId<'_>) -> bool {
        self.contains_if(other, |_| Some(false)) == Some(true)
    }

    /// Returns true if a user is one of the counterparts. `share_room` returns true if the two
    /// users share a room that meets some conditions, and `None` if a missing fact decides it. The
    /// result is then `None` as well, unless another rule decides: show nothing.
    pub fn contains_if(
        &self,
        other: UserId<'_>,
        share_room: impl Fn(&RoomConditions) -> Option<bool>,
    ) -> Option<bool> {
        if other.as_str() == self.user {
            return Some(false);
        }
        let who = self.snapshot.users().user_ref(other);
        self.members.contains(who, |relation| relation.holds(&share_room))
    }

    /// Returns the ids of the listed counterparts, for some rooms at least, in no particular
    /// order.
    pub fn listed(&self) -> impl Iterator<Item = String> {
        let listed: RoaringBitmap = self.members.at_most().named() & self.snapshot.listed_users();
        let ids = listed.into_iter().map(|number| String::from(self.snapshot.users().id(number)));
        ids.filter(|id| *id != self.user)
    }

    /// Returns true if there may be unlisted counterparts, for some rooms at least.
    pub fn is_open(&self) -> bool {
        self.members.at_most().is_open()
    }

    /// Returns the hides that apply to the pair with another user who shares no room with the
    /// user; they add up. Empty if nothing is hidden, or if the other user is no counterpart.
    pub fn hides(&self, other: UserId<'_>) -> impl Iterator<Item = &Hide> {
        let hides = self.hides_if(other, |_| Some(false));
        let is_in = self.contains(other);
        hides.filter(move |_| is_in)
    }

    /// Returns the hides that apply to the pair with another user if the pair is visible; they add
    /// up. `share_room` is that of [`Counterparts::contains_if`]; a hide applies unless its rule
    /// certainly does not match.
    pub fn hides_if(
        &self,
        other: UserId<'_>,
        share_room: impl Fn(&RoomConditions) -> Option<bool>,
    ) -> impl Iterator<Item = &Hide> {
        let who = self.snapshot.users().user_ref(other);
        let applies = move |(users, relation, _): &&(Members, Option<Relation>, Hide)| {
            let holds = |one: &Relation| one.holds(&share_room) != Some(false);
            users.contains(who) && relation.as_ref().is_none_or(holds)
        };
        self.hides.iter().filter(applies).map(|(.., hide)| hide)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::NoFiles;

    const POLICY: &str = "
groups: { team: { directory: true } }
rules:
  - { name: team, allow: { within: team } }
  - { name: all, allow: { from: { group: team }, to: { server: example.org } } }
";

    fn id(id: &str) -> UserId<'_> {
        UserId::parse(id).unwrap()
    }

    fn join(user: &str) -> Edit<'_> {
        Edit::Join { group: "team", user: id(user) }
    }

    fn router() -> Router {
        let mut router = Router::load("policy.yaml", POLICY.as_bytes(), &NoFiles).unwrap();
        router.edit(&[join("@ann:example.org"), join("@joe:example.net")]).unwrap();
        router
    }

    #[test]
    fn answers_pairs_of_the_caller_from_both_sides() {
        let router = router();
        let [ours, theirs] = ["example.org", "else.org"].map(|name| Caller::new([name]).unwrap());
        let audience = router.audience(id("@ann:example.org"), &ours);
        assert!(audience.is_open() && audience.contains(id("@met-never:example.org")));
        assert!(!audience.contains(id("@ann:example.org")), "nobody is their own counterpart");
        assert_eq!(audience.listed().collect::<Vec<_>>(), ["@joe:example.net"]);
        let interest = router.interest(id("@joe:example.net"), &ours);
        assert!(!interest.is_open() && interest.contains(id("@ann:example.org")));
        assert!(router.is_visible(id("@ann:example.org"), id("@joe:example.net")));
        let nobody = router.audience(id("@ann:example.org"), &theirs);
        assert_eq!((nobody.listed().count(), nobody.is_open()), (0, false));
    }

    #[test]
    fn keeps_the_directory_under_another_policy() {
        let mut router = router();
        let [ann, joe] = ["@ann:example.org", "@joe:example.net"].map(id);
        let text = POLICY.replace("allow: { within", "deny: { within");
        let candidate = router.candidate("new.yaml", text.as_bytes(), &NoFiles).unwrap();
        let plan = router.plan(&candidate, 10).unwrap();
        assert_eq!((plan.lost.pairs.named, plan.gained.pairs.named), (2, 0));
        assert!(router.is_visible(ann, joe), "a candidate changes nothing");
        router.replace_policy("new.yaml", text.as_bytes(), &NoFiles).unwrap();
        assert!(!router.is_visible(ann, joe));
        assert!(router.replace_policy("bad.yaml", b"rules: 1", &NoFiles).is_err());
        assert!(
            router.is_visible(ann, id("@met-never:example.org")),
            "the previous policy stays active"
        );
    }

    #[test]
    fn verify_finds_no_counterexample() {
        let verified = router().verify(1_000_000, 0);
        assert!(verified.exhaustive && verified.counter_example.is_none(), "{verified:?}");
    }
}
