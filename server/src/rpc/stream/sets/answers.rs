//! The answers that a stream remembers: the sets of each answer, the last request that used it,
//! and the users that it belongs to.

use presence_router_proto::v1::SetExpression;

use super::SentSets;
use super::hidden::HiddenSet;
use super::relations::SentRelations;
use crate::rpc::convert;
use crate::rpc::stream::index::Index;
use crate::rpc::stream::set_table::SetId;
use presence_router_engine::unstable::routing::query::parts::Role;
use presence_router_engine::unstable::routing::query::visibility::Signature;
use presence_router_engine::unstable::routing::snapshot::keys::{ClassId, Key as _, RelationId};
use presence_router_engine::{Side, Snapshot};

/// The counterparts of a user, as the client has them. Takes 32 bytes only, since a batch may
/// use a different answer for each state.
#[derive(Debug)]
pub(in crate::rpc::stream) struct Answer {
    /// The set of the counterparts. `None` if there are none.
    pub(super) set_id: Option<SetId>,
    /// The last request that used the answer, and the answer's group in that batch.
    pub(super) used: u64,
    pub(super) group: Option<Index<BatchGroup>>,
    /// True once the answer was invalidated.
    pub(super) void: bool,
    pub(super) hides: bool,
    pub(super) made_of: Box<MadeOf>,
}

/// The sets and hides of an answer. Needed after a change, not for a batch.
#[derive(Debug, Default)]
pub(super) struct MadeOf {
    pub(super) key: Key,
    /// The sets of its hides.
    pub(super) hidden: Vec<Index<HiddenSet>>,
}

/// The identity of an answer: answers with the same key are the same answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The sets of its parts.
    pub(super) parts: Vec<SetId>,
    /// The role of each part, and of everyone (`None`). Empty if every role is `Always`, as in
    /// most answers.
    roles: Box<[(Role, Option<SetId>)]>,
    /// Encoded `Hide` messages.
    pub(super) hides: Vec<Vec<u8>>,
    /// True if hides concern the users that the answer belongs to.
    pub(super) hides_anything: bool,
}

/// Marks indexes into the groups of a batch.
pub(in crate::rpc::stream) enum BatchGroup {}

/// Answers by class. In pages, since classes that were made together are often used together,
/// and the pages of the oldest classes may be gone for good.
#[derive(Debug, Default)]
pub(super) struct ByClass(Vec<Option<Box<Page>>>);

type Page = [Option<Index<Answer>>; PAGE];

const PAGE: usize = 1024;

// === impl Key ===

impl Key {
    /// Returns the key of an answer that is made of these sets and hides nothing.
    pub(super) fn new(roles: Vec<(Role, Option<SetId>)>, hides_anything: bool) -> Self {
        let parts = roles.iter().filter_map(|(_, id)| *id).collect();
        let is_plain = roles.iter().all(|(role, _)| *role == Role::Always);
        let roles = if is_plain { Box::default() } else { roles.into() };
        Self { parts, roles, hides: Vec::new(), hides_anything }
    }

    /// Returns the relations that the roles require.
    pub(super) fn relations(&self) -> impl Iterator<Item = RelationId> {
        self.roles.iter().filter_map(|(role, _)| match role {
            Role::Always => None,
            Role::Required(id) | Role::Excluded(id) => Some(*id),
        })
    }

    /// Writes the counterparts that the parts make.
    pub(super) fn to_expression(
        &self,
        snapshot: &Snapshot,
        relations: &SentRelations,
    ) -> SetExpression {
        if self.roles.is_empty() {
            return convert::union_of_sets(self.parts.iter().map(|id| id.get()));
        }
        let (mut sets, mut except) = (Vec::new(), Vec::new());
        for same in self.roles.chunk_by(|(a, _), (b, _)| a == b) {
            let Some((role, _)) = same.first() else { continue };
            let parts = same.iter().map(|(_, id)| match id {
                Some(id) => convert::set_reference(id.get()),
                None => convert::everyone(),
            });
            let restrict = |parts, id| relations.restrict(convert::unite(parts), id, snapshot);
            match *role {
                Role::Always => sets.extend(parts),
                Role::Required(id) => sets.extend(restrict(parts.collect(), id)),
                // A relation that is not there excludes everyone, rather than nobody.
                Role::Excluded(id) => {
                    except.push(restrict(parts.collect(), id).unwrap_or_else(convert::everyone));
                }
            }
        }
        convert::any_of_except(sets, except)
    }
}

// === impl ByClass ===

impl ByClass {
    pub(super) fn get(&self, class: ClassId) -> Option<Index<Answer>> {
        let class = class.index();
        let page = self.0.get(class / PAGE)?.as_ref()?;
        page.get(class % PAGE).copied().flatten()
    }

    pub(super) fn insert(&mut self, class: ClassId, answer: Index<Answer>) {
        let class = class.index();
        if self.0.len() <= class / PAGE {
            self.0.resize_with(class / PAGE + 1, || None);
        }
        let Some(page) = self.0.get_mut(class / PAGE) else { return };
        let page = page.get_or_insert_with(|| Box::new([None; PAGE]));
        if let Some(entry) = page.get_mut(class % PAGE) {
            *entry = Some(answer);
        }
    }

    /// Replaces each answer by the one that `now` returns, or removes it.
    pub(super) fn replace(&mut self, now: impl Fn(Index<Answer>) -> Option<Index<Answer>>) {
        for page in &mut self.0 {
            let Some(entries) = page else { continue };
            for entry in entries.iter_mut() {
                *entry = entry.and_then(&now);
            }
            // Class numbers only grow, so the pages of old classes must go.
            if entries.iter().all(Option::is_none) {
                *page = None;
            }
        }
    }
}

// === impl SentSets ===

impl SentSets {
    /// Returns the set of an answer, and its hides.
    pub(in crate::rpc::stream) fn set_and_hides(
        &self,
        index: Index<Answer>,
    ) -> (Option<SetId>, &[Vec<u8>]) {
        match self.answers.get(index.get()) {
            Some(Answer { set_id, hides: true, made_of, .. }) => (*set_id, &made_of.key.hides),
            Some(Answer { set_id, .. }) => (*set_id, &[]),
            None => (None, &[]),
        }
    }

    /// The group of an answer in the current request. `None` if the request has not used the
    /// answer yet; the answer may be void then.
    pub(in crate::rpc::stream) fn group_of_answer(
        &self,
        index: Index<Answer>,
    ) -> Option<Index<BatchGroup>> {
        let answer = self.answers.get(index.get())?;
        answer.group.filter(|_| answer.used == self.request && !answer.void)
    }

    /// Notes the group of an answer that the current request uses.
    pub(in crate::rpc::stream) fn set_group(
        &mut self,
        index: Index<Answer>,
        group: Index<BatchGroup>,
    ) {
        if let Some(answer) = self.answers.get_mut(index.get()) {
            answer.group = Some(group);
        }
    }

    /// The last answer of a signature. It may be void.
    pub(super) fn last_of_signature(
        &self,
        signature: &Signature,
        side: Side,
    ) -> Option<Index<Answer>> {
        match signature.class() {
            Some(class) => self.last_of_class(class, side),
            None => self.by_signature.get(signature).copied(),
        }
    }

    /// The last answer of a class. It may be void.
    pub(in crate::rpc::stream) fn last_of_class(
        &self,
        class: ClassId,
        side: Side,
    ) -> Option<Index<Answer>> {
        side.select(&self.by_class).get(class)
    }

    /// Marks an answer as used by the current request. Returns false if the answer is void.
    pub(in crate::rpc::stream) fn mark_used(&mut self, index: Index<Answer>) -> bool {
        let request = self.request;
        let answer = self.answers.get_mut(index.get());
        let Some(answer) = answer.filter(|answer| !answer.void) else { return false };
        if answer.used != request {
            (answer.used, answer.group) = (request, None);
        }
        true
    }

    /// Marks the answer that refers to a set as used by the current request, by the set's id in
    /// the contract's messages. Does nothing if there is no such answer. The parts and hides of
    /// a valid answer need no mark: an eviction retires only those that no answer uses.
    pub(in crate::rpc::stream) fn touch_answer(&mut self, set_id: u64) {
        if let Some(label) = self.table.label_of(set_id) {
            self.mark_used(Index::new(label.get()));
        }
    }

    pub(super) fn add_answer(
        &mut self,
        key: Key,
        set_id: Option<SetId>,
        hidden: Vec<Index<HiddenSet>>,
    ) -> Index<Answer> {
        let index = Index::new(self.answers.len());
        if let Some(set_id) = set_id {
            self.by_key.insert(key.clone(), index);
            self.table.set_label(set_id, Index::new(index.get()));
        }
        self.hidden.add_references(&hidden);
        let (used, void, hides) = (self.request, false, !key.hides.is_empty());
        let made_of = Box::new(MadeOf { key, hidden });
        self.answers.push(Answer { set_id, used, group: None, void, hides, made_of });
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_takes_32_bytes() {
        assert_eq!(size_of::<Answer>(), 32);
    }
}
