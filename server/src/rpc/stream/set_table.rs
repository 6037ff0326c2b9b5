//! The live sets of a stream, as the client has them: their ids, the sets that they refer to,
//! and their bytes. The table does not know the members of sets.
//!
//! `SentSets` defines sets here and keeps them within the client's budget: it asks for the
//! bytes over the budget, and retires sets until there are none.

use std::collections::HashMap;
use std::num::NonZeroU64;

use foldhash::fast::RandomState;
use presence_router_proto::v1::{SetEdit, SetExpression, SetRetired};
use presence_router_proto::wire::SetPart;
use prost::Message;

use super::index::Index;
use presence_router_engine::unstable::routing::snapshot::user_table::NamedId;

/// Most bytes of user ids, or of server names, in one message, well below the message limit of
/// clients.
pub(super) const MAX_PART_BYTES: usize = 128 * 1024;

/// A message about a set.
#[derive(Clone, Debug, PartialEq)]
pub enum SetUpdate {
    /// A set begins, or goes on.
    Part(SetPart),
    /// The users of a list change.
    Edit(SetEdit),
    /// A set ends.
    Retired(SetRetired),
}

/// Marks the labels of sets: numbers that their definer chose.
pub(super) enum Label {}

/// The id of a set that a stream defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SetId(NonZeroU64);

/// The live sets of a stream.
#[derive(Debug)]
pub(super) struct SetTable {
    /// The number of sets ever defined. Never reset, since an id is never reused.
    defined: u64,
    live: HashMap<SetId, LiveSet, RandomState>,
    /// The most bytes that may be used, and the bytes that are used.
    budget: u64,
    used: u64,
}

#[derive(Debug, Default)]
struct LiveSet {
    bytes: u64,
    /// The sets that this set refers to.
    refers_to: Vec<SetId>,
    /// The number of sets that refer to this set.
    referred: u32,
    /// The label that the definer gave the set. It takes the bytes of the padding.
    label: Option<Index<Label>>,
}

// === impl SetId ===

impl SetId {
    /// The id in the contract's messages.
    pub(super) fn get(self) -> u64 {
        self.0.get()
    }

    /// The id in a field where the contract uses 0 for "no users".
    pub(super) fn or_nobody(id: Option<Self>) -> u64 {
        id.map_or(0, Self::get)
    }
}

// === impl SetTable ===

impl SetTable {
    /// Returns a table without sets. A budget of 0 means no limit.
    pub(super) fn new(budget: u64) -> Self {
        let budget = if budget == 0 { u64::MAX } else { budget };
        Self { defined: 0, live: HashMap::default(), budget, used: 0 }
    }

    /// Forgets all sets, as the client does on `Reset`.
    pub(super) fn clear(&mut self) {
        self.live = HashMap::default();
        self.used = 0;
    }

    /// True if a set of `bytes` does not fit even alone.
    pub(super) fn exceeds_budget(&self, bytes: u64) -> bool {
        bytes > self.budget
    }

    /// The number of bytes over the budget after `bytes` more were added.
    pub(super) fn bytes_over_budget(&self, bytes: u64) -> u64 {
        self.used.saturating_add(bytes).saturating_sub(self.budget)
    }

    /// The bytes of these sets, each set counted once.
    pub(super) fn bytes_of(&self, ids: impl IntoIterator<Item = Option<SetId>>) -> u64 {
        let mut ids: Vec<SetId> = ids.into_iter().flatten().collect();
        ids.sort_unstable();
        ids.dedup();
        ids.iter().filter_map(|id| self.live.get(id)).map(|set| set.bytes).sum()
    }

    /// Labels a live set.
    pub(super) fn set_label(&mut self, id: SetId, label: Index<Label>) {
        if let Some(set) = self.live.get_mut(&id) {
            set.label = Some(label);
        }
    }

    /// Returns the label of the live set that has this id in the contract's messages. `None`
    /// if there is no such set, or it has no label.
    pub(super) fn label_of(&self, id: u64) -> Option<Index<Label>> {
        self.live.get(&SetId(NonZeroU64::new(id)?))?.label
    }

    /// Returns true if a live set refers to this set.
    pub(super) fn is_referred(&self, id: SetId) -> bool {
        self.live.get(&id).is_some_and(|set| set.referred > 0)
    }

    /// Defines a set by an expression that refers to the sets `refers_to`.
    pub(super) fn define_expression(
        &mut self,
        expression: &SetExpression,
        refers_to: Vec<SetId>,
        out: &mut Vec<SetUpdate>,
    ) -> SetId {
        for other in &refers_to {
            if let Some(other) = self.live.get_mut(other) {
                other.referred += 1;
            }
        }
        let id = self.insert(expression_bytes(expression), refers_to);
        out.push(SetUpdate::Part(SetPart::expression(id.get(), expression)));
        id
    }

    /// Defines a list of users.
    pub(super) fn define_list(&mut self, users: &[NamedId<'_>], out: &mut Vec<SetUpdate>) -> SetId {
        let id = self.insert(user_id_bytes(users), Vec::new());
        let parts = in_parts(users);
        let last = parts.len();
        for (number, users) in (1..).zip(parts) {
            let part =
                SetPart::users(id.get(), users.iter().map(|user| user.parts()), number == last);
            out.push(SetUpdate::Part(part));
        }
        id
    }

    /// Edits a list.
    pub(super) fn edit_list(
        &mut self,
        id: SetId,
        added: &[NamedId<'_>],
        removed: &[NamedId<'_>],
        out: &mut Vec<SetUpdate>,
    ) {
        if let Some(set) = self.live.get_mut(&id) {
            let (more, less) = (user_id_bytes(added), user_id_bytes(removed));
            set.bytes = (set.bytes + more).saturating_sub(less);
            self.used = (self.used + more).saturating_sub(less);
        }
        let owned = |users: &[NamedId<'_>]| users.iter().map(|user| (*user).into()).collect();
        let mut edit = |added: &[NamedId<'_>], removed: &[NamedId<'_>]| {
            let (added, removed) = (owned(added), owned(removed));
            out.push(SetUpdate::Edit(SetEdit { id: id.get(), added, removed }));
        };
        for removed in in_parts(removed).into_iter().filter(|part| !part.is_empty()) {
            edit(&[], removed);
        }
        for added in in_parts(added).into_iter().filter(|part| !part.is_empty()) {
            edit(added, &[]);
        }
    }

    /// Ends a set. No live set may refer to it.
    pub(super) fn retire_set(&mut self, id: SetId, out: &mut Vec<SetUpdate>) {
        let Some(set) = self.live.remove(&id) else { return };
        debug_assert_eq!(set.referred, 0, "a live set refers to {id:?}");
        self.used = self.used.saturating_sub(set.bytes);
        for other in set.refers_to {
            if let Some(other) = self.live.get_mut(&other) {
                other.referred -= 1;
            }
        }
        out.push(SetUpdate::Retired(SetRetired { id: id.get() }));
    }

    fn insert(&mut self, bytes: u64, refers_to: Vec<SetId>) -> SetId {
        let id = SetId(NonZeroU64::MIN.saturating_add(self.defined));
        self.defined += 1;
        self.used += bytes;
        self.live.insert(id, LiveSet { bytes, refers_to, referred: 0, label: None });
        id
    }
}

/// The bytes of an expression that count against the budget.
pub(super) fn expression_bytes(expression: &SetExpression) -> u64 {
    u64::try_from(expression.encoded_len()).unwrap_or(u64::MAX)
}

/// The bytes of a list that count against the budget.
pub(super) fn user_id_bytes(users: &[NamedId<'_>]) -> u64 {
    u64::try_from(users.iter().map(|user| user.len()).sum::<usize>()).unwrap_or(u64::MAX)
}

/// Splits ids into parts that fit a message each. Returns at least one part.
fn in_parts<'a, 'u>(mut users: &'a [NamedId<'u>]) -> Vec<&'a [NamedId<'u>]> {
    let mut parts = Vec::new();
    loop {
        let mut bytes = 0;
        let mut fits = |user: &NamedId<'_>| {
            bytes += user.len();
            bytes <= MAX_PART_BYTES
        };
        // At least one user, or the loop would not end.
        let fit = users.iter().take_while(|user| fits(user)).count().max(1);
        let (part, rest) = users.split_at_checked(fit).unwrap_or((users, &[]));
        parts.push(part);
        if rest.is_empty() {
            return parts;
        }
        users = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::convert;
    use presence_router_ids::UserId;

    #[test]
    fn a_label_takes_no_memory() {
        assert_eq!(size_of::<LiveSet>(), size_of::<(u64, Vec<SetId>, u64)>());
    }

    #[test]
    fn a_set_is_referred_to_until_the_referring_set_is_retired() {
        let (mut table, mut out) = (SetTable::new(0), Vec::new());
        let id = |text| NamedId::from(UserId::parse(text).unwrap());
        let (a, b) = (
            table.define_list(&[id("@a:x")], &mut out),
            table.define_list(&[id("@b:x")], &mut out),
        );
        let both = table.define_expression(
            &convert::union_of_sets([a, b].map(SetId::get)),
            vec![a, b],
            &mut out,
        );
        assert!(table.is_referred(a) && table.is_referred(b) && !table.is_referred(both));
        out.clear();
        table.retire_set(both, &mut out);
        assert!(!table.is_referred(a) && !table.is_referred(b));
        [a, b].into_iter().for_each(|id| table.retire_set(id, &mut out));
        assert_eq!(out, [both, a, b].map(|id| SetUpdate::Retired(SetRetired { id: id.get() })));
        assert_eq!(table.used, 0);
        assert_eq!(table.define_list(&[id("@a:x")], &mut out).get(), 4, "ids are never used again");
    }
}
