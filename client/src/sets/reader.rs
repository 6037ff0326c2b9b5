//! Conversion of the contract's expressions.

use std::sync::Arc;

use presence_router_proto::{
    ids::{Glob, RoomCapabilities, RoomConditions, UserGlob},
    rooms::UnknownCondition,
    v1::{RoomMates, SetDifference, SetExpression, SetList, set_expression::Expression},
};

use super::{SetError, kind::Kind};
use crate::list::List;

/// Converts expressions of the contract for evaluation.
pub(crate) struct ExpressionReader<'a> {
    /// Returns the set with an id. `None`: the id is not defined.
    pub(crate) set: &'a dyn Fn(u64) -> Option<Kind>,
    /// Refuses an unset expression even where it could only show presence to too few
    /// users.
    pub(crate) strict: bool,
    /// The parts of `share_room` that may occur.
    pub(crate) rooms: RoomCapabilities,
}

// === impl ExpressionReader ===

impl ExpressionReader<'_> {
    /// Converts an expression. `excepted` is true for the exceptions of another
    /// expression: there, an empty set in place of an unknown kind would show presence to
    /// too many users.
    pub(crate) fn read(
        &self,
        expression: Option<&SetExpression>,
        excepted: bool,
    ) -> Result<Kind, SetError> {
        let many = |list: &SetList| {
            let sets = list.sets.iter().map(|set| self.read(Some(set), excepted));
            sets.collect::<Result<Arc<[Kind]>, _>>()
        };
        Ok(match expression.and_then(|expression| expression.expression.as_ref()) {
            None if excepted => return Err(SetError::UnknownException),
            None if self.strict => return Err(SetError::UnknownKind),
            None => Kind::empty(),
            Some(Expression::Users(list)) => Kind::Users(List::new(list.user_ids.iter())),
            Some(Expression::Everyone(_)) => Kind::Everyone,
            Some(Expression::RoomMates(message)) => {
                Kind::RoomMates(self.read_conditions(message)?.into())
            }
            Some(Expression::Server(glob)) => Kind::Server(Glob::new(glob.as_str()).into()),
            Some(Expression::Match(pattern)) => {
                Kind::Match(UserGlob::parse(pattern).ok_or(SetError::Pattern)?.into())
            }
            Some(Expression::SetId(id)) => (self.set)(*id).ok_or(SetError::SetId(*id))?,
            Some(Expression::AnyOf(list)) => Kind::any_of(many(list)?),
            Some(Expression::AllOf(list)) if list.sets.is_empty() => {
                return Err(SetError::EmptyIntersection);
            }
            Some(Expression::AllOf(list)) => Kind::all_of(many(list)?),
            Some(Expression::Difference(difference)) => {
                let SetDifference { any, except } = &**difference;
                let any = self.read(any.as_deref(), excepted)?;
                Kind::difference(any, self.read(except.as_deref(), true)?)
            }
        })
    }

    /// Converts conditions. An unknown one is an error everywhere: without it, too many rooms
    /// would count.
    fn read_conditions(&self, message: &RoomMates) -> Result<RoomConditions, SetError> {
        let conditions = RoomConditions::try_from(message)
            .map_err(|UnknownCondition| SetError::UnknownCondition)?;
        if self.rooms.covers(conditions.needed_capabilities()) {
            Ok(conditions)
        } else {
            Err(SetError::UnstatedCapability)
        }
    }
}
