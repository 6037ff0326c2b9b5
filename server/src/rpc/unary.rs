//! Answers of the two unary calls: the finite part as a list without the user itself, the open
//! part as an expression, and with it the users who depend on relations.

mod interest;
mod users_for_states;

use presence_router_proto::v1::Hide;
use prost::Message;

pub use self::interest::Interest;
pub(super) use self::users_for_states::users_for_states;
use super::{convert, error::RpcError};
use presence_router_engine::unstable::routing::query::conditional_members::ConditionalMembers;
use presence_router_engine::unstable::routing::query::visibility::AppliedHide;
use presence_router_engine::unstable::routing::snapshot::members::Members;
use presence_router_engine::unstable::routing::snapshot::user_table::UserTable;

/// Rejects an answer whose expression lists more than `limit` bytes of user ids, before the
/// expression fills the memory. The answer has `bytes` already. `instead` is the advice to the
/// caller.
fn check_lists(
    members: &ConditionalMembers,
    user_table: &UserTable,
    mut bytes: usize,
    limit: usize,
    instead: &'static str,
) -> Result<(), RpcError> {
    for list in members.all_sets().map(Members::listed_besides) {
        for id in user_table.ids(list.iter()) {
            bytes += id.len();
            if bytes > limit {
                return Err(RpcError::AnswerTooLarge { limit, instead });
            }
        }
    }
    Ok(())
}

/// Writes a hide with its users.
fn write_hide(applied: &AppliedHide<'_>, user_table: &UserTable) -> Hide {
    let users = convert::members_to_expression(&applied.users, user_table);
    let users = match applied.relation {
        Some(relation) => convert::restrict_to_relation(users, relation),
        None => users,
    };
    convert::hide_of_users(users, applied.hide)
}

/// Rejects an answer over the limit. `instead` is the advice to the caller.
pub(super) fn check_size<M: Message>(
    answer: M,
    limit: usize,
    instead: &'static str,
) -> Result<M, RpcError> {
    if answer.encoded_len() > limit {
        return Err(RpcError::AnswerTooLarge { limit, instead });
    }
    Ok(answer)
}
