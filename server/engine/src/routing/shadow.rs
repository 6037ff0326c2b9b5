//! Rules in shadow: they decide nothing, and it is told which senders' audience or
//! hides each of them alone would change.

use std::collections::{BTreeMap, HashMap};

use super::members::{Members, Open};
use super::plan::{Effect, Plan};
use super::relation::{Scope, Side, Signature};
use super::sets::{Numbering, SetId};
use super::snapshot::Snapshot;

/// The rules in shadow of a plan.
#[derive(Debug, Default)]
pub(super) struct Shadows {
    /// By the set of their senders: places in the plan, and sets of recipients.
    by_senders: HashMap<SetId, Vec<(usize, SetId)>>,
    /// What they would do, by their places in the plan.
    effects: BTreeMap<usize, Effect>,
}

/// A rule in shadow that would change something for a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadowed {
    /// The rule's place in the plan.
    pub rule: usize,
    /// The only recipient for whom it would: for itself it changes nothing.
    pub except: Option<u32>,
}

// === impl Shadows ===

impl Shadows {
    pub(super) fn new<'p>(plan: &'p Plan, numbering: &mut Numbering<'p>) -> Self {
        let mut shadows = Self::default();
        for (place, rule) in plan.rules.iter().enumerate().filter(|(_, rule)| rule.shadow) {
            shadows.effects.insert(place, rule.effect.clone());
            for product in &rule.products {
                let senders = numbering.id(&product.senders);
                let recipients = numbering.id(&product.recipients);
                shadows.by_senders.entry(senders).or_default().push((place, recipients));
            }
        }
        shadows
    }

    /// Whether some rule has the set as its senders.
    pub(super) fn names(&self, set: SetId) -> bool {
        self.by_senders.contains_key(&set)
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// Whether there are rules in shadow.
    pub fn has_shadows(&self) -> bool {
        !self.roles.shadows().by_senders.is_empty()
    }

    /// The rules in shadow that would change, each alone, the audience or the hides
    /// of the senders with a signature, as far as they concern a caller. In the
    /// plan's order. Where globs overlap one may be told that would not.
    pub fn shadowed(&self, signature: &Signature, scope: &Scope) -> Vec<Shadowed> {
        let shadows = self.roles.shadows();
        let mut recipients: BTreeMap<usize, Members> = BTreeMap::new();
        for set in self.signature_sets(signature) {
            for (rule, others) in shadows.by_senders.get(set).into_iter().flatten() {
                let Some(others) = self.set(*others) else { continue };
                let all = recipients.entry(*rule).or_default();
                if signature.is_local_only() {
                    all.unite(&others.on_servers_of(scope.caller(), scope.local(self)));
                } else {
                    all.unite(others);
                }
            }
        }
        if recipients.is_empty() {
            return Vec::new();
        }
        let audience = self.counterparts(signature, scope);
        let changed = recipients.into_iter().filter_map(|(rule, mut changed)| {
            match shadows.effects.get(&rule)? {
                Effect::Allow => {
                    changed.subtract(&self.denied(signature));
                    changed.subtract(&audience);
                }
                Effect::Deny => changed.intersect(&audience),
                Effect::Hide(hide) => {
                    changed.intersect(&audience);
                    for (users, hidden) in self.hides(signature, &audience) {
                        if hidden == hide {
                            changed.subtract(&users);
                        }
                    }
                }
            }
            let alone = *changed.open() == Open::Nobody && changed.named().len() == 1;
            let except = changed.named().min().filter(|_| alone);
            (!changed.is_empty()).then_some(Shadowed { rule, except })
        });
        changed.collect()
    }

    /// Whom the users with a signature are denied.
    fn denied(&self, signature: &Signature) -> Members {
        let mut denied = Members::default();
        for set in self.signature_sets(signature) {
            let role = self.roles.role(*set, Side::Sender);
            for deny in role.iter().flat_map(|role| &role.deny) {
                if let Some(set) = self.set(*deny) {
                    denied.unite(set);
                }
            }
        }
        denied
    }
}
