//! Finds the revision at which a stream begins, and the changes that a returning client has
//! missed.

use std::sync::Arc;
use std::time::Duration;

use super::changes::{Change, StreamState};
use crate::live::{Current, Live};
use crate::revision::Revision;
use crate::rpc::error::RpcError;
use crate::rpc::validate;

/// The beginning of a stream.
pub(super) struct Resumed {
    /// The policy and the directory of the revision at which the stream begins.
    pub(super) current: Arc<Current>,
    /// `None` if the client has missed nothing.
    pub(super) missed: Option<Missed>,
}

/// The changes that a returning client has missed.
pub(super) enum Missed {
    /// All changes since this revision, the client's last one.
    Since(Arc<Current>),
    /// Changes that the daemon cannot name, so that the client must drop everything.
    Unknown,
}

/// Begins a stream at the client's revision or a later one. Waits at most `longest` for the
/// client's revision.
///
/// Fails if the revision is malformed, or was not reached.
pub(super) async fn resume_stream(
    live: &Live,
    resume_revision: &str,
    longest: Duration,
) -> Result<Resumed, RpcError> {
    let field = "open.resume_revision";
    let current = match validate::wait_for_revision(live, field, resume_revision, longest).await {
        // The daemon has restarted, so that nothing that the client remembers is valid. The
        // client need not call again: a `Reset` is enough.
        Err(RpcError::RevisionOfOtherHistory { .. }) => {
            return Ok(Resumed { current: live.current(), missed: Some(Missed::Unknown) });
        }
        current => current?,
    };
    // A client that sends no revision remembers nothing, and has missed nothing.
    let missed = resume_revision.parse().ok().filter(|kept: &Revision| *kept != current.revision);
    let missed = missed.map(|kept| live.at_revision(kept).map_or(Missed::Unknown, Missed::Since));
    Ok(Resumed { current, missed })
}

// === impl Missed ===

impl Missed {
    /// Writes the change from the client's revision to the current one.
    pub(super) async fn into_change(
        self,
        state: &mut StreamState,
        live: &Live,
        current: &Arc<Current>,
    ) -> Change {
        match self {
            Self::Since(old) => {
                let difference = live.difference(&old, current, state.capabilities()).await;
                state.follow_revision(&old, current, &difference)
            }
            Self::Unknown => Change::Reset(state.reset_stream(current)),
        }
    }
}
