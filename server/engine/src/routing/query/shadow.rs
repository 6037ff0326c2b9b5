//! Rules in shadow take no part in decisions. This module finds the senders whose audience or
//! hides such a rule would change, if it alone took part.

use std::collections::BTreeMap;

use crate::routing::model::ruleset::Effect;
use crate::routing::query::visibility::{CallerView, Signature};
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::members::Members;

/// A rule in shadow that would change the audience or the hides of a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadowed {
    /// The rule's index in the ruleset.
    pub rule: usize,
    /// The recipient for whom alone the rule would change something, if there is only one. For
    /// this user as the sender, the rule changes nothing.
    pub except: Option<u32>,
}

// === impl Snapshot ===

impl Snapshot {
    /// Returns true if there are rules in shadow.
    pub fn has_shadows(&self) -> bool {
        !self.rules.shadows().is_empty()
    }

    /// Returns the rules in shadow of which each alone would change the audience or the hides of
    /// the senders with a signature, as far as they concern a caller. In the ruleset's order. If
    /// globs overlap, the result may include a rule that would change nothing.
    ///
    /// The daemon knows no rooms. So the relation that a rule in shadow requires counts as met,
    /// and the result includes a rule that would change something for some rooms.
    pub fn shadowed(&self, signature: &Signature, view: &CallerView) -> Vec<Shadowed> {
        let shadows = self.rules.shadows();
        let mut recipients: BTreeMap<usize, Members> = BTreeMap::new();
        for set in self.signature_sets(signature) {
            for (rule, others) in shadows.of_senders(*set) {
                let Some(others) = self.set(*others) else { continue };
                let all = recipients.entry(*rule).or_default();
                if signature.is_local_only() {
                    all.unite(&others.on_servers_of(view.caller(), view.local_users(self)));
                } else {
                    all.unite(others);
                }
            }
        }
        if recipients.is_empty() {
            return Vec::new();
        }
        let audience = self.counterparts(signature, view);
        let at_most = audience.at_most();
        let changed = recipients.into_iter().filter_map(|(rule, mut changed)| {
            match shadows.effect(rule)? {
                Effect::Allow => {
                    changed.subtract(&self.denied_recipients(signature));
                    changed.subtract(audience.always());
                }
                Effect::Deny => changed.intersect(&at_most),
                Effect::Hide(hide) => {
                    changed.intersect(&at_most);
                    for applied in self.hides(signature, &at_most) {
                        if applied.hide == hide && applied.relation.is_none() {
                            changed.subtract(&applied.users);
                        }
                    }
                }
            }
            let alone = !changed.is_open() && changed.named().len() == 1;
            let except = changed.named().min().filter(|_| alone);
            (!changed.is_empty()).then_some(Shadowed { rule, except })
        });
        changed.collect()
    }

    /// Returns the recipients that deny rules exclude for users with a signature, whatever rooms
    /// there are.
    fn denied_recipients(&self, signature: &Signature) -> Members {
        self.union_of(&self.operands(signature).deny)
    }
}
