//! A client of a stream, as far as sets go, that knows the rooms.

use std::collections::{BTreeMap, BTreeSet};

use presence_router_ids::{Glob, RoomConditions, UserId, all_of, any_of};
use presence_router_proto::v1::{
    SetDifference, SetEdit, SetExpression, SetPart, set_expression::Expression, set_part::Content,
};
use prost::Message;

use crate::rpc::stream::set_table::SetUpdate;

/// The rooms of every pair: if the users share any room, and if they share an encrypted one.
pub(super) type Facts = [Option<bool>; 2];

/// The sets that the client has. An addition waits for `Changed`.
#[derive(Default)]
pub(super) struct Client {
    sets: BTreeMap<u64, Set>,
    additions: Vec<(u64, Vec<String>)>,
}

enum Set {
    Users(BTreeSet<String>),
    Expression(SetExpression),
}

// === impl Client ===

impl Client {
    /// Takes a message. Returns the set that it ends.
    pub(super) fn take(&mut self, update: SetUpdate) -> Option<u64> {
        match update {
            SetUpdate::Part(part) => {
                let part = SetPart::decode(part.encode_to_vec().as_slice()).unwrap();
                let set = match part.content {
                    Some(Content::Users(users)) => Set::Users(users.user_ids.into_iter().collect()),
                    Some(Content::Expression(expression)) => Set::Expression(expression),
                    None => Set::Users(BTreeSet::new()),
                };
                self.sets.insert(part.id, set);
                None
            }
            SetUpdate::Edit(SetEdit { id, added, removed }) => {
                let Some(Set::Users(users)) = self.sets.get_mut(&id) else { panic!("{id}") };
                removed.iter().for_each(|user| assert!(users.remove(user), "{user} is in {id}"));
                self.additions.push((id, added));
                None
            }
            SetUpdate::Retired(retired) => {
                self.sets.remove(&retired.id).unwrap();
                Some(retired.id)
            }
        }
    }

    /// Applies the additions, as on `Changed`.
    pub(super) fn take_changed(&mut self) {
        for (id, added) in std::mem::take(&mut self.additions) {
            if let Some(Set::Users(users)) = self.sets.get_mut(&id) {
                users.extend(added);
            }
        }
    }

    pub(super) fn set(&self, id: u64) -> &SetExpression {
        let Some(Set::Expression(expression)) = self.sets.get(&id) else { panic!("{id}") };
        expression
    }

    /// Returns the ids of the sets that are nothing but the room-mates of a user.
    pub(super) fn room_mates(&self) -> impl Iterator<Item = u64> {
        let is_leaf = |set: &&Set| {
            matches!(
                set,
                Set::Expression(SetExpression { expression: Some(Expression::RoomMates(_)) })
            )
        };
        self.sets.iter().filter(move |(_, set)| is_leaf(set)).map(|(id, _)| *id)
    }

    /// Returns the number of lists of users.
    pub(super) fn lists(&self) -> usize {
        self.sets.values().filter(|set| matches!(set, Set::Users(_))).count()
    }

    /// Returns true if a user is in a set, `None` if an unknown fact decides it.
    pub(super) fn contains(&self, id: u64, user: &str, facts: Facts) -> Option<bool> {
        match self.sets.get(&id).unwrap_or_else(|| panic!("set {id} is gone")) {
            Set::Users(users) => Some(users.contains(user)),
            Set::Expression(expression) => self.is_in(expression, user, facts),
        }
    }

    pub(super) fn is_in(&self, set: &SetExpression, user: &str, facts: Facts) -> Option<bool> {
        let server = || UserId::parse(user).unwrap().server().to_owned();
        let is_in = |set: &SetExpression| self.is_in(set, user, facts);
        match set.expression.as_ref().unwrap() {
            Expression::Users(users) => Some(users.user_ids.iter().any(|one| one == user)),
            Expression::Everyone(_) => Some(true),
            Expression::Server(glob) => Some(Glob::new(glob.as_str()).matches(&server())),
            Expression::Match(_) => unreachable!("no policy here has a pattern"),
            Expression::SetId(id) => self.contains(*id, user, facts),
            Expression::AnyOf(list) => any_of(list.sets.iter().map(is_in)),
            Expression::AllOf(list) => all_of(list.sets.iter().map(is_in)),
            Expression::Difference(difference) => {
                let SetDifference { any, except } = &**difference;
                let [any, except] = [any, except].map(|set| is_in(set.as_ref().unwrap()));
                all_of([any, except.map(|is_in| !is_in)])
            }
            Expression::RoomMates(mates) => {
                let conditions = RoomConditions::try_from(mates).unwrap();
                facts[usize::from(!conditions.is_any_room())]
            }
        }
    }
}
