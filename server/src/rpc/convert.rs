//! Writes sets as expressions of the contract.

pub mod policy;
mod relation;

use presence_router_proto::v1::{
    Everyone, Hide, PresenceField, SetDifference, SetExpression, SetList, UserList,
    set_expression::Expression,
};
use roaring::RoaringBitmap;

pub(super) use self::relation::{
    any_of_except, conditional_to_expression, everyone, restrict_to_mates, restrict_to_relation,
    room_mates_of, unite,
};
use presence_router_engine::Fields;
use presence_router_engine::unstable::routing::model::ruleset;
use presence_router_engine::unstable::routing::snapshot::members::{Members, Open};
use presence_router_engine::unstable::routing::snapshot::user_table::{NamedId, UserTable};

/// Writes the open part of a set with its exceptions. Returns `None` if the set has no open
/// part. `exceptions` writes a list of users.
///
/// Only the exceptions name users outside the set, and they name no users except those that the
/// open part would include otherwise.
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
        wrap_expression(Expression::Difference(Box::new(SetDifference {
            any: Some(Box::new(open)),
            except: Some(Box::new(exceptions(&except))),
        })))
    })
}

/// Writes a hide that applies to `users`.
pub(super) fn hide_of_users(users: SetExpression, hide: &ruleset::Hide) -> Hide {
    Hide { users: Some(users), ..hide_of_pair(hide) }
}

/// Writes a hide for a pair that another field of the message names.
pub(super) fn hide_of_pair(hide: &ruleset::Hide) -> Hide {
    Hide {
        users: None,
        fields: fields_to_proto(hide.fields),
        unless_presence: hide.unless.iter().map(|presence| presence.to_string()).collect(),
    }
}

/// Writes the hidden fields.
pub(super) fn fields_to_proto(hidden: Fields) -> Vec<i32> {
    let Fields { presence, status_msg, last_active_ts, currently_active } = hidden;
    let fields = [
        (presence, PresenceField::Presence),
        (status_msg, PresenceField::StatusMsg),
        (last_active_ts, PresenceField::LastActiveTs),
        (currently_active, PresenceField::CurrentlyActive),
    ];
    fields.iter().filter(|(is, _)| *is).map(|(_, field)| (*field).into()).collect()
}

/// Writes a whole set: its finite part as a list, and its open part.
pub(super) fn members_to_expression(members: &Members, user_table: &UserTable) -> SetExpression {
    let listed = members.listed_besides();
    match open_part_to_expression(members, |except| users_to_expression(except, user_table)) {
        None => users_to_expression(&listed, user_table),
        Some(open) if listed.is_empty() => open,
        Some(open) => any_of(vec![users_to_expression(&listed, user_table), open]),
    }
}

/// Writes a list of users as an expression.
pub(super) fn users_to_expression(
    numbers: &RoaringBitmap,
    user_table: &UserTable,
) -> SetExpression {
    user_list_expression(user_list(numbers, user_table))
}

/// Wraps a finished list of users in an expression.
pub(super) fn user_list_expression(users: UserList) -> SetExpression {
    wrap_expression(Expression::Users(users))
}

/// Returns the union of sets that the stream has defined.
pub(super) fn union_of_sets(set_ids: impl IntoIterator<Item = u64>) -> SetExpression {
    any_of(set_ids.into_iter().map(set_reference).collect())
}

/// Returns a reference to a set that the stream has defined.
pub(super) fn set_reference(id: u64) -> SetExpression {
    wrap_expression(Expression::SetId(id))
}

/// Returns the union of sets.
pub(super) fn any_of(sets: Vec<SetExpression>) -> SetExpression {
    wrap_expression(Expression::AnyOf(SetList { sets }))
}

/// Returns a list of users, sorted by bytes.
pub(super) fn user_list(numbers: &RoaringBitmap, user_table: &UserTable) -> UserList {
    UserList { user_ids: user_ids(numbers, user_table).into_iter().map(Into::into).collect() }
}

/// Returns the ids of users, sorted by bytes.
pub(super) fn user_ids<'p>(numbers: &RoaringBitmap, user_table: &'p UserTable) -> Vec<NamedId<'p>> {
    let mut ids: Vec<_> = user_table.ids(numbers.iter()).collect();
    // The ids of a policy are numbered in this order, and the sort of sorted ids is fast.
    ids.sort_unstable();
    ids
}

fn open_to_expression(rule: &Open) -> SetExpression {
    let list = |all: &[Open]| SetList { sets: all.iter().map(open_to_expression).collect() };
    wrap_expression(match rule {
        // Not reached: rules fold it away. It means the empty union.
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

fn wrap_expression(expression: Expression) -> SetExpression {
    SetExpression { expression: Some(expression) }
}
