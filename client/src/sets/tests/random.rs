//! Random sets over few users, and an evaluator that knows nothing but the definition.

use presence_router_proto::ids::{MemberCount, RoomCondition, RoomConditions, UserGlob};
use presence_router_proto::v1::{self, RoomMates, SetExpression, room_condition::Condition};

use super::*;

pub(crate) const USERS: [&str; 6] = ["@a:x", "@b:x", "@c:x", "@a:y", "@b:y", "@a:z"];
/// Numbers in no order.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    pub(crate) fn expression(&mut self, depth: usize) -> SetExpression {
        match self.below(if depth == 0 { 5 } else { 8 }) {
            0 => {
                let number = self.below(4);
                users(&(0..number).map(|_| USERS[self.below(6)]).collect::<Vec<_>>())
            }
            1 => everyone(),
            2 => server(["x", "y", "?"][self.below(3)]),
            3 => matching(["@a:*", "@*:x", "@b*:y"][self.below(3)]),
            4 => room_mates(&conditions_of(self.below(3))),
            5 => any_of(&self.expressions(0, depth - 1)),
            6 => all_of(&self.expressions(1, depth - 1)),
            _ => minus(self.expression(depth - 1), self.expression(depth - 1)),
        }
    }

    fn expressions(&mut self, least: usize, depth: usize) -> Vec<SetExpression> {
        let number = self.below(3) + least;
        (0..number).map(|_| self.expression(depth)).collect()
    }
}

pub(crate) fn room_mates(conditions: &RoomConditions) -> SetExpression {
    of(Expression::RoomMates(conditions.into()))
}

/// No condition, or one of two.
pub(crate) fn conditions_of(number: usize) -> RoomConditions {
    let count = |members| MemberCount::new(members, UserGlob::parse("@*-bot:*"));
    RoomConditions::new(
        [
            vec![],
            vec![RoomCondition::AtMost(count(2)), RoomCondition::Encrypted(true)],
            vec![RoomCondition::AtLeast(count(10))],
        ][number]
            .clone(),
    )
}

/// The value of an expression by its definition: `share_room` is a table by conditions.
pub(crate) fn naive(
    expression: &SetExpression,
    user: &str,
    facts: [Option<bool>; 3],
) -> Option<bool> {
    let (_, on) = user.split_once(':').unwrap();
    let of = |one: &SetExpression| naive(one, user, facts);
    match expression.expression.as_ref().unwrap() {
        Expression::RoomMates(RoomMates { all_of }) => match all_of.first() {
            None => facts[0],
            Some(v1::RoomCondition { condition: Some(Condition::AtMost(_)) }) => facts[1],
            Some(_) => facts[2],
        },
        Expression::Users(list) => Some(list.user_ids.iter().any(|one| one == user)),
        Expression::Everyone(_) => Some(true),
        Expression::Server(glob) => Some(glob == "?" || glob == on),
        Expression::Match(pattern) => Some(match pattern.as_str() {
            "@a:*" => user.starts_with("@a:"),
            "@*:x" => on == "x",
            _ => user.starts_with("@b") && on == "y",
        }),
        Expression::AnyOf(list) => {
            let all: Vec<_> = list.sets.iter().map(of).collect();
            let unknown = if all.contains(&None) { None } else { Some(false) };
            if all.contains(&Some(true)) { Some(true) } else { unknown }
        }
        Expression::AllOf(list) => {
            let all: Vec<_> = list.sets.iter().map(of).collect();
            let unknown = if all.contains(&None) { None } else { Some(true) };
            if all.contains(&Some(false)) { Some(false) } else { unknown }
        }
        Expression::Difference(both) => {
            match (of(both.any.as_deref().unwrap()), of(both.except.as_deref().unwrap())) {
                (Some(false), _) | (_, Some(true)) => Some(false),
                (Some(true), Some(false)) => Some(true),
                _ => None,
            }
        }
        Expression::SetId(_) => unreachable!(),
    }
}

pub(crate) fn number_of(conditions: &RoomConditions) -> usize {
    (0..3).find(|number| *conditions == conditions_of(*number)).unwrap()
}
