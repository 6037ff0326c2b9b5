//! Answers of the two unary calls: the finite part as a list without the user itself, the open
//! part as an expression.

mod interest;
mod users_for_states;

use prost::Message;

pub use self::interest::Interest;
pub(super) use self::users_for_states::users_for_states;
use super::error::RpcError;

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
