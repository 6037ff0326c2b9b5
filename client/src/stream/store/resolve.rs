//! Evaluates the sets of a store as they are now: resolves references to other sets,
//! and bounds how deep they nest and how much work they take.

use presence_router_proto::v1::{SetExpression, set_expression::Expression};

use super::{Entry, Store, Stored};
use crate::{
    ProtocolViolation, Set, SetError,
    sets::{ExpressionReader, Kind},
};

/// Levels of sets that refer to each other. The daemon composes audiences of
/// groups, and groups of at most 32 levels.
pub(super) const MAX_DEPTH: usize = 256;

/// Steps that it takes to evaluate a set. More than a policy has groups.
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
    /// A set as it is now.
    pub(in crate::stream) fn resolve(&mut self, id: u64) -> Result<Set, ProtocolViolation> {
        self.is_whole()?;
        self.refresh(id)?;
        self.kind(id).map(Set).ok_or(ProtocolViolation::SetUndefined(id))
    }

    /// A set that an answer composes itself.
    pub(in crate::stream) fn resolve_expression(
        &mut self,
        expression: Option<&SetExpression>,
    ) -> Result<Set, ProtocolViolation> {
        self.is_whole()?;
        let expression = expression.ok_or(SetError::UnknownKind)?;
        let mut measure = Measure::default();
        self.measure(expression, 1, &mut measure)?;
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

    /// Makes sure that a set is resolved over the lists as they are now. Says
    /// which edit was the last to change it.
    pub(super) fn refresh(&mut self, id: u64) -> Result<u64, ProtocolViolation> {
        let edits = self.edits;
        let entry = self.live.get_mut(&id).ok_or(ProtocolViolation::SetUndefined(id))?;
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
        let entry = self.live.get_mut(&id).ok_or(ProtocolViolation::SetUndefined(id))?;
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
    pub(super) fn read(&self, expression: &SetExpression) -> Result<Kind, ProtocolViolation> {
        let reader = ExpressionReader { set: &|id| self.kind(id), strict: true };
        reader.read(Some(expression), false).map_err(|error| match error {
            SetError::SetId(id) => ProtocolViolation::SetUndefined(id),
            other => other.into(),
        })
    }

    /// Adds up what an expression refers to and costs. Its own nesting has a
    /// bound in the decoder.
    pub(super) fn measure(
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
