//! The sets of a stream, by all that the contract promises of them: what a client
//! may rely on is checked here. The globs are those of the contract crate.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

use presence_router_ids::{Glob, UserGlob};
use presence_router_proto::v1::set_expression::Expression;
use presence_router_proto::v1::set_part::Content;
use presence_router_proto::v1::{SetEdit, SetExpression, SetPart, UserList};

use super::difference::Difference;

/// The sets that a stream has defined. A unary answer has none.
#[derive(Debug, Default)]
pub(super) struct DefinedSets {
    live: HashMap<u64, Set>,
    last_id: u64,
    /// Users who are in from the next `Changed` on.
    added: HashMap<u64, BTreeSet<String>>,
}

#[derive(Debug)]
enum Set {
    List { users: BTreeSet<String>, complete: bool },
    Expression(SetExpression),
}

// === impl DefinedSets ===

impl DefinedSets {
    pub(super) fn define(&mut self, part: SetPart) -> Result<(), Difference> {
        let SetPart { id, content, last } = part;
        let incomplete = self.live.iter().find_map(|(id, set)| match set {
            Set::List { complete: false, .. } => Some(*id),
            _ => None,
        });
        match incomplete {
            Some(begun) if begun != id => {
                return differs(format!("a part of set {id} comes amid those of set {begun}"));
            }
            None if id <= self.last_id => {
                return differs(format!("set {id} comes after set {}", self.last_id));
            }
            _ => self.last_id = id,
        }
        match content {
            Some(Content::Users(list)) => {
                check_list(&list)?;
                let new = Set::List { users: BTreeSet::new(), complete: false };
                if let Set::List { users, complete } = self.live.entry(id).or_insert(new) {
                    users.extend(list.user_ids);
                    *complete = last;
                }
            }
            Some(Content::Expression(_)) if incomplete.is_some() || !last => {
                return differs(format!("the expression of set {id} is not its only part"));
            }
            Some(Content::Expression(expression)) => {
                self.check(&expression)?;
                self.live.insert(id, Set::Expression(expression));
            }
            None => return differs(format!("a part of set {id} is of no kind")),
        }
        Ok(())
    }

    pub(super) fn edit(&mut self, edit: SetEdit) -> Result<(), Difference> {
        let Some(Set::List { users, complete: true }) = self.live.get_mut(&edit.id) else {
            return differs(format!("set {} is edited, and is no list", edit.id));
        };
        let added = self.added.entry(edit.id).or_default();
        for user in &edit.removed {
            users.remove(user);
            added.remove(user);
        }
        added.extend(edit.added);
        Ok(())
    }

    pub(super) fn changed(&mut self) {
        for (id, more) in self.added.drain() {
            if let Some(Set::List { users, .. }) = self.live.get_mut(&id) {
                users.extend(more);
            }
        }
    }

    pub(super) fn retire(&mut self, id: u64) -> Result<(), Difference> {
        if self.live.remove(&id).is_none() {
            return differs(format!("set {id} is retired, and is not there"));
        }
        self.added.remove(&id);
        let refers = |set: &Set| matches!(set, Set::Expression(all) if self.check(all).is_err());
        match self.live.iter().find(|(_, set)| refers(set)) {
            Some((user, _)) => differs(format!("set {id} is retired, and set {user} refers to it")),
            None => Ok(()),
        }
    }

    /// Forgets all sets, but not which ids were used.
    pub(super) fn reset(&mut self) {
        self.live.clear();
        self.added.clear();
    }

    /// Whether a user is in a set that an answer refers to.
    pub(super) fn contains(&self, id: u64, user: &str) -> Result<bool, Difference> {
        self.check_reference(id)?;
        Ok(self.is_in(id, user))
    }

    /// Whether an expression is one that may come here.
    pub(super) fn check(&self, expression: &SetExpression) -> Result<(), Difference> {
        match &expression.expression {
            None => differs("an expression is of no kind".into()),
            Some(Expression::Users(list)) => check_list(list),
            Some(Expression::Everyone(_) | Expression::Server(_)) => Ok(()),
            Some(Expression::Match(pattern)) if UserGlob::parse(pattern).is_none() => {
                differs(format!("pattern `{pattern}` has no `:`"))
            }
            Some(Expression::Match(_)) => Ok(()),
            Some(Expression::SetId(id)) => self.check_reference(*id),
            Some(Expression::AllOf(list)) if list.sets.is_empty() => {
                differs("an intersection is of no sets".into())
            }
            Some(Expression::AnyOf(list) | Expression::AllOf(list)) => {
                list.sets.iter().try_for_each(|set| self.check(set))
            }
            Some(Expression::Difference(both)) => {
                self.check(both.any.as_deref().unwrap_or(&SetExpression::default()))?;
                self.check(both.except.as_deref().unwrap_or(&SetExpression::default()))
            }
        }
    }

    /// Whether a user is in an expression that has been checked.
    pub(super) fn evaluate(&self, expression: &SetExpression, user: &str) -> bool {
        let is_in = |one: Option<&SetExpression>| one.is_some_and(|set| self.evaluate(set, user));
        match &expression.expression {
            None => false,
            Some(Expression::Users(list)) => list.user_ids.iter().any(|one| one == user),
            Some(Expression::Everyone(_)) => true,
            Some(Expression::Server(server)) => user
                .split_once(':')
                .is_some_and(|(_, name)| Glob::new(server.as_str()).matches(name)),
            Some(Expression::Match(pattern)) => {
                UserGlob::parse(pattern).is_some_and(|glob| glob.matches(user))
            }
            Some(Expression::SetId(id)) => self.is_in(*id, user),
            Some(Expression::AnyOf(list)) => list.sets.iter().any(|set| is_in(Some(set))),
            Some(Expression::AllOf(list)) => list.sets.iter().all(|set| is_in(Some(set))),
            Some(Expression::Difference(both)) => {
                is_in(both.any.as_deref()) && !is_in(both.except.as_deref())
            }
        }
    }

    fn check_reference(&self, id: u64) -> Result<(), Difference> {
        match self.live.get(&id) {
            None => differs(format!("set {id} is used, and is not there")),
            Some(Set::List { complete: false, .. }) => {
                differs(format!("set {id} is used before it is complete"))
            }
            Some(_) => Ok(()),
        }
    }

    fn is_in(&self, id: u64, user: &str) -> bool {
        match self.live.get(&id) {
            None => false,
            Some(Set::List { users, .. }) => users.contains(user),
            Some(Set::Expression(expression)) => self.evaluate(expression, user),
        }
    }
}

fn check_list(list: &UserList) -> Result<(), Difference> {
    if list.user_ids.is_sorted_by(|one, next| one < next) {
        Ok(())
    } else {
        differs(format!("a list of users is not sorted, or repeats one: {:?}", list.user_ids))
    }
}

fn differs<T>(what: String) -> Result<T, Difference> {
    Err(Difference(what))
}
