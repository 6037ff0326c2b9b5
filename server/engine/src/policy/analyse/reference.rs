//! The reference evaluator: a document, read word by word for some users. It says which
//! of them are in which of its sets, and which pairs of them its rules match.
//!
//! Without haste, and without the ruleset, numbers and classes that routing decides
//! by: explanations rest on this, and what routing decides is compared with it.

use std::collections::{BTreeMap, HashMap};

use roaring::RoaringBitmap;

use crate::policy::Policy;
use crate::policy::document::{Document, Group, Pairs, Rule, SetExpr};
use crate::routing::model::ruleset::{Effect, Hide};
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::keys::{Key, SetId};
use presence_router_ids::UserId;

/// A document, evaluated for some users. They are numbered from 0 in their order, each
/// once.
pub(super) struct ReferenceEvaluation<'d, 'u> {
    document: &'d Document,
    /// Places of the document's groups, by name.
    indices: HashMap<&'d str, usize>,
    users: Vec<&'u str>,
    numbers: HashMap<&'u str, u32>,
    /// By index: who of the users is in.
    groups: Vec<RoaringBitmap>,
}

/// Says who is in a group of the directory: by the index of the group in the document,
/// and a user.
pub(in crate::policy) type IsInDirectory<'a> = &'a dyn Fn(usize, &str) -> bool;

/// A part of a rule: every one of the senders with every one of the recipients.
pub(super) struct MatchedProduct<'d> {
    /// The group, for one of a `within`.
    pub(super) group: Option<&'d Group>,
    pub(super) senders: RoaringBitmap,
    pub(super) recipients: RoaringBitmap,
}

// === impl ReferenceEvaluation ===

impl<'d, 'u> ReferenceEvaluation<'d, 'u> {
    /// `order` has the indices of all groups, each after those it refers to, so
    /// that nothing here recurses deeper than a set is.
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
                evaluation.members(&group.members)
            };
            if let Some(entry) = evaluation.groups.get_mut(*index) {
                *entry = members;
            }
        }
        evaluation
    }

    /// The number of a user.
    pub(super) fn number(&self, user: &str) -> Option<u32> {
        self.numbers.get(user).copied()
    }

    /// The id of a number.
    pub(super) fn user(&self, number: u32) -> &'u str {
        usize::try_from(number).ok().and_then(|index| self.users.get(index)).copied().unwrap_or("")
    }

    /// A group by its name.
    pub(super) fn group(&self, name: &str) -> Option<&'d Group> {
        self.document.groups.get(*self.indices.get(name)?)
    }

    /// The users who are in a set.
    pub(super) fn members(&self, set: &SetExpr) -> RoaringBitmap {
        let numbers = |ids: &mut dyn Iterator<Item = &str>| -> RoaringBitmap {
            ids.filter_map(|id| self.number(id)).collect()
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
                any.iter().fold(RoaringBitmap::new(), |all, set| all | self.members(set))
            }
            SetExpr::AllOf(all) => {
                let mut sets = all.iter().map(|set| self.members(set));
                let first = sets.next().unwrap_or_default();
                sets.fold(first, |both, set| both & set)
            }
            SetExpr::Difference { any, except } => self.members(any) - self.members(except),
        }
    }

    /// The pairs that a rule matches.
    pub(super) fn products(&self, rule: &Rule) -> Vec<MatchedProduct<'d>> {
        match &rule.pairs {
            Pairs::Product { from, to } => {
                let (senders, recipients) = (self.members(from), self.members(to));
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

    /// By sender: who may see it. The definition: not the same user, some allow
    /// rule, and no deny rule.
    pub(super) fn audiences(&self) -> Vec<RoaringBitmap> {
        let mut allowed = vec![RoaringBitmap::new(); self.users.len()];
        let mut denied = allowed.clone();
        self.each_row(|effect, sender, recipients| {
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

    /// By sender: what is hidden of it, and from whom in its audience. The
    /// definition: the pair is visible, and a hide rule matches it; those of
    /// several rules add up.
    pub(super) fn hides(
        &self,
        audiences: &[RoaringBitmap],
    ) -> Vec<BTreeMap<&'d Hide, RoaringBitmap>> {
        let mut hides = vec![BTreeMap::new(); self.users.len()];
        self.each_row(|effect, sender, recipients| {
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

    /// Calls back for each sender of each rule that takes part, with the
    /// recipients across.
    fn each_row(&self, mut row: impl FnMut(&'d Effect, usize, &RoaringBitmap)) {
        for rule in self.document.rules.iter().filter(|rule| !rule.shadow) {
            for product in self.products(rule) {
                for sender in product.senders.iter().filter_map(|at| usize::try_from(at).ok()) {
                    row(&rule.effect, sender, &product.recipients);
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

/// The server of a user.
pub(super) fn server_of(user: &str) -> &str {
    UserId::parse(user).map_or("", UserId::server)
}

/// The members of the directory's groups, as a snapshot of the policy has them.
pub(super) fn directory_of<'s>(
    policy: &Policy,
    snapshot: &'s Snapshot,
) -> impl Fn(usize, &str) -> bool + use<'s> {
    // Groups of a ruleset are its first sets, by their numbers.
    let numbers: HashMap<usize, usize> = policy.groups.iter().copied().zip(0..).collect();
    move |index, user| {
        let number = numbers.get(&index);
        let set = number.and_then(|number| snapshot.set(SetId::from_index(*number)));
        let who = UserId::parse(user).map(|user| snapshot.users().user_ref(user));
        set.zip(who.ok()).is_some_and(|(set, who)| set.contains(who))
    }
}
