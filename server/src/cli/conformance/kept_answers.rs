//! The answers that a client may keep on a stream while policies change, by the contract's
//! rule: an answer that refers to a set ends with the set, the answer "nobody" by a `Changed`
//! that names its user, and all answers by `Reset`.

use std::collections::BTreeMap;

use presence_router_engine::Side;
use presence_router_proto::v1::{Changed, SetExpression};

use super::sets::DefinedSets;

/// The answers that are still valid.
#[derive(Debug, Default)]
pub(super) struct KeptAnswers {
    /// The set of each answer; 0 is "nobody". Scenarios hide nothing.
    sets: BTreeMap<(Side, String), u64>,
}

// === impl KeptAnswers ===

impl KeptAnswers {
    pub(super) fn keep(&mut self, side: Side, user: &str, set: u64) {
        self.sets.insert((side, user.to_owned()), set);
    }

    /// Ends the answers that refer to a retired set.
    pub(super) fn end_set(&mut self, id: u64) {
        self.sets.retain(|_, set| *set != id);
    }

    /// Ends the answers "nobody" whose users a change names. The sets are those at the change.
    pub(super) fn end_named(&mut self, changed: &Changed, sets: &DefinedSets) {
        let names = |expression: &Option<SetExpression>, user: &str| {
            expression.as_ref().is_some_and(|expression| sets.expression_contains(expression, user))
        };
        self.sets.retain(|(side, user), set| {
            let named = changed.gained.iter().chain(&changed.lost).any(|pairs| match side {
                Side::Sender => names(&pairs.senders, user),
                Side::Recipient => names(&pairs.recipients, user),
            });
            *set != 0 || !named
        });
    }

    pub(super) fn end_all(&mut self) {
        self.sets.clear();
    }

    /// The valid answers: whose they are, and their sets.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Side, &String, u64)> {
        self.sets.iter().map(|((side, user), set)| (*side, user, *set))
    }
}
