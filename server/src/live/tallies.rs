//! Counts of what rules in shadow would have changed, while a policy is in force.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use presence_router_engine::policy::Policy;
use presence_router_engine::policy::analyse::compare::Differences;

/// By the place of a rule in the ruleset: how many states were routed whose audience
/// or hides it alone would have changed. None for rules that take part.
#[derive(Clone, Debug, Default)]
pub struct Tallies(Vec<Option<Arc<AtomicU64>>>);

// === impl Tallies ===

impl Tallies {
    /// From 0 for all rules in shadow.
    pub(super) fn new(policy: &Policy) -> Self {
        Self(policy.document.rules.iter().map(|rule| rule.shadow.then(Arc::default)).collect())
    }

    /// Those of the next policy. A rule that is the same goes on counting.
    pub(super) fn carried(&self, before: &Policy, after: &Policy, different: &Differences) -> Self {
        let mut next = Self::new(after);
        for (rule, tally) in after.document.rules.iter().zip(&mut next.0) {
            let place = before.document.rules.iter().position(|other| other.name == rule.name);
            let known = place.and_then(|place| self.0.get(place)?.as_ref());
            if let Some(known) = known.filter(|_| !different.rules.changed.contains(&rule.name))
                && tally.is_some()
            {
                *tally = Some(Arc::clone(known));
            }
        }
        next
    }

    /// Counts states for a rule.
    pub fn add(&self, rule: usize, states: u64) {
        if let Some(Some(tally)) = self.0.get(rule) {
            tally.fetch_add(states, Ordering::Relaxed);
        }
    }

    /// The rules in shadow, by place, with their counts.
    pub fn counts(&self) -> impl Iterator<Item = (usize, u64)> {
        let tallies = self.0.iter().enumerate();
        tallies.filter_map(|(place, tally)| Some((place, tally.as_ref()?.load(Ordering::Relaxed))))
    }
}
