//! Writes sets as expressions of the contract.

pub mod policy;

use presence_router_proto::v1::{
    Everyone, Hide, PresenceField, SetDifference, SetExpression, SetList, UserList,
    set_expression::Expression,
};
use roaring::RoaringBitmap;

use presence_router_engine::Fields;
use presence_router_engine::unstable::routing::model::ruleset;
use presence_router_engine::unstable::routing::snapshot::members::{Members, Open};
use presence_router_engine::unstable::routing::snapshot::user_table::{NamedId, UserTable};

/// The open part of a set with its exceptions; `None` if there is none.
/// `exceptions` writes a list of users.
///
/// Only exceptions name users that are not in the set: those that the open part would let
/// in otherwise, and no others.
pub(super) fn open_part_to_expression(
    members: &Members,
    exceptions: impl FnOnce(&RoaringBitmap) -> SetExpression,
) -> Option<SetExpression> {
    if *members.open() == Open::Nobody {
        return None;
    }
    let open = open_to_expression(members.open());
    let except = members.exceptions();
    Some(if except.is_empty() {
        open
    } else {
        expression(Expression::Difference(Box::new(SetDifference {
            any: Some(Box::new(open)),
            except: Some(Box::new(exceptions(&except))),
        })))
    })
}

/// A hide for some users.
pub(super) fn hide_of_users(users: SetExpression, hide: &ruleset::Hide) -> Hide {
    Hide { users: Some(users), ..hide_of_pair(hide) }
}

/// A hide for a pair that its message names elsewhere.
pub(super) fn hide_of_pair(hide: &ruleset::Hide) -> Hide {
    Hide {
        users: None,
        fields: fields(hide.fields),
        unless_presence: hide.unless.iter().map(|presence| presence.to_string()).collect(),
    }
}

/// Fields that are hidden.
pub(super) fn fields(hidden: Fields) -> Vec<i32> {
    let Fields { presence, status_msg, last_active_ts, currently_active } = hidden;
    let fields = [
        (presence, PresenceField::Presence),
        (status_msg, PresenceField::StatusMsg),
        (last_active_ts, PresenceField::LastActiveTs),
        (currently_active, PresenceField::CurrentlyActive),
    ];
    fields.iter().filter(|(is, _)| *is).map(|(_, field)| (*field).into()).collect()
}

/// All of a set: a list as far as it is finite, and its open part.
pub(super) fn members_to_expression(members: &Members, user_table: &UserTable) -> SetExpression {
    let listed = members.listed_besides();
    match open_part_to_expression(members, |except| users_to_expression(except, user_table)) {
        None => users_to_expression(&listed, user_table),
        Some(open) if listed.is_empty() => open,
        Some(open) => any_of(vec![users_to_expression(&listed, user_table), open]),
    }
}

/// A list of users, as an expression.
pub(super) fn users_to_expression(
    numbers: &RoaringBitmap,
    user_table: &UserTable,
) -> SetExpression {
    user_list_expression(user_list(numbers, user_table))
}

/// The same of a list that was made already.
pub(super) fn user_list_expression(users: UserList) -> SetExpression {
    expression(Expression::Users(users))
}

/// The union of sets that the stream defined.
pub(super) fn union_of_sets(set_ids: impl IntoIterator<Item = u64>) -> SetExpression {
    any_of(set_ids.into_iter().map(set_reference).collect())
}

/// A set that the stream defined.
pub(super) fn set_reference(id: u64) -> SetExpression {
    expression(Expression::SetId(id))
}

/// The union of sets.
pub(super) fn any_of(sets: Vec<SetExpression>) -> SetExpression {
    expression(Expression::AnyOf(SetList { sets }))
}

/// A list of users, in the order of their bytes.
pub(super) fn user_list(numbers: &RoaringBitmap, user_table: &UserTable) -> UserList {
    UserList { user_ids: user_ids(numbers, user_table).into_iter().map(Into::into).collect() }
}

/// The ids of users, in the order of their bytes.
pub(super) fn user_ids<'p>(numbers: &RoaringBitmap, user_table: &'p UserTable) -> Vec<NamedId<'p>> {
    let mut ids: Vec<_> = user_table.ids(numbers.iter()).collect();
    // Often they are sorted, as a policy's are numbered so; that is seen at once.
    ids.sort_unstable();
    ids
}

fn open_to_expression(rule: &Open) -> SetExpression {
    let list = |all: &[Open]| SetList { sets: all.iter().map(open_to_expression).collect() };
    expression(match rule {
        // Not reached: rules fold it away. The empty union is what it means.
        Open::Nobody => Expression::AnyOf(SetList::default()),
        Open::Everyone => Expression::Everyone(Everyone {}),
        Open::Server(glob) => Expression::Server(glob.as_str().to_owned()),
        Open::Match(pattern) => Expression::Match(pattern.to_pattern()),
        Open::Union(all) => Expression::AnyOf(list(all)),
        Open::Intersection(all) => Expression::AllOf(list(all)),
        Open::Difference(any, except) => Expression::Difference(Box::new(SetDifference {
            any: Some(Box::new(open_to_expression(any))),
            except: Some(Box::new(open_to_expression(except))),
        })),
    })
}

fn expression(expression: Expression) -> SetExpression {
    SetExpression { expression: Some(expression) }
}
