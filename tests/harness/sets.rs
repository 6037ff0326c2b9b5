//! Sets as a client keeps them: what the contract promises about them is
//! checked here, for every test that uses a stream. Evaluates expressions by
//! the oracle's globs, not by the product's.

use std::collections::HashMap;

use presence_router_proto::v1::{
    SetEdit, SetExpression, SetPart, UserList, set_expression::Expression, set_part::Content,
};
use prost::Message;

use super::room_mates::are_room_mates;
use crate::oracle::rooms::{all, any};
use crate::oracle::{Homeserver, glob, split};

/// The sets that a stream has defined.
#[derive(Default)]
pub(crate) struct ClientSets {
    live: HashMap<u64, Set>,
    last_id: u64,
    /// Additions that count from the next `Changed` on.
    pending: Vec<(u64, Vec<String>)>,
}

/// The user whom an answer is about, and the homeserver that evaluates the answer.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) homeserver: Homeserver<'a>,
    pub(crate) user: &'a str,
}

enum Set {
    List { users: Vec<String>, complete: bool },
    Expression(SetExpression),
}

impl ClientSets {
    /// Forgets all sets, but not which ids were used.
    pub(crate) fn reset(&mut self) {
        self.live.clear();
        self.pending.clear();
    }

    /// Removes at once, and adds later.
    pub(crate) fn edit(&mut self, SetEdit { id, added, removed }: SetEdit) {
        let mut expressions = self.live.values().filter_map(|set| match set {
            Set::Expression(expression) => Some(expression),
            Set::List { .. } => None,
        });
        let is_exception = expressions.any(|one| self.excepts(one, false, id));
        let shows = !removed.is_empty() && is_exception;
        assert!(!shows, "whoever leaves the exception {id} is seen before `Changed` says so");
        let Some(Set::List { users, complete: true }) = self.live.get_mut(&id) else {
            panic!("only complete lists are edited, and {id} is none");
        };
        for user in &removed {
            let place = users.iter().position(|one| one == user);
            users.remove(place.expect("who is removed was in"));
        }
        self.pending.push((id, added));
    }

    /// `Changed` is there.
    pub(crate) fn changed(&mut self) {
        for (id, added) in std::mem::take(&mut self.pending) {
            let Some(Set::List { users, .. }) = self.live.get_mut(&id) else { continue };
            for user in added {
                assert!(!users.contains(&user), "{user} is added to {id} a second time");
                users.push(user);
            }
        }
    }

    pub(crate) fn retire(&mut self, id: u64) {
        assert!(self.live.remove(&id).is_some(), "{id} is retired, and not live");
        for set in self.live.values() {
            // A set that is still referred to would not be found here.
            if let Set::Expression(expression) = set {
                self.check_references(expression);
            }
        }
    }

    pub(crate) fn is_live(&self, id: u64) -> bool {
        self.live.contains_key(&id)
    }

    /// What all live sets weigh, as `set_budget_bytes` counts.
    pub(crate) fn bytes(&self) -> usize {
        let pending: usize = self.pending.iter().flat_map(|(_, ids)| ids).map(String::len).sum();
        let live = self.live.values().map(|set| match set {
            Set::List { users, .. } => users.iter().map(String::len).sum(),
            Set::Expression(expression) => expression.encoded_len(),
        });
        pending + live.sum::<usize>()
    }

    pub(crate) fn define(&mut self, part: SetPart) {
        let SetPart { id, content, last } = part;
        let content = content.expect("a set has a content");
        if let Some(Set::List { users, complete: complete @ false }) = self.live.get_mut(&id) {
            assert_eq!(id, self.last_id, "parts of a set come one after another");
            let Content::Users(more) = content else { panic!("a list stays a list") };
            users.extend(more.user_ids);
            assert!(users.is_sorted(), "lists are sorted");
            *complete = last;
            return;
        }
        assert!(id > self.last_id, "ids are never used again: {id} after {}", self.last_id);
        self.last_id = id;
        let set = match content {
            Content::Users(UserList { user_ids: users }) => {
                assert!(users.is_sorted(), "lists are sorted");
                Set::List { users, complete: last }
            }
            Content::Expression(expression) => {
                assert!(last, "an expression comes in one part");
                self.check_references(&expression);
                Set::Expression(expression)
            }
        };
        self.live.insert(id, set);
    }

    /// Whether a user is in a set that an answer refers to, which depends on no rooms.
    pub(crate) fn contains(&self, id: u64, user: &str) -> bool {
        self.find(id, None, user).expect("it depends on no rooms")
    }

    /// Whether a user is in a set that an answer refers to. `None`: a missing fact about rooms
    /// decides it.
    pub(crate) fn contains_if(&self, id: u64, subject: Subject<'_>, user: &str) -> Option<bool> {
        self.find(id, Some(subject), user)
    }

    fn find(&self, id: u64, subject: Option<Subject<'_>>, user: &str) -> Option<bool> {
        match self.live.get(&id).expect("a set is defined before it is used") {
            Set::List { users, complete } => {
                assert!(complete, "a set is complete before it is used");
                Some(users.iter().any(|one| one == user))
            }
            Set::Expression(expression) => self.evaluate_for(expression, subject, user),
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

    /// Whether a user is in an expression that depends on no rooms.
    pub(crate) fn evaluate(&self, expression: &SetExpression, user: &str) -> bool {
        self.evaluate_for(expression, None, user).expect("it depends on no rooms")
    }

    /// Whether a user is in an expression. `None`: a missing fact about rooms decides it.
    pub(crate) fn evaluate_if(
        &self,
        expression: &SetExpression,
        subject: Subject<'_>,
        user: &str,
    ) -> Option<bool> {
        self.evaluate_for(expression, Some(subject), user)
    }

    fn evaluate_for(
        &self,
        expression: &SetExpression,
        subject: Option<Subject<'_>>,
        user: &str,
    ) -> Option<bool> {
        let evaluate = |set: &SetExpression| self.evaluate_for(set, subject, user);
        match expression.expression.as_ref().expect("a kind that this client knows") {
            Expression::SetId(id) => self.find(*id, subject, user),
            Expression::AnyOf(list) => any(list.sets.iter().map(evaluate)),
            Expression::AllOf(list) => all(list.sets.iter().map(evaluate)),
            Expression::Difference(both) => {
                let excepted = evaluate(both.except.as_ref().unwrap());
                all([evaluate(both.any.as_ref().unwrap()), excepted.map(|is| !is)])
            }
            Expression::RoomMates(mates) => {
                let Subject { homeserver, user: one } = subject.expect("a set without rooms");
                are_room_mates(homeserver, mates, one, user)
            }
            leaf => Some(leaf_contains(leaf, user)),
        }
    }

    /// The sets that an expression refers to itself.
    pub(crate) fn references(expression: &SetExpression) -> Vec<u64> {
        match expression.expression.as_ref().unwrap() {
            Expression::SetId(id) => vec![*id],
            Expression::AnyOf(list) | Expression::AllOf(list) => {
                list.sets.iter().flat_map(Self::references).collect()
            }
            Expression::Difference(both) => [&both.any, &both.except]
                .into_iter()
                .flat_map(|set| Self::references(set.as_ref().unwrap()))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Whether an expression has a set among its exceptions, if it is none itself.
    fn excepts(&self, expression: &SetExpression, is_exception: bool, id: u64) -> bool {
        match expression.expression.as_ref().unwrap() {
            Expression::SetId(one) => match self.live.get(one) {
                Some(Set::Expression(inner)) => self.excepts(inner, is_exception, id),
                Some(Set::List { .. }) | None => is_exception && *one == id,
            },
            Expression::AnyOf(list) | Expression::AllOf(list) => {
                list.sets.iter().any(|set| self.excepts(set, is_exception, id))
            }
            Expression::Difference(both) => {
                self.excepts(both.any.as_ref().unwrap(), is_exception, id)
                    || self.excepts(both.except.as_ref().unwrap(), !is_exception, id)
            }
            _ => false,
        }
    }

    fn check_references(&self, expression: &SetExpression) {
        for id in Self::references(expression) {
            assert!(self.live.contains_key(&id), "sets refer to sets that are live");
        }
    }
}

/// Whether a user is in an expression of a unary answer, which has no ids.
pub(crate) fn contains(expression: &SetExpression, subject: Subject<'_>, user: &str) -> bool {
    ClientSets::default().evaluate_if(expression, subject, user) == Some(true)
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
