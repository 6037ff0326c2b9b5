//! Where a stream begins, and what its client has missed since it was here before.

use std::sync::Arc;
use std::time::Duration;

use super::changes::{Change, StreamState};
use crate::live::{Current, Live};
use crate::revision::Revision;
use crate::rpc::error::RpcError;
use crate::rpc::validate;

/// The beginning of a stream.
pub(super) struct Resumed {
    /// What is active at the revision that the stream begins at.
    pub(super) current: Arc<Current>,
    /// `None` if the client has missed nothing.
    pub(super) missed: Option<Missed>,
}

/// What a client that comes back has missed.
pub(super) enum Missed {
    /// What has changed since.
    Since(Arc<Current>),
    /// Something, of which no more is known.
    Unknown,
}

/// Begins a stream at a client's revision or a later one, for which it waits at most
/// `longest`.
///
/// Fails if the revision is not one, or was not reached.
pub(super) async fn resume(
    live: &Live,
    resume_revision: &str,
    longest: Duration,
) -> Result<Resumed, RpcError> {
    let field = "open.resume_revision";
    let current = match validate::wait_for_revision(live, field, resume_revision, longest).await {
        // After a restart nothing that it remembers holds; it may stay.
        Err(RpcError::RevisionOfOtherHistory { .. }) => {
            return Ok(Resumed { current: live.current(), missed: Some(Missed::Unknown) });
        }
        current => current?,
    };
    // Empty: it remembers nothing, and has missed nothing.
    let missed = resume_revision.parse().ok().filter(|kept: &Revision| *kept != current.revision);
    let missed = missed.map(|kept| live.at_revision(kept).map_or(Missed::Unknown, Missed::Since));
    Ok(Resumed { current, missed })
}

// === impl Missed ===

impl Missed {
    /// For a client that may have kept answers. What they hide is no visibility, so
    /// `Changed` does not name them; and their sets, which would be retired, ended
    /// with the stream before.
    pub(super) fn for_kept_answers(self, current: &Current) -> Self {
        match self {
            Self::Since(old) if !current.snapshot.hides_as(&old.snapshot) => Self::Unknown,
            missed => missed,
        }
    }

    /// The change from what the client has to what is active.
    pub(super) async fn into_change(
        self,
        state: &mut StreamState,
        live: &Live,
        current: &Arc<Current>,
    ) -> Change {
        match self {
            Self::Since(old) => {
                let difference = live.difference(&old, current).await;
                state.follow(&old, current, &difference)
            }
            Self::Unknown => Change::Reset(state.reset(current)),
        }
    }
}
