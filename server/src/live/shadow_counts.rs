//! Counters of shadow rules: the number of states that each rule would have changed while
//! the policy is active.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use presence_router_engine::{Differences, Policy};

/// By the index of a rule, the number of routed states whose audience or hides would have
/// changed if this rule alone took part. Rules that take part in decisions have no counter.
#[derive(Clone, Debug, Default)]
pub struct ShadowCounters(Vec<Option<Arc<AtomicU64>>>);

// === impl ShadowCounters ===

impl ShadowCounters {
    /// Starts a counter at 0 for each shadow rule.
    pub(super) fn new(policy: &Policy) -> Self {
        Self(policy.document.rules.iter().map(|rule| rule.shadow.then(Arc::default)).collect())
    }

    /// Creates the counters of the next policy. An unchanged rule keeps its count.
    pub(super) fn carry_over(
        &self,
        before: &Policy,
        after: &Policy,
        different: &Differences,
    ) -> Self {
        let mut next = Self::new(after);
        for (rule, counter) in after.document.rules.iter().zip(&mut next.0) {
            let index = before.document.rules.iter().position(|other| other.name == rule.name);
            let known = index.and_then(|index| self.0.get(index)?.as_ref());
            if let Some(known) = known.filter(|_| !different.rules.changed.contains(&rule.name))
                && counter.is_some()
            {
                *counter = Some(Arc::clone(known));
            }
        }
        next
    }

    /// Adds states to the counter of a rule.
    pub fn add_states(&self, rule: usize, states: u64) {
        if let Some(Some(counter)) = self.0.get(rule) {
            counter.fetch_add(states, Ordering::Relaxed);
        }
    }

    /// Returns the indexes of the shadow rules, with their counts.
    pub fn counts_by_rule(&self) -> impl Iterator<Item = (usize, u64)> {
        let counters = self.0.iter().enumerate();
        counters
            .filter_map(|(rule, counter)| Some((rule, counter.as_ref()?.load(Ordering::Relaxed))))
    }
}
