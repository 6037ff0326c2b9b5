//! The reference evaluator: evaluates a document word by word for some users. It determines
//! the members of each set among these users, and the pairs that each rule matches.
//!
//! It is slow, and does not use the ruleset, numbers and classes of routing: explanations
//! build on it, and `verify` compares the decisions of routing with it.

use std::collections::{BTreeMap, HashMap};

use roaring::RoaringBitmap;

use crate::policy::Policy;
use crate::policy::document::{Document, Group, Pairs, Rule, SetExpr};
use crate::routing::model::ruleset::{Effect, Hide, Relation};
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::keys::{Key, SetId};
use presence_router_ids::UserId;

/// A document, evaluated for some users. The users have numbers from 0 in their order, each
/// user once.
pub(super) struct ReferenceEvaluation<'d, 'u> {
    document: &'d Document,
    /// Indices of the document's groups, by name.
    indices: HashMap<&'d str, usize>,
    users: Vec<&'u str>,
    numbers: HashMap<&'u str, u32>,
    /// By index of a group: its members among the users.
    groups: Vec<RoaringBitmap>,
}

/// Returns true if a group of the directory, given by its index in the document, contains a
/// user.
pub(in crate::policy) type IsInDirectory<'a> = &'a dyn Fn(usize, &str) -> bool;

/// Returns true if a relation holds between two users, and `None` if that is unknown.
pub(super) type EvaluateRelation<'a> = &'a dyn Fn(&Relation, [&str; 2]) -> Option<bool>;

/// A part of a rule: every sender with every recipient.
pub(super) struct MatchedProduct<'d> {
    /// The group, for a product of a `within`.
    pub(super) group: Option<&'d Group>,
    pub(super) senders: RoaringBitmap,
    pub(super) recipients: RoaringBitmap,
}

// === impl ReferenceEvaluation ===

impl<'d, 'u> ReferenceEvaluation<'d, 'u> {
    /// `order` has the indices of all groups, each after the groups that it refers to, so
    /// that no function here recurses deeper than one set.
    pub(super) fn new(
        document: &'d Document,
        order: &[usize],
        users: impl IntoIterator<Item = &'u str>,
        directory: IsInDirectory<'_>,
    ) -> Self {
        let mut evaluation = Self {
            document,
            indices: document.groups.iter().map(|group| group.name.as_str()).zip(0..).collect(),
            users: Vec::new(),
            numbers: HashMap::new(),
            groups: vec![RoaringBitmap::new(); document.groups.len()],
        };
        for user in users {
            let next = u32::try_from(evaluation.users.len()).unwrap_or(u32::MAX);
            if *evaluation.numbers.entry(user).or_insert(next) == next {
                evaluation.users.push(user);
            }
        }
        for index in order {
            let Some(group) = document.groups.get(*index) else { continue };
            let members = if group.directory {
                evaluation.users_where(|user| directory(*index, user))
            } else {
                evaluation.members_of(&group.members)
            };
            if let Some(entry) = evaluation.groups.get_mut(*index) {
                *entry = members;
            }
        }
        evaluation
    }

    /// Returns the number of a user.
    pub(super) fn number_of(&self, user: &str) -> Option<u32> {
        self.numbers.get(user).copied()
    }

    /// Returns the id of the user with a number.
    pub(super) fn user_id(&self, number: u32) -> &'u str {
        usize::try_from(number).ok().and_then(|index| self.users.get(index)).copied().unwrap_or("")
    }

    /// Returns the group with a name.
    pub(super) fn group_named(&self, name: &str) -> Option<&'d Group> {
        self.document.groups.get(*self.indices.get(name)?)
    }

    /// Returns the users who are in a set.
    pub(super) fn members_of(&self, set: &SetExpr) -> RoaringBitmap {
        let numbers = |ids: &mut dyn Iterator<Item = &str>| -> RoaringBitmap {
            ids.filter_map(|id| self.number_of(id)).collect()
        };
        match set {
            SetExpr::User(user) => numbers(&mut std::iter::once(user.id.as_str())),
            SetExpr::Members { ids, .. } => numbers(&mut ids.iter()),
            SetExpr::Everyone => self.users_where(|_| true),
            SetExpr::Server(globs) => self.users_where(|user| {
                let server = server_of(user);
                globs.iter().any(|glob| glob.matches(server))
            }),
            SetExpr::Match(patterns) => {
                self.users_where(|user| patterns.iter().any(|pattern| pattern.matches(user)))
            }
            SetExpr::Group { name, .. } => self.members_of_group(name),
            SetExpr::Union(any) => {
                any.iter().fold(RoaringBitmap::new(), |all, set| all | self.members_of(set))
            }
            SetExpr::AllOf(all) => {
                let mut sets = all.iter().map(|set| self.members_of(set));
                let first = sets.next().unwrap_or_default();
                sets.fold(first, |both, set| both & set)
            }
            SetExpr::Difference { any, except } => self.members_of(any) - self.members_of(except),
        }
    }

    /// Returns the pairs that a rule matches.
    pub(super) fn products_of(&self, rule: &Rule) -> Vec<MatchedProduct<'d>> {
        match &rule.pairs {
            Pairs::Product { from, to } => {
                let (senders, recipients) = (self.members_of(from), self.members_of(to));
                vec![MatchedProduct { group: None, senders, recipients }]
            }
            Pairs::Within { groups: glob, .. } => {
                let groups = self.document.groups.iter().zip(&self.groups);
                let matching = groups.filter(|(group, _)| glob.matches(&group.name));
                let product = |(group, members): (&'d Group, &RoaringBitmap)| MatchedProduct {
                    group: Some(group),
                    senders: members.clone(),
                    recipients: members.clone(),
                };
                matching.map(product).collect()
            }
        }
    }

    /// Returns the recipients who may see each sender, if `holds` evaluates relations. The
    /// definition: not the same user, some allow rule, and no deny rule.
    pub(super) fn audiences_by_sender(&self, holds: EvaluateRelation<'_>) -> Vec<RoaringBitmap> {
        let mut allowed = vec![RoaringBitmap::new(); self.users.len()];
        let mut denied = allowed.clone();
        self.each_row(holds, |effect, sender, recipients| {
            let rows = match effect {
                Effect::Allow => &mut allowed,
                Effect::Deny => &mut denied,
                Effect::Hide(_) => return,
            };
            if let Some(row) = rows.get_mut(sender) {
                *row |= recipients;
            }
        });
        for (own, (row, denied)) in (0..).zip(allowed.iter_mut().zip(&denied)) {
            *row -= denied;
            row.remove(own);
        }
        allowed
    }

    /// Returns the hides of each sender, each with its recipients in the audience. The
    /// definition: the pair is visible, and a hide rule matches it; the hides of several
    /// rules add up.
    pub(super) fn hides_by_sender(
        &self,
        audiences: &[RoaringBitmap],
        holds: EvaluateRelation<'_>,
    ) -> Vec<BTreeMap<&'d Hide, RoaringBitmap>> {
        let mut hides = vec![BTreeMap::new(); self.users.len()];
        self.each_row(holds, |effect, sender, recipients| {
            if let (Effect::Hide(hide), Some(audience), Some(row)) =
                (effect, audiences.get(sender), hides.get_mut(sender))
            {
                let hidden = recipients & audience;
                if !hidden.is_empty() {
                    *row.entry(hide).or_insert_with(RoaringBitmap::new) |= hidden;
                }
            }
        });
        hides
    }

    /// Calls back for each sender of each rule that takes part, with those recipients across who
    /// have the rule's relation to the sender. An unknown relation does not hold for an allow rule,
    /// and holds for others.
    fn each_row(
        &self,
        holds: EvaluateRelation<'_>,
        mut row: impl FnMut(&'d Effect, usize, &RoaringBitmap),
    ) {
        for rule in self.document.rules.iter().filter(|rule| !rule.shadow) {
            let otherwise = rule.effect != Effect::Allow;
            for product in self.products_of(rule) {
                for sender in &product.senders {
                    let Ok(index) = usize::try_from(sender) else { continue };
                    let Some(relation) = &rule.relation else {
                        row(&rule.effect, index, &product.recipients);
                        continue;
                    };
                    let matches = |recipient: &u32| {
                        let pair = [sender, *recipient].map(|user| self.user_id(user));
                        holds(relation, pair).unwrap_or(otherwise)
                    };
                    let recipients = product.recipients.iter().filter(matches).collect();
                    row(&rule.effect, index, &recipients);
                }
            }
        }
    }

    fn members_of_group(&self, group: &str) -> RoaringBitmap {
        let index = self.indices.get(group);
        index.and_then(|index| self.groups.get(*index)).cloned().unwrap_or_default()
    }

    fn users_where(&self, is_in: impl Fn(&str) -> bool) -> RoaringBitmap {
        let users = (0..).zip(&self.users).filter(|(_, user)| is_in(user));
        users.map(|(number, _)| number).collect()
    }
}

/// Returns the server of a user.
pub(super) fn server_of(user: &str) -> &str {
    UserId::parse(user).map_or("", UserId::server)
}

/// Returns the membership in the directory's groups, by a snapshot of the policy.
pub(super) fn directory_of<'s>(
    policy: &Policy,
    snapshot: &'s Snapshot,
) -> impl Fn(usize, &str) -> bool + use<'s> {
    // The groups of a ruleset are its first sets, in the order of their numbers.
    let numbers: HashMap<usize, usize> = policy.groups.iter().copied().zip(0..).collect();
    move |index, user| {
        let number = numbers.get(&index);
        let set = number.and_then(|number| snapshot.set(SetId::from_index(*number)));
        let user = UserId::parse(user).map(|user| snapshot.users().user_ref(user));
        set.zip(user.ok()).is_some_and(|(set, user)| set.contains(user))
    }
}
