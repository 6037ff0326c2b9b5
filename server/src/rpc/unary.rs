//! Answers of the two unary calls: the finite part as a list without the user itself, the open
//! part as an expression, and with it the users who depend on relations.

mod interest;
mod users_for_states;

use presence_router_proto::v1::Hide;
use prost::Message;

pub use self::interest::Interest;
pub(super) use self::users_for_states::users_for_states;
use super::{convert, error::RpcError};
use presence_router_engine::unstable::routing::query::visibility::AppliedHide;
use presence_router_engine::unstable::routing::snapshot::members::Members;
use presence_router_engine::unstable::routing::snapshot::user_table::UserTable;

/// Rejects an answer whose sets list more than `limit` bytes of user ids, as members or as
/// exceptions, before their expressions fill the memory. The answer has `bytes` already. Returns
/// the bytes with the sets. `instead` is the advice to the caller.
fn check_lists<'m>(
    sets: impl IntoIterator<Item = &'m Members>,
    user_table: &UserTable,
    mut bytes: usize,
    limit: usize,
    instead: &'static str,
) -> Result<usize, RpcError> {
    let lists = sets.into_iter().flat_map(|set| [set.listed_besides(), set.exceptions()]);
    for list in lists {
        for id in user_table.ids(list.iter()) {
            bytes += id.len();
            if bytes > limit {
                return Err(RpcError::AnswerTooLarge { limit, instead });
            }
        }
    }
    Ok(bytes)
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

#[cfg(test)]
mod tests {
    use presence_router_engine::unstable::routing::query::visibility::CallerView;
    use presence_router_engine::{Caller, NoFiles, Router, Side};
    use presence_router_ids::UserId;

    use super::*;

    #[test]
    fn exceptions_count_as_members_do() {
        let rules = "rules:\n  - { name: a, allow: { from: '@a:x', to: { server: y } } }\n  \
                     - { name: d, deny: { from: '@a:x', to: ['@b:y', '@c:y'] } }\n";
        let router = Router::load("policy.yaml", rules.as_bytes(), &NoFiles).unwrap();
        let (snapshot, caller) = (router.snapshot(), Caller::new(["x"]).unwrap());
        let signature = snapshot.signature(UserId::parse("@a:x").unwrap(), Side::Sender, &caller);
        let members = snapshot.counterparts(&signature, &CallerView::new(caller));
        let check = |limit| check_lists(members.all_sets(), snapshot.users(), 0, limit, "").ok();
        assert_eq!([check(7), check(8)], [None, Some(8)]);
    }
}
