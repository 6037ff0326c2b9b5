//! Counts of what rules in shadow would have changed, while a policy is active.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use presence_router_engine::{Differences, Policy};

/// By the index of a rule: how many states were routed whose audience or hides it
/// alone would have changed. None for rules that take part.
#[derive(Clone, Debug, Default)]
pub struct ShadowCounters(Vec<Option<Arc<AtomicU64>>>);

// === impl ShadowCounters ===

impl ShadowCounters {
    /// From 0 for all rules in shadow.
    pub(super) fn new(policy: &Policy) -> Self {
        Self(policy.document.rules.iter().map(|rule| rule.shadow.then(Arc::default)).collect())
    }

    /// Those of the next policy. A rule that is the same goes on counting.
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

    /// Counts states for a rule.
    pub fn add(&self, rule: usize, states: u64) {
        if let Some(Some(counter)) = self.0.get(rule) {
            counter.fetch_add(states, Ordering::Relaxed);
        }
    }

    /// The rules in shadow, by index, with their counts.
    pub fn counts(&self) -> impl Iterator<Item = (usize, u64)> {
        let counters = self.0.iter().enumerate();
        counters
            .filter_map(|(rule, counter)| Some((rule, counter.as_ref()?.load(Ordering::Relaxed))))
    }
}
