//! One policy and the members of its directory's groups, behind the questions that an
//! embedder asks.
//!
//! Everything here is made of `policy` and `routing`, which the daemon uses directly. It
//! knows no caches and no streams.

use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::policy::analyse::explain::{Explanation, explain};
use crate::policy::analyse::impact::{Impact, plan};
use crate::policy::analyse::verify::{Verified, verify};
use crate::policy::problem::Problems;
use crate::policy::{Files, Policy};
use crate::routing::change::difference::{Budget, Difference, TooMuch};
use crate::routing::engine::{Edit, EditError, Engine};
use crate::routing::model::caller::Caller;
use crate::routing::model::ruleset::Hide;
use crate::routing::model::side::Side;
use crate::routing::query::visibility::CallerView;
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::members::{Members, Open};
use presence_router_ids::UserId;

/// Decides who may see whose presence, by one policy.
///
/// Groups with `directory: true` begin empty, and are filled by [`Router::edit`].
#[derive(Debug)]
pub struct Router {
    policy: Policy,
    engine: Engine,
    /// The engine's, as it is now.
    snapshot: Arc<Snapshot>,
}

/// The audience or the interest of a user: those whom its pairs are with, at one moment.
///
/// It may hold users whom neither policy nor directory lists, such as all users of a
/// server. The user itself is never in it.
#[derive(Clone, Debug)]
pub struct Counterparts {
    snapshot: Arc<Snapshot>,
    /// The user's id.
    user: String,
    members: Members,
    hides: Vec<(Members, Hide)>,
}

// === impl Router ===

impl Router {
    /// Reads and checks a policy, and runs its tests. `file` is its name in messages.
    ///
    /// # Errors
    ///
    /// All problems of the policy, each with its position; or all of its tests that
    /// fail.
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

    /// Decides by another policy from here on, over the same members of the directory's
    /// groups. Members of groups that the other policy does not have are forgotten.
    ///
    /// # Errors
    ///
    /// As [`Router::load`]. The policy before it stays.
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
    /// A group is not one that the directory fills, or there is no number left for a
    /// user.
    pub fn edit(&mut self, edits: &[Edit<'_>]) -> Result<(), EditError> {
        self.engine.edit(edits)?;
        self.snapshot = self.engine.snapshot();
        Ok(())
    }

    /// The policy, as it was written and as it was resolved.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Everything that answers are computed from, as it is now. It never changes, and
    /// costs little to keep.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    /// Whether the recipient may see the sender.
    pub fn is_visible(&self, sender: UserId<'_>, recipient: UserId<'_>) -> bool {
        self.snapshot.visible(sender, recipient)
    }

    /// The recipients who may see a sender, as far as that concerns a caller: pairs with
    /// at least one user on the caller's servers.
    pub fn audience(&self, sender: UserId<'_>, caller: &Caller) -> Counterparts {
        self.counterparts(sender, Side::Sender, caller)
    }

    /// The senders whom a recipient may see, as far as that concerns a caller: pairs with
    /// at least one user on the caller's servers.
    pub fn interest(&self, recipient: UserId<'_>, caller: &Caller) -> Counterparts {
        self.counterparts(recipient, Side::Recipient, caller)
    }

    /// Explains why a pair is visible or not.
    pub fn explain(&self, sender: UserId<'_>, recipient: UserId<'_>) -> Explanation {
        explain(&self.policy, &self.snapshot, sender, recipient)
    }

    /// Compares answers with a slow and simple evaluation of the policy's text, on at
    /// most `pairs` pairs; where there are more, they are drawn by `seed`.
    pub fn verify(&self, pairs: u64, seed: u64) -> Verified {
        verify(&self.policy, &self.snapshot, pairs, seed)
    }

    /// Finds what would change if a [candidate](Router::candidate) took this one's place.
    /// Of each kind at most `samples` pairs are named.
    ///
    /// # Errors
    ///
    /// It is too much to tell.
    pub fn plan(&self, candidate: &Self, samples: usize) -> Result<Impact, TooMuch> {
        plan(&self.policy, &self.snapshot, &candidate.policy, &candidate.snapshot, samples)
    }

    /// Finds the pairs that are gained and lost since an earlier snapshot.
    ///
    /// # Errors
    ///
    /// It is too much to tell, or the snapshot is of another router.
    pub fn difference(&self, earlier: &Snapshot) -> Result<Difference, TooMuch> {
        Difference::between(earlier, &self.snapshot, Budget::PLAN)
    }

    fn new((policy, engine): (Policy, Engine)) -> Self {
        let snapshot = engine.snapshot();
        Self { policy, engine, snapshot }
    }

    fn counterparts(&self, user: UserId<'_>, side: Side, caller: &Caller) -> Counterparts {
        let snapshot = self.snapshot();
        let signature = snapshot.signature(user, side, caller);
        let members = snapshot.counterparts(&signature, &CallerView::new(caller.clone()));
        let hides = snapshot.hides(&signature, &members).into_iter();
        let hides = hides.map(|(users, hide)| (users, hide.clone())).collect();
        Counterparts { snapshot, user: user.as_str().to_owned(), members, hides }
    }
}

// === impl Counterparts ===

impl Counterparts {
    /// Whether a user is in.
    pub fn contains(&self, other: UserId<'_>) -> bool {
        other.as_str() != self.user && self.members.contains(self.snapshot.users().user_ref(other))
    }

    /// The ids of the users in it whom policy or directory list, in no meaningful order.
    pub fn listed(&self) -> impl Iterator<Item = String> {
        let listed: RoaringBitmap = self.members.named() & self.snapshot.listed_users();
        let ids = listed.into_iter().map(|number| String::from(self.snapshot.users().id(number)));
        ids.filter(|id| *id != self.user)
    }

    /// Whether unlisted users may be in it.
    pub fn is_open(&self) -> bool {
        *self.members.open() != Open::Nobody
    }

    /// What is hidden of the pair with another user, if that is in: all that any of these
    /// hides. Empty: nothing.
    pub fn hides(&self, other: UserId<'_>) -> impl Iterator<Item = &Hide> {
        let who = self.snapshot.users().user_ref(other);
        let is_in = self.contains(other);
        let hides = self.hides.iter().filter(move |(users, _)| is_in && users.contains(who));
        hides.map(|(_, hide)| hide)
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
    fn answers_from_both_sides_what_concerns_the_caller() {
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
        assert!(router.is_visible(ann, id("@met-never:example.org")), "the one before it stays");
    }

    #[test]
    fn finds_nothing_to_object_to() {
        let verified = router().verify(1_000_000, 0);
        assert!(verified.exhaustive && verified.counter_example.is_none(), "{verified:?}");
    }
}
