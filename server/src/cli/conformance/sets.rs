//! The sets of a stream. Checks every promise of the contract about sets that a client may
//! rely on. The globs are those of the crate `presence-router-ids`.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

use presence_router_ids::{Glob, RoomConditions, UserGlob, all_of, any_of};
use presence_router_proto::v1::set_expression::Expression;
use presence_router_proto::v1::set_part::Content;
use presence_router_proto::v1::{RoomMates, SetEdit, SetExpression, SetPart, UserList};

use super::caller::Caller;
use super::difference::Difference;

/// The sets of a stream. A unary answer has none. The *subject* is the user that an answer is
/// about.
#[derive(Debug, Default)]
pub(super) struct DefinedSets {
    /// The client, which evaluates what it has capabilities for.
    caller: Caller,
    live: HashMap<u64, Set>,
    last_id: u64,
    /// Users that edits added; they are members from the next `Changed` on.
    added: HashMap<u64, BTreeSet<String>>,
}

#[derive(Debug)]
enum Set {
    List { users: BTreeSet<String>, complete: bool },
    Expression(SetExpression),
}

// === impl DefinedSets ===

impl DefinedSets {
    /// Returns the sets of a new stream: none.
    pub(super) fn new(caller: &Caller) -> Self {
        Self { caller: caller.clone(), ..Self::default() }
    }

    pub(super) fn add_part(&mut self, part: SetPart) -> Result<(), Difference> {
        let SetPart { id, content, last } = part;
        let incomplete = self.live.iter().find_map(|(id, set)| match set {
            Set::List { complete: false, .. } => Some(*id),
            _ => None,
        });
        match incomplete {
            Some(begun) if begun != id => {
                return differs(format!(
                    "a part of set {id} comes before the last part of set {begun}"
                ));
            }
            None if id <= self.last_id => {
                return differs(format!(
                    "set {id} is defined after set {}, but ids must ascend",
                    self.last_id
                ));
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
                self.check_expression(&expression)?;
                self.live.insert(id, Set::Expression(expression));
            }
            None => return differs(format!("a part of set {id} is empty, or of an unknown kind")),
        }
        Ok(())
    }

    pub(super) fn apply_edit(&mut self, edit: SetEdit) -> Result<(), Difference> {
        let Some(Set::List { users, complete: true }) = self.live.get_mut(&edit.id) else {
            return differs(format!("set {} is edited, but is not a complete list", edit.id));
        };
        let added = self.added.entry(edit.id).or_default();
        for user in &edit.removed {
            users.remove(user);
            added.remove(user);
        }
        added.extend(edit.added);
        Ok(())
    }

    /// Makes the users of earlier edits members, at a `Changed`.
    pub(super) fn apply_additions(&mut self) {
        for (id, more) in self.added.drain() {
            if let Some(Set::List { users, .. }) = self.live.get_mut(&id) {
                users.extend(more);
            }
        }
    }

    pub(super) fn retire_set(&mut self, id: u64) -> Result<(), Difference> {
        if self.live.remove(&id).is_none() {
            return differs(format!("set {id} is retired, but is not defined"));
        }
        self.added.remove(&id);
        let refers =
            |set: &Set| matches!(set, Set::Expression(all) if self.check_expression(all).is_err());
        match self.live.iter().find(|(_, set)| refers(set)) {
            Some((other, _)) => {
                differs(format!("set {id} is retired, but set {other} refers to it"))
            }
            None => Ok(()),
        }
    }

    /// Forgets all sets, but not their ids, which must not come again.
    pub(super) fn forget_all(&mut self) {
        self.live.clear();
        self.added.clear();
    }

    /// Returns true if a user is in this set, to which the answer about the subject refers.
    /// `None`: a missing fact about rooms decides it.
    pub(super) fn contains(
        &self,
        id: u64,
        user: &str,
        subject: &str,
    ) -> Result<Option<bool>, Difference> {
        self.check_reference(id)?;
        let set = SetExpression { expression: Some(Expression::SetId(id)) };
        Ok(self.expression_contains(&set, user, subject))
    }

    /// Returns the expression of a set. `None` if the set is a list.
    pub(super) fn expression(&self, id: u64) -> Option<&SetExpression> {
        match self.live.get(&id)? {
            Set::Expression(expression) => Some(expression),
            Set::List { .. } => None,
        }
    }

    /// Checks that an expression is complete and refers only to complete sets.
    pub(super) fn check_expression(&self, expression: &SetExpression) -> Result<(), Difference> {
        match &expression.expression {
            None => differs("an expression is empty, or of an unknown kind".into()),
            Some(Expression::Users(list)) => check_list(list),
            Some(Expression::Everyone(_) | Expression::Server(_)) => Ok(()),
            Some(Expression::RoomMates(room_mates)) => self.check_conditions(room_mates),
            Some(Expression::Match(pattern)) if UserGlob::parse(pattern).is_none() => {
                differs(format!("pattern `{pattern}` has no `:`"))
            }
            Some(Expression::Match(_)) => Ok(()),
            Some(Expression::SetId(id)) => self.check_reference(*id),
            Some(Expression::AllOf(list)) if list.sets.is_empty() => {
                differs("an `all_of` has no sets".into())
            }
            Some(Expression::AnyOf(list) | Expression::AllOf(list)) => {
                list.sets.iter().try_for_each(|set| self.check_expression(set))
            }
            Some(Expression::Difference(both)) => {
                self.check_expression(both.any.as_deref().unwrap_or(&SetExpression::default()))?;
                self.check_expression(both.except.as_deref().unwrap_or(&SetExpression::default()))
            }
        }
    }

    /// Returns true if a checked expression contains a user, in the answer about the subject.
    /// `None`: a missing fact about rooms decides it.
    pub(super) fn expression_contains(
        &self,
        expression: &SetExpression,
        user: &str,
        subject: &str,
    ) -> Option<bool> {
        let caller = &self.caller;
        self.evaluate(expression, user, &|conditions| caller.share_room(subject, user, conditions))
    }

    /// Returns the servers of the users in the lists of a set that depends on rooms, as far as
    /// the users may be in the set.
    pub(super) fn servers_of_room_mates(&self, id: u64) -> BTreeSet<String> {
        let set = SetExpression { expression: Some(Expression::SetId(id)) };
        let mut users = BTreeSet::new();
        if self.depends_on_rooms(&set) {
            self.collect_listed(&set, &mut users);
        }
        users.retain(|user| self.evaluate(&set, user, &|_| None) != Some(false));
        let server = |user: &String| user.split_once(':').map(|(_, server)| server.to_owned());
        users.iter().filter_map(server).collect()
    }

    fn evaluate(
        &self,
        expression: &SetExpression,
        user: &str,
        share_room: &dyn Fn(&RoomConditions) -> Option<bool>,
    ) -> Option<bool> {
        let is_in = |set: &SetExpression| self.evaluate(set, user, share_room);
        let is_in_side =
            |set: &Option<Box<SetExpression>>| set.as_ref().map_or(Some(false), |set| is_in(set));
        match &expression.expression {
            None => Some(false),
            Some(Expression::Users(list)) => Some(list.user_ids.iter().any(|one| one == user)),
            Some(Expression::Everyone(_)) => Some(true),
            Some(Expression::RoomMates(room_mates)) => {
                share_room(&RoomConditions::try_from(room_mates).ok()?)
            }
            Some(Expression::Server(server)) => {
                let name = user.split_once(':').map(|(_, name)| name);
                Some(name.is_some_and(|name| Glob::new(server.as_str()).matches(name)))
            }
            Some(Expression::Match(pattern)) => {
                Some(UserGlob::parse(pattern).is_some_and(|glob| glob.matches(user)))
            }
            Some(Expression::SetId(id)) => match self.live.get(id) {
                None => Some(false),
                Some(Set::List { users, .. }) => Some(users.contains(user)),
                Some(Set::Expression(expression)) => is_in(expression),
            },
            Some(Expression::AnyOf(list)) => any_of(list.sets.iter().map(is_in)),
            Some(Expression::AllOf(list)) => all_of(list.sets.iter().map(is_in)),
            Some(Expression::Difference(both)) => {
                let is_excepted = is_in_side(&both.except);
                all_of([is_in_side(&both.any), is_excepted.map(|is_in| !is_in)])
            }
        }
    }

    /// Adds the users of all lists in an expression and in the sets that it refers to.
    fn collect_listed(&self, expression: &SetExpression, to: &mut BTreeSet<String>) {
        match &expression.expression {
            Some(Expression::Users(list)) => to.extend(list.user_ids.iter().cloned()),
            Some(Expression::SetId(id)) => match self.live.get(id) {
                Some(Set::List { users, .. }) => to.extend(users.iter().cloned()),
                Some(Set::Expression(expression)) => self.collect_listed(expression, to),
                None => {}
            },
            Some(Expression::AnyOf(list) | Expression::AllOf(list)) => {
                list.sets.iter().for_each(|set| self.collect_listed(set, to));
            }
            Some(Expression::Difference(both)) => {
                let sides = [&both.any, &both.except].into_iter().flatten();
                sides.for_each(|set| self.collect_listed(set, to));
            }
            None
            | Some(
                Expression::Everyone(_)
                | Expression::Server(_)
                | Expression::Match(_)
                | Expression::RoomMates(_),
            ) => {}
        }
    }

    /// Returns true if an expression, or a set that it refers to, depends on rooms.
    pub(super) fn depends_on_rooms(&self, expression: &SetExpression) -> bool {
        let depends = |set: &SetExpression| self.depends_on_rooms(set);
        match &expression.expression {
            Some(Expression::RoomMates(_)) => true,
            Some(Expression::SetId(id)) => self.expression(*id).is_some_and(depends),
            Some(Expression::AnyOf(list) | Expression::AllOf(list)) => {
                list.sets.iter().any(depends)
            }
            Some(Expression::Difference(both)) => {
                [&both.any, &both.except].into_iter().flatten().any(|set| depends(set))
            }
            None
            | Some(
                Expression::Users(_)
                | Expression::Everyone(_)
                | Expression::Server(_)
                | Expression::Match(_),
            ) => false,
        }
    }

    /// Checks that the client has the capabilities for all conditions.
    fn check_conditions(&self, room_mates: &RoomMates) -> Result<(), Difference> {
        let Ok(conditions) = RoomConditions::try_from(room_mates) else {
            return differs(
                "a condition on rooms is empty, malformed, or of an unknown kind".into(),
            );
        };
        if self.caller.capabilities.covers(conditions.needed_capabilities()) {
            return Ok(());
        }
        differs("an expression refers to rooms, for which the client has no capability".into())
    }

    fn check_reference(&self, id: u64) -> Result<(), Difference> {
        match self.live.get(&id) {
            None => differs(format!("set {id} is used, but is not defined")),
            Some(Set::List { complete: false, .. }) => {
                differs(format!("set {id} is used before it is complete"))
            }
            Some(_) => Ok(()),
        }
    }
}

fn check_list(list: &UserList) -> Result<(), Difference> {
    if list.user_ids.is_sorted_by(|one, next| one < next) {
        Ok(())
    } else {
        differs(format!("a list of users is not sorted, or repeats a user: {:?}", list.user_ids))
    }
}

fn differs<T>(text: String) -> Result<T, Difference> {
    Err(Difference(text))
}
