//! The reasons for which a question has no answer.

use presence_router_client::{Error, Refusal};

/// The reason for which there is no answer.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Failure(#[from] Error);

// === impl Failure ===

impl Failure {
    /// Returns the name of this kind of failure, in metrics and for the Python half.
    pub(crate) fn outcome(&self) -> &'static str {
        match &self.0 {
            Error::Deadline(_) => "deadline",
            Error::Refused(refusal) if is_about_a_user_id(refusal) => "malformed",
            Error::Refused(_) | Error::Unsupported(_) => "refused",
            Error::Protocol(_) => "unusable",
            _ => "unreachable",
        }
    }

    /// Returns true if the daemon rejects a user id. This is an answer: nobody.
    pub(crate) fn is_about_a_user_id(&self) -> bool {
        matches!(&self.0, Error::Refused(refusal) if is_about_a_user_id(refusal))
    }
}

fn is_about_a_user_id(refusal: &Refusal) -> bool {
    refusal.reason.as_deref() == Some("USER_ID_INVALID")
}
