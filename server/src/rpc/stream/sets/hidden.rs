//! Sets of hides: the recipients or senders, among the counterparts of an answer, that a hide
//! applies to. Answers with the same set share it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{Definer, OverBudget, SentSet, SentSets};
use crate::rpc::stream::index::Index;
use crate::rpc::stream::set_table::SetId;
use presence_router_engine::unstable::routing::snapshot::members::Members;

/// The sets of hides that the stream has sent.
#[derive(Debug, Default)]
pub(super) struct HiddenSets {
    sets: Vec<Option<HiddenSet>>,
    /// The free indexes of `sets`.
    free: Vec<Index<HiddenSet>>,
    /// The sets with each fingerprint.
    by_fingerprint: HashMap<Fingerprint, Vec<Index<HiddenSet>>>,
}

#[derive(Debug)]
pub(super) struct HiddenSet {
    members: Members,
    sent: SentSet,
    /// The number of answers that use the set.
    answers: u32,
}

/// A cheap hash of members: the number of listed ones, and the first listed one.
type Fingerprint = (u64, Option<u32>);

// === impl HiddenSets ===

impl HiddenSets {
    /// Notes that an answer uses these sets.
    pub(super) fn add_references(&mut self, indexes: &[Index<HiddenSet>]) {
        for index in indexes {
            if let Some(set) = self.get_mut(*index) {
                set.answers += 1;
            }
        }
    }

    /// Notes that an answer no longer uses these sets. Forgets and returns the sets that neither
    /// an answer nor the current request uses.
    pub(super) fn release_sets(
        &mut self,
        indexes: &[Index<HiddenSet>],
        request: u64,
    ) -> Vec<SentSet> {
        for index in indexes {
            if let Some(set) = self.get_mut(*index) {
                set.answers -= 1;
            }
        }
        let is_unused =
            |this: &mut Self, index| this.get_mut(index).is_some_and(|set| set.is_unused(request));
        indexes
            .iter()
            .filter_map(|index| is_unused(self, *index).then(|| self.forget_set(*index))?)
            .collect()
    }

    /// Forgets and returns the sets that no answer uses, except those of the current request.
    pub(super) fn take_unused(&mut self, request: u64) -> Vec<SentSet> {
        let unused = (0..)
            .zip(&self.sets)
            .filter(|(_, set)| set.as_ref().is_some_and(|set| set.is_unused(request)));
        let unused: Vec<_> = unused.map(|(index, _)| Index::new(index)).collect();
        unused.into_iter().filter_map(|index| self.forget_set(index)).collect()
    }

    fn forget_set(&mut self, index: Index<HiddenSet>) -> Option<SentSet> {
        let set = self.sets.get_mut(index.get())?.take()?;
        if let Entry::Occupied(mut same) =
            self.by_fingerprint.entry(fingerprint_members(&set.members))
        {
            same.get_mut().retain(|other| *other != index);
            if same.get().is_empty() {
                same.remove();
            }
        }
        self.free.push(index);
        Some(set.sent)
    }

    fn find_set(&mut self, members: &Members, request: u64) -> Option<(Index<HiddenSet>, SetId)> {
        let indexes = self.by_fingerprint.get(&fingerprint_members(members))?;
        let has_members = |index: &Index<HiddenSet>| {
            let set = self.sets.get(index.get()).and_then(Option::as_ref);
            set.is_some_and(|set| set.members == *members)
        };
        let index = indexes.iter().copied().find(has_members)?;
        let set = self.get_mut(index)?;
        set.sent.used = request;
        Some((index, set.sent.id))
    }

    fn add_set(&mut self, members: Members, sent: SentSet) -> Index<HiddenSet> {
        let index = self.free.pop().unwrap_or_else(|| Index::new(self.sets.len()));
        self.by_fingerprint.entry(fingerprint_members(&members)).or_default().push(index);
        let set = Some(HiddenSet { members, sent, answers: 0 });
        match self.sets.get_mut(index.get()) {
            Some(free) => *free = set,
            None => self.sets.push(set),
        }
        index
    }

    fn get_mut(&mut self, index: Index<HiddenSet>) -> Option<&mut HiddenSet> {
        self.sets.get_mut(index.get())?.as_mut()
    }

    /// The number of sets that memory is reserved for, including free ones.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.sets.len()
    }
}

fn fingerprint_members(members: &Members) -> Fingerprint {
    (members.named().len(), members.named().min())
}

// === impl HiddenSet ===

impl HiddenSet {
    fn is_unused(&self, request: u64) -> bool {
        self.answers == 0 && self.sent.used < request
    }
}

// === impl SentSets ===

impl SentSets {
    /// Returns the set of a hide: its index in `hidden`, and its id. Defines the set if the
    /// client does not have it.
    pub(super) fn hidden_set(
        &mut self,
        members: Members,
        definer: &mut Definer<'_>,
    ) -> Result<(Index<HiddenSet>, SetId), OverBudget> {
        if let Some(known) = self.hidden.find_set(&members, self.request) {
            return Ok(known);
        }
        let sent = self.define_set(&members, definer)?;
        Ok((self.hidden.add_set(members, sent), sent.id))
    }
}
