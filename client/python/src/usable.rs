//! What of an answer cannot be used: what this version cannot be sure to understand
//! is no verdict.

use presence_router_client::SetError;

/// An answer that cannot be carried out. It is no verdict.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    #[error(transparent)]
    Set(#[from] SetError),
    #[error("it hides something of a state without saying what")]
    Hides,
    #[error("it names a state that was not asked about")]
    Index,
}
