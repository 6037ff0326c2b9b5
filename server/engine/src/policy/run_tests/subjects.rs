//! The subjects of a test: every member of a set that lists its members.

use std::collections::{BTreeSet, HashMap};

use crate::policy::Policy;
use crate::policy::document::SetExpr;
use crate::policy::resolve::open_groups::OpenGroups;
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::keys::{Key, SetId};
use presence_router_ids::UserId;

/// Finds members of sets in a snapshot of a policy.
pub(super) struct Subjects<'p> {
    snapshot: &'p Snapshot,
    /// The groups of the ruleset, by name.
    groups: HashMap<&'p str, SetId>,
    open: OpenGroups<'p>,
}

// === impl Subjects ===

impl<'p> Subjects<'p> {
    /// `snapshot` is one of the policy's, possibly with members that tests give.
    pub(super) fn new(policy: &'p Policy, snapshot: &'p Snapshot) -> Self {
        let groups = policy.groups.iter().enumerate().filter_map(|(number, index)| {
            let name = policy.document.groups.get(*index)?.name.as_str();
            Some((name, SetId::from_index(number)))
        });
        let open = OpenGroups::new(&policy.document, &policy.groups);
        Self { snapshot, groups: groups.collect(), open }
    }

    /// Returns the members of a set that is not open.
    pub(super) fn members_of(&self, set: &SetExpr) -> BTreeSet<String> {
        match set {
            SetExpr::User(user) => BTreeSet::from([user.id.clone()]),
            SetExpr::Members { ids, .. } => ids.iter().map(str::to_owned).collect(),
            SetExpr::Group { name, .. } => {
                let user_table = self.snapshot.users();
                let group = self.groups.get(name.as_str()).and_then(|id| self.snapshot.set(*id));
                let users = group.into_iter().flat_map(|group| group.named());
                user_table.ids(users).map(String::from).collect()
            }
            SetExpr::Union(sets) => sets.iter().flat_map(|set| self.members_of(set)).collect(),
            SetExpr::AllOf(sets) => {
                let list = sets.iter().find(|set| !self.open.is_open(set));
                let mut users = list.map(|set| self.members_of(set)).unwrap_or_default();
                users.retain(|user| sets.iter().all(|set| self.set_contains(set, user)));
                users
            }
            SetExpr::Difference { any, except } => {
                let mut users = self.members_of(any);
                users.retain(|user| !self.set_contains(except, user));
                users
            }
            // Not reached: these sets are open.
            SetExpr::Everyone | SetExpr::Server(_) | SetExpr::Match(_) => BTreeSet::new(),
        }
    }

    fn set_contains(&self, set: &SetExpr, user: &str) -> bool {
        let Ok(id) = UserId::parse(user) else { return false };
        match set {
            SetExpr::User(named) => named.id == user,
            SetExpr::Members { ids, .. } => ids.iter().any(|id| id == user),
            SetExpr::Everyone => true,
            SetExpr::Server(globs) => globs.iter().any(|glob| glob.matches(id.server())),
            SetExpr::Match(patterns) => patterns.iter().any(|pattern| pattern.matches(user)),
            SetExpr::Group { name, .. } => {
                let group = self.groups.get(name.as_str()).and_then(|id| self.snapshot.set(*id));
                group.is_some_and(|group| group.contains(self.snapshot.users().user_ref(id)))
            }
            SetExpr::Union(sets) => sets.iter().any(|set| self.set_contains(set, user)),
            SetExpr::AllOf(sets) => sets.iter().all(|set| self.set_contains(set, user)),
            SetExpr::Difference { any, except } => {
                self.set_contains(any, user) && !self.set_contains(except, user)
            }
        }
    }
}
