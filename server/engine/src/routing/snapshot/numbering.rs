//! The sets of a ruleset, each once: its groups by number, then every other set that a rule
//! names as a side. This module knows nothing of members.

use std::collections::{BTreeSet, HashMap};

use super::keys::{Key, SetId};
use crate::routing::model::ruleset::{Ruleset, Set};
use presence_router_ids::UserId;

/// Assigns ids to the sets of a ruleset.
#[derive(Default)]
pub(in crate::routing) struct Numbering<'p> {
    /// The sets, in the order of their ids.
    pub(in crate::routing) sets: Vec<&'p Set>,
    ids: HashMap<&'p Set, SetId>,
}

// === impl Numbering ===

impl<'p> Numbering<'p> {
    pub(in crate::routing) fn new(ruleset: &'p Ruleset) -> Self {
        // Groups keep their numbers, so a reference is an id.
        let mut numbering = Self { sets: ruleset.groups.iter().collect(), ids: HashMap::new() };
        for product in ruleset.rules.iter().flat_map(|rule| &rule.products) {
            numbering.id_of_set(&product.senders);
            numbering.id_of_set(&product.recipients);
        }
        numbering
    }

    /// Returns the id of a set. Equal expressions have the same id.
    pub(in crate::routing) fn id_of_set(&mut self, set: &'p Set) -> SetId {
        if let Set::Group(group) = set {
            return SetId::from_index(*group);
        }
        let next = SetId::from_index(self.sets.len());
        *self.ids.entry(set).or_insert_with(|| {
            self.sets.push(set);
            next
        })
    }

    /// Returns the users whom the sets name, sorted. Ignores texts that are not ids, because no
    /// user can have them.
    pub(in crate::routing) fn named_users(&self) -> Vec<UserId<'p>> {
        let mut users = Vec::new();
        let mut rest = self.sets.clone();
        while let Some(set) = rest.pop() {
            match set {
                Set::Users(ids) => users.extend(ids.iter().filter_map(|id| UserId::parse(id).ok())),
                Set::Union(sets) | Set::Intersection(sets) => rest.extend(sets),
                Set::Difference(any, except) => rest.extend([&**any, &**except]),
                Set::Everyone
                | Set::Server(_)
                | Set::Match(_)
                | Set::Group(_)
                | Set::Directory(_) => {}
            }
        }
        users.sort_unstable_by_key(|user| user.as_str());
        users.dedup_by_key(|user| user.as_str());
        users
    }

    /// Returns the servers that the sets name in full, sorted.
    pub(in crate::routing) fn named_servers(&self) -> BTreeSet<&'p str> {
        let mut servers = BTreeSet::new();
        let mut rest = self.sets.clone();
        while let Some(set) = rest.pop() {
            match set {
                Set::Server(glob) if glob.is_literal() => {
                    servers.insert(glob.as_str());
                }
                Set::Match(pattern) if pattern.server().is_literal() => {
                    servers.insert(pattern.server().as_str());
                }
                Set::Union(sets) | Set::Intersection(sets) => rest.extend(sets),
                Set::Difference(any, except) => rest.extend([&**any, &**except]),
                _ => {}
            }
        }
        servers
    }
}
