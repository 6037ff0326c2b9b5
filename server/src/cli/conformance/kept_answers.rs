//! The answers that a client may keep on a stream while policies change, by the contract's
//! rule: an answer that refers to a set ends with the set, the answer "nobody" by a `Changed`
//! that names its user, and all answers by `Reset`.

use std::collections::BTreeMap;

use presence_router_engine::Side;
use presence_router_proto::v1::set_expression::Expression;
use presence_router_proto::v1::{Changed, Hide, SetExpression};

use super::sets::DefinedSets;

/// The answers that are still valid.
#[derive(Debug, Default)]
pub(super) struct KeptAnswers {
    answers: BTreeMap<(Side, String), KeptAnswer>,
}

/// The set of an answer, where 0 is "nobody", and its hides.
#[derive(Debug)]
pub(super) struct KeptAnswer {
    pub(super) set: u64,
    pub(super) hides: Vec<Hide>,
}

// === impl KeptAnswers ===

impl KeptAnswers {
    pub(super) fn keep(&mut self, side: Side, user: &str, set: u64, hides: &[Hide]) {
        self.answers.insert((side, user.to_owned()), KeptAnswer { set, hides: hides.to_vec() });
    }

    /// Ends the answers that refer to a retired set, in a hide too.
    pub(super) fn end_set(&mut self, id: u64) {
        self.answers.retain(|_, answer| {
            let mut hidden = answer.hides.iter().filter_map(|hide| hide.users.as_ref());
            answer.set != id && !hidden.any(|users| refers_to(users, id))
        });
    }

    /// Ends the answers "nobody" whose users a change names. The sets are those at the change.
    pub(super) fn end_named(&mut self, changed: &Changed, sets: &DefinedSets) {
        let names = |expression: &Option<SetExpression>, user: &str| {
            let contains = |set| sets.expression_contains(set, user, user) == Some(true);
            expression.as_ref().is_some_and(contains)
        };
        self.answers.retain(|(side, user), answer| {
            let named = changed.gained.iter().chain(&changed.lost).any(|pairs| match side {
                Side::Sender => names(&pairs.senders, user),
                Side::Recipient => names(&pairs.recipients, user),
            });
            answer.set != 0 || !named
        });
    }

    pub(super) fn end_all(&mut self) {
        self.answers.clear();
    }

    /// Returns the valid answers, and for each the user that it is about.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Side, &String, &KeptAnswer)> {
        self.answers.iter().map(|((side, user), answer)| (*side, user, answer))
    }
}

/// Returns true if an expression itself refers to this set.
fn refers_to(expression: &SetExpression, id: u64) -> bool {
    match &expression.expression {
        Some(Expression::SetId(set)) => *set == id,
        Some(Expression::AnyOf(list) | Expression::AllOf(list)) => {
            list.sets.iter().any(|set| refers_to(set, id))
        }
        Some(Expression::Difference(both)) => {
            [&both.any, &both.except].into_iter().flatten().any(|set| refers_to(set, id))
        }
        _ => false,
    }
}
