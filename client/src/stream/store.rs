//! The sets that a daemon has defined on one stream.
//!
//! Whatever was resolved stays as it was: a [`Set`] shares lists with the store
//! until one of them is edited, which copies what it changes. Holds at most what
//! the budget allows, and evaluates nothing that nests without end, whatever a
//! daemon sends.

use std::collections::{HashMap, HashSet};

use presence_router_proto::ids::UserId;
use presence_router_proto::v1::{
    SetEdit, SetExpression, SetPart, SetRetired, set_expression::Expression, set_part::Content,
};
use prost::Message;

use crate::{
    Breach, Set, SetError,
    list::List,
    sets::{Kind, Reading},
};

/// Levels of sets that refer to each other. The daemon composes audiences of
/// groups, and groups of at most 32 levels.
const MAX_DEPTH: usize = 256;

/// Steps that it takes to evaluate a set. More than a policy has groups.
const MAX_STEPS: u64 = 1 << 22;

/// Users that were edited after which sets forget what lists were: each may keep a
/// copy of a chunk of its list.
const MAX_EDITED: usize = 1000;

/// The live sets of a stream.
#[derive(Debug)]
pub(super) struct Store {
    live: HashMap<u64, Entry>,
    /// Ids are never used again, so this outlives a reset.
    last_id: u64,
    partial: Option<Partial>,
    /// Users that are in from the next `Changed` on.
    pending: Vec<(u64, Vec<String>)>,
    budget: Budget,
    /// Edits so far: when a set changed.
    edits: u64,
    /// Users that were edited since sets forgot what lists were.
    edited: usize,
}

/// A list of which parts are still to come.
#[derive(Debug)]
struct Partial {
    id: u64,
    users: Vec<Box<str>>,
}

#[derive(Debug)]
struct Entry {
    content: Stored,
    bytes: u64,
    depth: usize,
    steps: u64,
    /// Sets that it refers to, without repeats.
    refers_to: Vec<u64>,
    /// Live sets that refer to it.
    referrers: usize,
    /// The last edit that changed it.
    changed_at: u64,
    /// The last edit that was taken into account, if that did not change it.
    checked_at: u64,
}

#[derive(Debug)]
enum Stored {
    List(List),
    /// With what it is over the lists as they were when it was last checked: an
    /// edit costs nothing for sets that nobody asks about. `None`: that was too long
    /// ago.
    Expression(SetExpression, Option<Kind>),
}

/// Bytes of user ids and expressions that are kept.
#[derive(Clone, Copy, Debug)]
struct Budget {
    /// 0: no bound.
    bound: u64,
    used: u64,
}

/// What an expression refers to and costs.
#[derive(Debug, Default)]
struct Measure {
    refers_to: Vec<u64>,
    depth: usize,
    steps: u64,
}

// === impl Store ===

impl Store {
    /// `budget` in bytes; 0: no bound.
    pub(super) fn new(budget: u64) -> Self {
        Self {
            live: HashMap::new(),
            last_id: 0,
            partial: None,
            pending: Vec::new(),
            budget: Budget { bound: budget, used: 0 },
            edits: 0,
            edited: 0,
        }
    }

    /// Nothing may come between the parts of a set.
    pub(super) fn is_whole(&self) -> Result<(), Breach> {
        match &self.partial {
            Some(partial) => Err(Breach::SetIncomplete(partial.id)),
            None => Ok(()),
        }
    }

    pub(super) fn define(&mut self, part: SetPart) -> Result<(), Breach> {
        let SetPart { id, content, last } = part;
        let partial = match self.partial.take() {
            Some(partial) if partial.id == id => Some(partial),
            Some(partial) => return Err(Breach::SetIncomplete(partial.id)),
            None if id <= self.last_id => return Err(Breach::IdReused(id)),
            None => None,
        };
        self.last_id = id;
        // An entry costs something even if it is empty.
        let sets = u64::try_from(self.live.len()).unwrap_or(u64::MAX);
        if self.budget.bound != 0 && sets > 1024 + self.budget.bound / 8 {
            return Err(Breach::OverBudget(self.budget.bound));
        }
        match content {
            Some(Content::Users(list)) => {
                let mut partial = partial.unwrap_or_else(|| Partial { id, users: Vec::new() });
                for user in list.user_ids {
                    UserId::parse(&user).map_err(|_| Breach::UserId(id))?;
                    self.budget.take(user.len())?;
                    partial.users.push(user.into());
                }
                if last {
                    let bytes: usize = partial.users.iter().map(|user| user.len()).sum();
                    let list = List::new(partial.users);
                    let kept: usize = list.iter().map(str::len).sum();
                    self.budget.give_back(bytes - kept);
                    self.keep(id, Stored::List(list), kept, Measure::default());
                } else {
                    self.partial = Some(partial);
                }
                Ok(())
            }
            Some(Content::Expression(expression)) => {
                if partial.is_some() || !last {
                    return Err(Breach::SetIncomplete(id));
                }
                let bytes = expression.encoded_len();
                self.budget.take(bytes)?;
                let mut measure = Measure::default();
                self.measure(&expression, 1, &mut measure)?;
                if measure.depth > MAX_DEPTH || measure.steps > MAX_STEPS {
                    return Err(Breach::SetTooDeep(id));
                }
                measure.refers_to.sort_unstable();
                measure.refers_to.dedup();
                for other in &measure.refers_to {
                    self.refresh(*other)?;
                    if let Some(other) = self.live.get_mut(other) {
                        other.referrers += 1;
                    }
                }
                // Also finds out whether it can be evaluated at all.
                let kind = self.read(&expression)?;
                self.keep(id, Stored::Expression(expression, Some(kind)), bytes, measure);
                Ok(())
            }
            None => Err(Breach::SetEmpty(id)),
        }
    }

    pub(super) fn edit(&mut self, edit: SetEdit) -> Result<(), Breach> {
        let SetEdit { id, added, removed } = edit;
        self.is_whole()?;
        let Some(entry) = self.live.get_mut(&id) else { return Err(Breach::EditOfNoList(id)) };
        let Stored::List(list) = &mut entry.content else { return Err(Breach::EditOfNoList(id)) };
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
            UserId::parse(user).map_err(|_| Breach::UserId(id))?;
            self.budget.take(user.len())?;
        }
        if !added.is_empty() {
            self.pending.push((id, added));
        }
        Ok(())
    }

    /// `Changed` is there: what was added counts from here on.
    pub(super) fn changed(&mut self) -> Result<(), Breach> {
        self.is_whole()?;
        for (id, added) in std::mem::take(&mut self.pending) {
            let Some(entry) = self.live.get_mut(&id) else {
                // It was retired in between.
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

    /// Makes sets forget what they were over lists that may have been edited since.
    /// Those that nobody asks about again would keep that for as long as they live,
    /// and no budget counts it.
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

    pub(super) fn retire(&mut self, retired: SetRetired) -> Result<(), Breach> {
        let id = retired.id;
        self.is_whole()?;
        let entry = self.live.get(&id).ok_or(Breach::RetiredUnknown(id))?;
        if entry.referrers > 0 {
            return Err(Breach::RetiredInUse(id));
        }
        let Some(entry) = self.live.remove(&id) else { return Ok(()) };
        self.budget.used = self.budget.used.saturating_sub(entry.bytes);
        for other in entry.refers_to {
            if let Some(other) = self.live.get_mut(&other) {
                other.referrers = other.referrers.saturating_sub(1);
            }
        }
        Ok(())
    }

    /// Forgets all sets, but not which ids were used.
    pub(super) fn reset(&mut self) {
        *self = Self { last_id: self.last_id, ..Self::new(self.budget.bound) };
    }

    /// A set as it is now.
    pub(super) fn resolve(&mut self, id: u64) -> Result<Set, Breach> {
        self.is_whole()?;
        self.refresh(id)?;
        self.kind(id).map(Set).ok_or(Breach::SetUndefined(id))
    }

    /// A set that an answer composes itself.
    pub(super) fn resolve_expression(
        &mut self,
        expression: Option<&SetExpression>,
    ) -> Result<Set, Breach> {
        self.is_whole()?;
        let expression = expression.ok_or(SetError::UnknownKind)?;
        let mut measure = Measure::default();
        self.measure(expression, 1, &mut measure)?;
        if measure.depth > MAX_DEPTH || measure.steps > MAX_STEPS {
            return Err(Breach::SetTooDeep(measure.refers_to.first().copied().unwrap_or_default()));
        }
        for id in measure.refers_to {
            self.refresh(id)?;
        }
        self.read(expression).map(Set)
    }

    fn keep(&mut self, id: u64, content: Stored, bytes: usize, measure: Measure) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let Measure { refers_to, depth, steps } = measure;
        let steps = steps.max(1);
        let (changed_at, checked_at) = (self.edits, self.edits);
        let referrers = 0;
        self.live.insert(
            id,
            Entry { content, bytes, depth, steps, refers_to, referrers, changed_at, checked_at },
        );
    }

    /// Makes sure that a set is resolved over the lists as they are now. Says
    /// which edit was the last to change it.
    fn refresh(&mut self, id: u64) -> Result<u64, Breach> {
        let edits = self.edits;
        let entry = self.live.get_mut(&id).ok_or(Breach::SetUndefined(id))?;
        if matches!(entry.content, Stored::List(_)) || entry.checked_at == edits {
            return Ok(entry.changed_at);
        }
        let mut changed_at = entry.changed_at;
        // Never deeper than `MAX_DEPTH`.
        let refers_to = std::mem::take(&mut entry.refers_to);
        for other in &refers_to {
            changed_at = changed_at.max(self.refresh(*other)?);
        }
        let stale = match self.live.get(&id) {
            Some(Entry {
                content: Stored::Expression(expression, kind), changed_at: last, ..
            }) if kind.is_none() || *last < changed_at => Some(self.read(expression)?),
            _ => None,
        };
        let entry = self.live.get_mut(&id).ok_or(Breach::SetUndefined(id))?;
        if let (Stored::Expression(_, kind), Some(fresh)) = (&mut entry.content, stale) {
            *kind = Some(fresh);
        }
        entry.refers_to = refers_to;
        entry.changed_at = changed_at;
        entry.checked_at = edits;
        Ok(changed_at)
    }

    /// What a set is that is refreshed.
    fn kind(&self, id: u64) -> Option<Kind> {
        Some(match &self.live.get(&id)?.content {
            Stored::List(list) => Kind::Users(list.clone()),
            Stored::Expression(_, kind) => kind.clone()?,
        })
    }

    /// Reads an expression over sets that are refreshed.
    fn read(&self, expression: &SetExpression) -> Result<Kind, Breach> {
        let reading = Reading { set: &|id| self.kind(id), strict: true };
        reading.kind(Some(expression), false).map_err(|error| match error {
            SetError::SetId(id) => Breach::SetUndefined(id),
            other => other.into(),
        })
    }

    /// Adds up what an expression refers to and costs. Its own nesting has a
    /// bound in the decoder.
    fn measure(
        &self,
        expression: &SetExpression,
        level: usize,
        measure: &mut Measure,
    ) -> Result<(), Breach> {
        measure.steps = measure.steps.saturating_add(1);
        measure.depth = measure.depth.max(level);
        match &expression.expression {
            Some(Expression::SetId(id)) => {
                let other = self.live.get(id).ok_or(Breach::SetUndefined(*id))?;
                measure.steps = measure.steps.saturating_add(other.steps);
                measure.depth = measure.depth.max(level + other.depth);
                measure.refers_to.push(*id);
            }
            Some(Expression::AnyOf(list) | Expression::AllOf(list)) => {
                for set in &list.sets {
                    self.measure(set, level + 1, measure)?;
                }
            }
            Some(Expression::Difference(both)) => {
                for set in [&both.any, &both.except].into_iter().flatten() {
                    self.measure(set, level + 1, measure)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

// === impl Budget ===

impl Budget {
    /// A daemon that counts a little differently, or retires a set just after it
    /// defined the next, must not be taken for one that ignores the budget.
    fn most(self) -> u64 {
        (self.bound / 4).saturating_add(self.bound).saturating_add(64 * 1024)
    }

    fn take(&mut self, bytes: usize) -> Result<(), Breach> {
        self.used = self.used.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if self.bound != 0 && self.used > self.most() {
            return Err(Breach::OverBudget(self.bound));
        }
        Ok(())
    }

    fn give_back(&mut self, bytes: usize) -> u64 {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.used = self.used.saturating_sub(bytes);
        bytes
    }
}

#[cfg(test)]
mod tests;
