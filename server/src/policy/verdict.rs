//! Why a pair is visible or not, in words: which rules match it.
//!
//! Looks at every rule and set, without haste: routing decides, this explains.

use super::document::Document;
use super::problem::quoted;
use crate::routing::plan::{Effect, Plan, Rule, Set};
use crate::routing::user_id::UserId;

/// A policy to explain, with its groups as they are.
pub(super) struct Verdict<'p> {
    document: &'p Document,
    plan: &'p Plan,
    /// What follows the number of a line.
    whose: &'p str,
}

/// A user, and which groups it is in.
struct Standing<'u> {
    user: &'u str,
    groups: Vec<bool>,
}

// === impl Verdict ===

impl<'p> Verdict<'p> {
    pub(super) fn new(document: &'p Document, plan: &'p Plan, whose: &'p str) -> Self {
        Self { document, plan, whose }
    }

    /// Why a pair is visible, or why it is not.
    pub(super) fn reason(&self, sender: &str, recipient: &str, visible: bool) -> String {
        if sender == recipient {
            return "no rule is about one's own presence".to_owned();
        }
        let (from, to) = (Standing::new(self.plan, sender), Standing::new(self.plan, recipient));
        let matching = |wanted: fn(&Rule) -> bool| -> Vec<usize> {
            let rules = (0..).zip(&self.plan.rules);
            rules
                .filter(|(_, rule)| {
                    wanted(rule)
                        && rule.products.iter().any(|product| {
                            from.is_in(&product.senders) && to.is_in(&product.recipients)
                        })
                })
                .map(|(number, _)| number)
                .collect()
        };
        let allows = matching(|rule| rule.effect == Effect::Allow && !rule.shadow);
        let denies = matching(|rule| rule.effect == Effect::Deny && !rule.shadow);
        let mut reason = match (allows.as_slice(), denies.as_slice()) {
            (allows, []) if visible => format!("allowed by {}", self.names(allows)),
            ([], []) => "no allow rule matches".to_owned(),
            ([], denies) => {
                format!("no allow rule matches, and it is denied by {}", self.names(denies))
            }
            (_, denies) => format!("denied by {}", self.names(denies)),
        };
        let shadow = if visible {
            matching(|rule| rule.effect == Effect::Deny && rule.shadow)
        } else {
            matching(|rule| rule.effect == Effect::Allow && rule.shadow)
        };
        if !shadow.is_empty() {
            reason.push_str(&format!("; {} matches, in shadow only", self.names(&shadow)));
        }
        reason
    }

    fn names(&self, rules: &[usize]) -> String {
        const MOST: usize = 3;
        let named = rules.iter().take(MOST).filter_map(|number| {
            let rule = self.document.rules.get(*number)?;
            Some(format!("rule {} (line {}{})", quoted(&rule.name), rule.place.line, self.whose))
        });
        let mut named: Vec<_> = named.collect();
        if let Some(more) = rules.len().checked_sub(MOST).filter(|more| *more > 0) {
            named.push(format!("{more} more"));
        }
        match named.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
            None => String::new(),
        }
    }
}

// === impl Standing ===

impl<'u> Standing<'u> {
    /// Groups refer to groups before them only, so in their order nothing
    /// recurses deeper than a set is.
    fn new(plan: &Plan, user: &'u str) -> Self {
        let mut standing = Self { user, groups: Vec::with_capacity(plan.groups.len()) };
        for set in &plan.groups {
            let is_in = standing.is_in(set);
            standing.groups.push(is_in);
        }
        standing
    }

    fn is_in(&self, set: &Set) -> bool {
        match set {
            Set::Users(ids) => ids.iter().any(|id| id == self.user),
            // Empty, as far as a policy by itself goes.
            Set::Directory(_) => false,
            Set::Everyone => true,
            Set::Server(glob) => {
                UserId::parse(self.user).is_ok_and(|user| glob.matches(user.server()))
            }
            Set::Match(pattern) => pattern.matches(self.user),
            Set::Group(number) => self.groups.get(*number).copied().unwrap_or_default(),
            Set::Union(sets) => sets.iter().any(|set| self.is_in(set)),
            Set::Intersection(sets) => sets.iter().all(|set| self.is_in(set)),
            Set::Difference(any, except) => self.is_in(any) && !self.is_in(except),
        }
    }
}

/// Whether a user is in a set of a plan.
#[cfg(test)]
pub(super) fn is_in(plan: &Plan, set: &Set, user: &str) -> bool {
    Standing::new(plan, user).is_in(set)
}
