//! Errors of unusable answers: an answer that this version may misunderstand is no
//! verdict.

use presence_router_client::SetError;

/// The error for an answer that cannot be applied. It is no verdict.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AnswerError {
    #[error(transparent)]
    Set(#[from] SetError),
    #[error("the answer hides fields of a state without naming them")]
    Hides,
    #[error("the answer names a state that the request does not contain")]
    Index,
}
