//! Identifies the contents of sets across two snapshots: two sets have the same content id if
//! they have the same members.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::routing::model::ruleset::Relation;
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::keys::{SetId, UserNumber};
use crate::routing::snapshot::members::{Fingerprint, Members};
use crate::routing::snapshot::rule_index::Across;
use presence_router_ids::RoomCapabilities;

/// The id of a set's contents, among all contents in a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ContentId(u32);

/// Assigns an id to each content of a set, the same for both snapshots.
#[derive(Default)]
pub(super) struct Contents {
    known: HashMap<Fingerprint, Vec<(ContentId, Arc<Members>)>>,
    count: u32,
}

/// Products by kind and by the contents of their sides.
pub(super) type Products<'s> = BTreeMap<(Kind<'s>, [ContentId; 2]), [SetId; 2]>;

/// The effect of products (true: allow), and the relation that their rules require. A user's
/// counterparts depend on the products of each kind by itself.
pub(super) type Kind<'s> = (bool, Option<&'s Relation>);

// === impl Contents ===

impl Contents {
    /// Returns the products of a snapshot's rules, for callers with these capabilities. Users with
    /// numbers from `first` on are not in the earlier snapshot.
    pub(super) fn products<'s>(
        &mut self,
        snapshot: &'s Snapshot,
        first: UserNumber,
        capabilities: RoomCapabilities,
    ) -> Products<'s> {
        let mut of_set: HashMap<SetId, ContentId> = HashMap::new();
        let mut content = |id: SetId| {
            *of_set.entry(id).or_insert_with(|| {
                self.id_of(&snapshot.set(id).cloned().unwrap_or_default(), first)
            })
        };
        let products = snapshot.deciding_products(capabilities);
        let products = products.map(|(allows, senders, Across { set, relation })| {
            let relation = relation.and_then(|id| snapshot.relation(id)).map(|one| &**one);
            ((allows, relation), [senders, set])
        });
        products.map(|(kind, sides)| ((kind, sides.map(&mut content)), sides)).collect()
    }

    fn id_of(&mut self, members: &Arc<Members>, first: UserNumber) -> ContentId {
        let known = self.known.entry(members.fingerprint(first)).or_default();
        let is_same = |one: &Arc<Members>| {
            Arc::ptr_eq(one, members)
                || one.is_same_with_more_users(first, members)
                || one == members
        };
        if let Some((id, _)) = known.iter().find(|(_, one)| is_same(one)) {
            return *id;
        }
        let id = ContentId(self.count);
        self.count += 1;
        known.push((id, Arc::clone(members)));
        id
    }
}
