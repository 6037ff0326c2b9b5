//! The room-mates that the rules' relations depend on: one set for each relation, which the client
//! evaluates for the user of each answer. A relation may have many conditions, so answers and
//! hides refer to its set.

use std::sync::Arc;

use presence_router_proto::v1::SetExpression;

use super::{Definer, Map, OverBudget, SentSets};
use crate::rpc::convert;
use crate::rpc::stream::set_table::{SetId, expression_bytes};
use presence_router_engine::Snapshot;
use presence_router_engine::unstable::routing::snapshot::keys::RelationId;

/// The sets of the relations that the stream has sent.
#[derive(Debug, Default)]
pub(super) struct SentRelations(Map<RelationId, SentRelation>);

#[derive(Debug)]
struct SentRelation {
    /// The set of the room-mates.
    mates: SetId,
    /// The last request that used the set.
    used: u64,
}

// === impl SentRelations ===

impl SentRelations {
    /// Writes the users of a set for whom a relation holds. Returns `None` if the client does not
    /// have the relation.
    pub(super) fn restrict(
        &self,
        set: SetExpression,
        relation: RelationId,
        snapshot: &Snapshot,
    ) -> Option<SetExpression> {
        let mates = convert::set_reference(self.0.get(&relation)?.mates.get());
        Some(convert::restrict_to_mates(set, snapshot.relation(relation)?, mates))
    }

    /// Forgets and returns the sets that are not referred to, except those of the current request.
    pub(super) fn take_unused(
        &mut self,
        request: u64,
        is_referred: impl Fn(SetId) -> bool,
    ) -> Vec<SetId> {
        let is_unused = |sent: &mut SentRelation| sent.used < request && !is_referred(sent.mates);
        self.0.extract_if(|_, sent| is_unused(sent)).map(|(_, sent)| sent.mates).collect()
    }

    /// Forgets and returns all sets.
    pub(super) fn take_all(&mut self) -> Vec<SetId> {
        std::mem::take(&mut self.0).into_values().map(|sent| sent.mates).collect()
    }
}

// === impl SentSets ===

impl SentSets {
    /// Returns the set of a relation, and defines it if the client does not have it. `None` if
    /// there is no such relation.
    pub(super) fn define_relation(
        &mut self,
        relation: RelationId,
        definer: &mut Definer<'_>,
    ) -> Result<Option<SetId>, OverBudget> {
        if let Some(sent) = self.relations.0.get_mut(&relation) {
            sent.used = self.request;
            return Ok(Some(sent.mates));
        }
        let Some(relation_of_rule) = definer.snapshot.relation(relation).map(Arc::as_ref) else {
            return Ok(None);
        };
        let expression = convert::room_mates_of(relation_of_rule);
        self.evict_until_fits(expression_bytes(&expression), definer.out)?;
        let mates = self.table.define_expression(&expression, Vec::new(), definer.out);
        let used = self.request;
        self.relations.0.insert(relation, SentRelation { mates, used });
        Ok(Some(mates))
    }
}
