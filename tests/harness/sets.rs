//! Sets as a client keeps them: what the contract promises about them is
//! checked here, for every test that uses a stream. Evaluates expressions by
//! the oracle's globs, not by the product's.

use std::collections::HashMap;

use presence_router_proto::v1::{
    SetExpression, SetPart, set_expression::Expression, set_part::Content,
};

use crate::oracle::{glob, split};

/// The sets that a stream has defined.
#[derive(Default)]
pub(crate) struct Sets {
    live: HashMap<u64, Set>,
    last_id: u64,
}

enum Set {
    List { users: Vec<String>, complete: bool },
    Expression(SetExpression),
}

impl Sets {
    /// Forgets all sets, but not which ids were used.
    pub(crate) fn reset(&mut self) {
        self.live.clear();
    }

    pub(crate) fn define(&mut self, part: SetPart) {
        let SetPart { id, content, last } = part;
        let content = content.expect("a set has a content");
        if let Some(Set::List { users, complete: complete @ false }) = self.live.get_mut(&id) {
            assert_eq!(id, self.last_id, "parts of a set come one after another");
            let Content::Users(more) = content else { panic!("a list stays a list") };
            users.extend(more.user_ids);
            *complete = last;
            return;
        }
        assert!(id > self.last_id, "ids are never used again: {id} after {}", self.last_id);
        self.last_id = id;
        let set = match content {
            Content::Users(list) => Set::List { users: list.user_ids, complete: last },
            Content::Expression(expression) => {
                assert!(last, "an expression comes in one part");
                self.check_references(&expression);
                Set::Expression(expression)
            }
        };
        self.live.insert(id, set);
    }

    /// Whether a user is in a set that an answer refers to.
    pub(crate) fn contains(&self, id: u64, user: &str) -> bool {
        match self.live.get(&id).expect("a set is defined before it is used") {
            Set::List { users, complete } => {
                assert!(complete, "a set is complete before it is used");
                users.iter().any(|one| one == user)
            }
            Set::Expression(expression) => self.evaluate(expression, user),
        }
    }

    /// How many lists of users have come, and how many users in them.
    pub(crate) fn lists(&self) -> (usize, usize) {
        let lists = self.live.values().filter_map(|set| match set {
            Set::List { users, .. } => Some(users.len()),
            Set::Expression(_) => None,
        });
        (lists.clone().count(), lists.sum())
    }

    pub(crate) fn evaluate(&self, expression: &SetExpression, user: &str) -> bool {
        match expression.expression.as_ref().expect("a kind that this client knows") {
            Expression::SetId(id) => self.contains(*id, user),
            Expression::AnyOf(list) => list.sets.iter().any(|set| self.evaluate(set, user)),
            Expression::AllOf(list) => list.sets.iter().all(|set| self.evaluate(set, user)),
            Expression::Difference(both) => {
                self.evaluate(both.any.as_ref().unwrap(), user)
                    && !self.evaluate(both.except.as_ref().unwrap(), user)
            }
            leaf => leaf_contains(leaf, user),
        }
    }

    fn check_references(&self, expression: &SetExpression) {
        match expression.expression.as_ref().unwrap() {
            Expression::SetId(id) => {
                assert!(self.live.contains_key(id), "sets refer to sets defined before");
            }
            Expression::AnyOf(list) | Expression::AllOf(list) => {
                list.sets.iter().for_each(|set| self.check_references(set));
            }
            Expression::Difference(both) => {
                self.check_references(both.any.as_ref().unwrap());
                self.check_references(both.except.as_ref().unwrap());
            }
            _ => {}
        }
    }
}

/// Whether a user is in an expression of a unary answer, which has no ids.
pub(crate) fn contains(expression: &SetExpression, user: &str) -> bool {
    Sets::default().evaluate(expression, user)
}

fn leaf_contains(leaf: &Expression, user: &str) -> bool {
    let (before, server) = split(user);
    match leaf {
        Expression::Users(list) => {
            assert!(list.user_ids.is_sorted(), "lists are sorted");
            list.user_ids.iter().any(|one| one == user)
        }
        Expression::Everyone(_) => true,
        Expression::Server(pattern) => glob(pattern.as_bytes(), server.as_bytes()),
        Expression::Match(pattern) => {
            let (user, server_glob) = pattern.split_once(':').unwrap();
            glob(user.as_bytes(), before.as_bytes())
                && glob(server_glob.as_bytes(), server.as_bytes())
        }
        composed => panic!("not a leaf: {composed:?}"),
    }
}
