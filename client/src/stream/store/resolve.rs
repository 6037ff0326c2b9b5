//! Evaluates the current sets of a store: resolves references to other sets, and bounds
//! the depth and the cost of evaluation.

use std::collections::HashSet;

use presence_router_proto::v1::{self, SetExpression, set_expression::Expression};

use super::{Entry, Store, Stored};
use crate::{
    Hide, PairProduct, ProtocolViolation, Set, SetError,
    sets::{ExpressionReader, Kind},
};

/// Maximum number of levels of sets that refer to each other. The daemon composes
/// audiences from groups, which have at most 32 levels.
pub(super) const MAX_DEPTH: usize = 256;

/// Maximum number of steps to evaluate a set. More than a policy has groups.
pub(super) const MAX_STEPS: u64 = 1 << 22;

/// The sets that an expression refers to, and its cost.
#[derive(Debug, Default)]
pub(super) struct Measure {
    pub(super) refers_to: Vec<u64>,
    pub(super) depth: usize,
    pub(super) steps: u64,
}

// === impl Store ===

impl Store {
    /// Returns the current value of a set.
    pub(in crate::stream) fn resolve(&mut self, id: u64) -> Result<Set, ProtocolViolation> {
        self.is_whole()?;
        self.refresh(id)?;
        self.resolved_kind(id).map(Set).ok_or(ProtocolViolation::SetUndefined(id))
    }

    /// Returns the current value of an expression inside an answer.
    pub(in crate::stream) fn resolve_expression(
        &mut self,
        expression: Option<&SetExpression>,
    ) -> Result<Set, ProtocolViolation> {
        self.is_whole()?;
        let expression = expression.ok_or(SetError::UnknownKind)?;
        let mut measure = Measure::default();
        self.add_measure(expression, 1, &mut measure)?;
        if measure.depth > MAX_DEPTH || measure.steps > MAX_STEPS {
            return Err(ProtocolViolation::SetTooDeep(
                measure.refers_to.first().copied().unwrap_or_default(),
            ));
        }
        for id in measure.refers_to {
            self.refresh(id)?;
        }
        self.read(expression).map(Set)
    }

    /// Returns the current value of an answer's hides.
    pub(in crate::stream) fn resolve_hides(
        &mut self,
        hides: &[v1::Hide],
    ) -> Result<Vec<Hide>, ProtocolViolation> {
        hides.iter().map(|hide| Hide::new(hide, |users| self.resolve_expression(users))).collect()
    }

    /// Returns the current value of the products of a change.
    pub(in crate::stream) fn resolve_products(
        &mut self,
        products: &[v1::PairProduct],
    ) -> Result<Vec<PairProduct>, ProtocolViolation> {
        let product = |one: &v1::PairProduct| {
            let senders = self.resolve_expression(one.senders.as_ref())?;
            let recipients = self.resolve_expression(one.recipients.as_ref())?;
            Ok(PairProduct { senders, recipients })
        };
        products.iter().map(product).collect()
    }

    /// Returns the ids of the sets that an answer's hides refer to.
    pub(in crate::stream) fn references_of(
        &self,
        hides: &[v1::Hide],
    ) -> Result<Vec<u64>, ProtocolViolation> {
        let mut measure = Measure::default();
        for users in hides.iter().filter_map(|hide| hide.users.as_ref()) {
            self.add_measure(users, 1, &mut measure)?;
        }
        Ok(measure.refers_to)
    }

    /// Returns some sets, and all sets that refer to them, directly or not.
    pub(in crate::stream) fn with_referrers(&self, ids: &[u64]) -> HashSet<u64> {
        let mut found: HashSet<u64> = ids.iter().copied().collect();
        let mut to_visit: Vec<u64> = found.iter().copied().collect();
        while let Some(id) = to_visit.pop() {
            let referrers = self.live.get(&id).map(|entry| &entry.referrers);
            to_visit.extend(referrers.into_iter().flatten().filter(|id| found.insert(**id)));
        }
        found
    }

    /// Resolves a set over the current lists, if necessary. Returns the last edit that
    /// changed the set.
    pub(super) fn refresh(&mut self, id: u64) -> Result<u64, ProtocolViolation> {
        let edits = self.edits;
        let entry = self.live.get_mut(&id).ok_or(ProtocolViolation::SetUndefined(id))?;
        if matches!(entry.content, Stored::List(_)) || entry.checked_at == edits {
            return Ok(entry.changed_at);
        }
        let mut changed_at = entry.changed_at;
        // The recursion is never deeper than `MAX_DEPTH`.
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
        let entry = self.live.get_mut(&id).ok_or(ProtocolViolation::SetUndefined(id))?;
        if let (Stored::Expression(_, kind), Some(fresh)) = (&mut entry.content, stale) {
            *kind = Some(fresh);
        }
        entry.refers_to = refers_to;
        entry.changed_at = changed_at;
        entry.checked_at = edits;
        Ok(changed_at)
    }

    /// Returns the value of a refreshed set.
    fn resolved_kind(&self, id: u64) -> Option<Kind> {
        Some(match &self.live.get(&id)?.content {
            Stored::List(list) => Kind::Users(list.clone()),
            Stored::Expression(_, kind) => kind.clone()?,
        })
    }

    /// Converts an expression over refreshed sets.
    pub(super) fn read(&self, expression: &SetExpression) -> Result<Kind, ProtocolViolation> {
        let set = |id| self.resolved_kind(id);
        let reader = ExpressionReader { set: &set, strict: true, rooms: self.rooms };
        reader.read(Some(expression), false).map_err(|error| match error {
            SetError::SetId(id) => ProtocolViolation::SetUndefined(id),
            other => other.into(),
        })
    }

    /// Adds up the references and the cost of an expression. The decoder bounds the
    /// nesting within one expression.
    pub(super) fn add_measure(
        &self,
        expression: &SetExpression,
        level: usize,
        measure: &mut Measure,
    ) -> Result<(), ProtocolViolation> {
        measure.steps = measure.steps.saturating_add(1);
        measure.depth = measure.depth.max(level);
        match &expression.expression {
            Some(Expression::SetId(id)) => {
                let other = self.live.get(id).ok_or(ProtocolViolation::SetUndefined(*id))?;
                measure.steps = measure.steps.saturating_add(other.steps);
                measure.depth = measure.depth.max(level + other.depth);
                measure.refers_to.push(*id);
            }
            Some(Expression::AnyOf(list) | Expression::AllOf(list)) => {
                for set in &list.sets {
                    self.add_measure(set, level + 1, measure)?;
                }
            }
            Some(Expression::Difference(both)) => {
                for set in [&both.any, &both.except].into_iter().flatten() {
                    self.add_measure(set, level + 1, measure)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}
