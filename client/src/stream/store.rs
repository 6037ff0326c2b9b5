//! The sets that a daemon has defined on one stream.
//!
//! The store applies definitions, edits and retirements; `resolve` evaluates the current
//! sets, and `budget` counts their bytes. A resolved set never changes: it shares lists
//! with the store until an edit, which copies the changed chunks. For any input, the store
//! stays within the budget, and evaluates sets only up to a maximum depth.

mod budget;
mod resolve;

use std::collections::{BTreeSet, HashMap, HashSet};

use presence_router_proto::ids::{RoomCapabilities, UserId};
use presence_router_proto::v1::{SetEdit, SetExpression, SetPart, SetRetired, set_part::Content};
use prost::Message;

use self::{
    budget::Budget,
    resolve::{MAX_DEPTH, MAX_STEPS, Measure},
};
use crate::{ProtocolViolation, list::List, sets::Kind};

/// Number of edited users after which expressions drop their resolved sets: each edited
/// user may keep a copy of a chunk of its list alive.
const MAX_EDITED: usize = 1000;

/// The live sets of a stream.
#[derive(Debug)]
pub(super) struct Store {
    live: HashMap<u64, Entry>,
    /// The last id. It survives a reset, since ids are never reused.
    last_id: u64,
    partial: Option<Partial>,
    /// Users that become members with the next `Changed`.
    pending: Vec<(u64, Vec<String>)>,
    budget: Budget,
    /// The parts of `share_room` that sets may depend on.
    rooms: RoomCapabilities,
    /// Number of edits so far, the clock of `changed_at` and `checked_at`.
    edits: u64,
    /// Number of edited users since expressions last dropped their resolved sets.
    edited: usize,
}

/// A list whose last part has not arrived.
#[derive(Debug)]
struct Partial {
    id: u64,
    users: Vec<String>,
}

#[derive(Debug)]
struct Entry {
    content: Stored,
    bytes: u64,
    depth: usize,
    steps: u64,
    /// Ids of the sets that this set refers to, without repeats.
    refers_to: Vec<u64>,
    /// Ids of the live sets that refer to this set.
    referrers: BTreeSet<u64>,
    /// The last edit that changed this set.
    changed_at: u64,
    /// The last edit that the resolved set takes into account.
    checked_at: u64,
}

#[derive(Debug)]
enum Stored {
    List(List),
    /// An expression, with its resolved set as of `checked_at`. Resolving is lazy, so that
    /// an edit costs nothing for sets that no answer uses. `None`: the resolved set was
    /// dropped.
    Expression(SetExpression, Option<Kind>),
}

// === impl Store ===

impl Store {
    /// Creates an empty store with a budget in bytes (0: unlimited), for a client that evaluates
    /// some parts of `share_room`.
    pub(super) fn new(budget: u64, rooms: RoomCapabilities) -> Self {
        Self {
            live: HashMap::new(),
            last_id: 0,
            partial: None,
            pending: Vec::new(),
            budget: Budget { bound: budget, used: 0 },
            rooms,
            edits: 0,
            edited: 0,
        }
    }

    /// Checks that no set is incomplete: no other message may come between its parts.
    pub(super) fn is_whole(&self) -> Result<(), ProtocolViolation> {
        match &self.partial {
            Some(partial) => Err(ProtocolViolation::SetIncomplete(partial.id)),
            None => Ok(()),
        }
    }

    pub(super) fn define_part(&mut self, part: SetPart) -> Result<(), ProtocolViolation> {
        let SetPart { id, content, last } = part;
        let partial = match self.partial.take() {
            Some(partial) if partial.id == id => Some(partial),
            Some(partial) => return Err(ProtocolViolation::SetIncomplete(partial.id)),
            None if id <= self.last_id => return Err(ProtocolViolation::IdReused(id)),
            None => None,
        };
        self.last_id = id;
        // Even an empty entry uses memory.
        let sets = u64::try_from(self.live.len()).unwrap_or(u64::MAX);
        if self.budget.bound != 0 && sets > 1024 + self.budget.bound / 8 {
            return Err(ProtocolViolation::OverBudget(self.budget.bound));
        }
        match content {
            Some(Content::Users(list)) => {
                let partial = partial.unwrap_or_else(|| Partial { id, users: Vec::new() });
                self.add_list_part(partial, list.user_ids, last)
            }
            Some(Content::Expression(_)) if partial.is_some() || !last => {
                Err(ProtocolViolation::SetIncomplete(id))
            }
            Some(Content::Expression(expression)) => self.define_expression(id, expression),
            None => Err(ProtocolViolation::SetEmpty(id)),
        }
    }

    fn add_list_part(
        &mut self,
        mut partial: Partial,
        user_ids: Vec<String>,
        last: bool,
    ) -> Result<(), ProtocolViolation> {
        for user in user_ids {
            UserId::parse(&user).map_err(|_| ProtocolViolation::UserId(partial.id))?;
            self.budget.take(user.len())?;
            partial.users.push(user);
        }
        if last {
            let bytes: usize = partial.users.iter().map(|user| user.len()).sum();
            let list = List::new(partial.users.iter());
            let kept: usize = list.iter().map(str::len).sum();
            self.budget.give_back(bytes - kept);
            self.insert_entry(partial.id, Stored::List(list), kept, Measure::default());
        } else {
            self.partial = Some(partial);
        }
        Ok(())
    }

    fn define_expression(
        &mut self,
        id: u64,
        expression: SetExpression,
    ) -> Result<(), ProtocolViolation> {
        let bytes = expression.encoded_len();
        self.budget.take(bytes)?;
        let mut measure = Measure::default();
        self.add_measure(&expression, 1, &mut measure)?;
        if measure.depth > MAX_DEPTH || measure.steps > MAX_STEPS {
            return Err(ProtocolViolation::SetTooDeep(id));
        }
        measure.refers_to.sort_unstable();
        measure.refers_to.dedup();
        for other in &measure.refers_to {
            self.refresh(*other)?;
            if let Some(other) = self.live.get_mut(other) {
                other.referrers.insert(id);
            }
        }
        // Fails if the expression cannot be evaluated.
        let kind = self.read(&expression)?;
        self.insert_entry(id, Stored::Expression(expression, Some(kind)), bytes, measure);
        Ok(())
    }

    pub(super) fn edit_list(&mut self, edit: SetEdit) -> Result<(), ProtocolViolation> {
        let SetEdit { id, added, removed } = edit;
        self.is_whole()?;
        let Some(entry) = self.live.get_mut(&id) else {
            return Err(ProtocolViolation::EditOfNonList(id));
        };
        let Stored::List(list) = &mut entry.content else {
            return Err(ProtocolViolation::EditOfNonList(id));
        };
        self.edits += 1;
        self.edited = self.edited.saturating_add(added.len()).saturating_add(removed.len());
        entry.changed_at = self.edits;
        for user in &removed {
            if list.remove(user) {
                entry.bytes = entry.bytes.saturating_sub(self.budget.give_back(user.len()));
            }
        }
        if !removed.is_empty() && self.pending.iter().any(|(of, _)| *of == id) {
            let removed: HashSet<&String> = removed.iter().collect();
            for (_, pending) in self.pending.iter_mut().filter(|(of, _)| *of == id) {
                pending.retain(|user| {
                    let goes = removed.contains(user);
                    if goes {
                        self.budget.give_back(user.len());
                    }
                    !goes
                });
            }
        }
        for user in &added {
            UserId::parse(user).map_err(|_| ProtocolViolation::UserId(id))?;
            self.budget.take(user.len())?;
        }
        if !added.is_empty() {
            self.pending.push((id, added));
        }
        Ok(())
    }

    /// Applies pending additions, when `Changed` arrives.
    pub(super) fn apply_pending(&mut self) -> Result<(), ProtocolViolation> {
        self.is_whole()?;
        for (id, added) in std::mem::take(&mut self.pending) {
            let Some(entry) = self.live.get_mut(&id) else {
                // The set was retired meanwhile.
                for user in added {
                    self.budget.give_back(user.len());
                }
                continue;
            };
            self.edits += 1;
            entry.changed_at = self.edits;
            let Stored::List(list) = &mut entry.content else { continue };
            for user in added {
                if list.insert(&user) {
                    entry.bytes += u64::try_from(user.len()).unwrap_or(u64::MAX);
                } else {
                    self.budget.give_back(user.len());
                }
            }
        }
        if self.edited > MAX_EDITED {
            self.forget_old();
        }
        Ok(())
    }

    /// Drops resolved sets that may share lists from before an edit. A set that no answer
    /// uses again would otherwise keep them for its whole life, outside the budget.
    fn forget_old(&mut self) {
        self.edited = 0;
        for entry in self.live.values_mut() {
            if let Stored::Expression(_, kind) = &mut entry.content
                && !entry.refers_to.is_empty()
                && entry.checked_at < self.edits
            {
                *kind = None;
            }
        }
    }

    pub(super) fn retire_set(&mut self, retired: SetRetired) -> Result<(), ProtocolViolation> {
        let id = retired.id;
        self.is_whole()?;
        let entry = self.live.get(&id).ok_or(ProtocolViolation::RetiredUnknown(id))?;
        if !entry.referrers.is_empty() {
            return Err(ProtocolViolation::RetiredInUse(id));
        }
        let Some(entry) = self.live.remove(&id) else { return Ok(()) };
        self.budget.used = self.budget.used.saturating_sub(entry.bytes);
        for other in entry.refers_to {
            if let Some(other) = self.live.get_mut(&other) {
                other.referrers.remove(&id);
            }
        }
        Ok(())
    }

    /// Removes all sets, but remembers the last id.
    pub(super) fn reset(&mut self) {
        *self = Self { last_id: self.last_id, ..Self::new(self.budget.bound, self.rooms) };
    }

    /// Returns the bytes that the sets count for.
    pub(super) fn bytes(&self) -> u64 {
        self.budget.used
    }

    fn insert_entry(&mut self, id: u64, content: Stored, bytes: usize, measure: Measure) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let Measure { refers_to, depth, steps } = measure;
        let steps = steps.max(1);
        let (changed_at, checked_at) = (self.edits, self.edits);
        let referrers = BTreeSet::new();
        self.live.insert(
            id,
            Entry { content, bytes, depth, steps, refers_to, referrers, changed_at, checked_at },
        );
    }
}

#[cfg(test)]
mod tests;
