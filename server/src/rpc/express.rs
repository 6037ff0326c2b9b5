//! Says a set in the contract's words.

use presence_router_proto::v1::{
    Everyone, SetDifference, SetExpression, SetList, UserList, set_expression::Expression,
};
use roaring::RoaringBitmap;

use crate::routing::members::{Members, Open};
use crate::routing::people::People;

/// The open part of a set with its exceptions; `None` if there is none.
///
/// Exceptions are the one thing that names users who are not in: those whom the
/// open rule would let in otherwise, and nobody else.
pub(super) fn open_part(members: &Members, people: &People) -> Option<SetExpression> {
    if *members.open() == Open::Nobody {
        return None;
    }
    let open = open(members.open());
    let exceptions = members.exceptions();
    Some(if exceptions.is_empty() {
        open
    } else {
        expression(Expression::Difference(Box::new(SetDifference {
            any: Some(Box::new(open)),
            except: Some(Box::new(expression(Expression::Users(users(&exceptions, people))))),
        })))
    })
}

/// The union of sets that the stream defined.
pub(super) fn union_of(set_ids: impl IntoIterator<Item = u64>) -> SetExpression {
    any_of(set_ids.into_iter().map(set).collect())
}

/// A set that the stream defined.
pub(super) fn set(id: u64) -> SetExpression {
    expression(Expression::SetId(id))
}

/// The union of sets.
pub(super) fn any_of(sets: Vec<SetExpression>) -> SetExpression {
    expression(Expression::AnyOf(SetList { sets }))
}

/// A list of users, in the order of their bytes.
pub(super) fn users(numbers: &RoaringBitmap, people: &People) -> UserList {
    UserList { user_ids: numbers.iter().map(|n| people.id(n).to_owned()).collect() }
}

fn open(rule: &Open) -> SetExpression {
    let list = |all: &[Open]| SetList { sets: all.iter().map(open).collect() };
    expression(match rule {
        // Not reached: rules fold it away. The empty union is what it means.
        Open::Nobody => Expression::AnyOf(SetList::default()),
        Open::Everyone => Expression::Everyone(Everyone {}),
        Open::Server(glob) => Expression::Server(glob.as_str().to_owned()),
        Open::Match(pattern) => Expression::Match(pattern.to_pattern()),
        Open::Union(all) => Expression::AnyOf(list(all)),
        Open::Intersection(all) => Expression::AllOf(list(all)),
        Open::Difference(any, except) => Expression::Difference(Box::new(SetDifference {
            any: Some(Box::new(open(any))),
            except: Some(Box::new(open(except))),
        })),
    })
}

fn expression(expression: Expression) -> SetExpression {
    SetExpression { expression: Some(expression) }
}
