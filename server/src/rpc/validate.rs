//! Checks requests before anything is computed.

use std::sync::Arc;
use std::time::Duration;

use presence_router_proto::rooms::room_capabilities;
use presence_router_proto::v1::{Capability, ErrorReason, FieldViolation, PresenceState};

use crate::live::{Current, Live};
use crate::revision::Revision;
use crate::rpc::error::{MAX_VIOLATIONS, RpcError};
use presence_router_engine::{Caller, CallerError};
use presence_router_ids::{UserId, UserIdError};

/// Most server names that a caller may hold.
pub(super) const MAX_SERVER_NAMES: usize = 100;

/// Invalid fields, up to [`MAX_VIOLATIONS`].
#[derive(Debug, Default)]
pub(super) struct Violations(Vec<FieldViolation>);

/// Returns the caller that holds these server names, and states these capabilities.
pub(super) fn parse_caller(
    server_names: &[String],
    capabilities: impl IntoIterator<Item = Capability>,
) -> Result<Caller, RpcError> {
    match server_names.len() {
        0 => return Err(RpcError::ServerNamesMissing),
        1..=MAX_SERVER_NAMES => {}
        found => return Err(RpcError::ServerNamesTooMany { found, limit: MAX_SERVER_NAMES }),
    }
    let caller =
        Caller::new(server_names).map_err(|CallerError { index, error }| RpcError::BadFields {
            reason: ErrorReason::ServerNameInvalid,
            violations: vec![FieldViolation {
                field: format!("server_names[{index}]"),
                description: format!("is not a server name: {error}"),
            }],
        })?;
    Ok(caller.with_capabilities(room_capabilities(capabilities)))
}

/// Rejects a batch with more states than the limit.
pub(super) fn check_batch_size(found: usize, limit: usize) -> Result<(), RpcError> {
    if found > limit { Err(RpcError::BatchTooLarge { found, limit }) } else { Ok(()) }
}

/// Returns the senders of a batch, in its order.
pub(super) fn parse_senders(
    states: &[PresenceState],
    limit: usize,
) -> Result<Vec<UserId<'_>>, RpcError> {
    check_batch_size(states.len(), limit)?;
    let mut violations = Violations::default();
    let mut senders = Vec::with_capacity(states.len());
    for (index, state) in states.iter().enumerate() {
        match UserId::parse(&state.user_id) {
            Ok(user) => senders.push(user),
            Err(error) => violations.add_state(index, error)?,
        }
    }
    violations.into_result()?;
    Ok(senders)
}

/// Returns the recipient of a query about interest.
pub(super) fn parse_recipient(user_id: &str) -> Result<UserId<'_>, RpcError> {
    parse_user("user_id", user_id)
}

/// Returns the user whose id is in a field.
pub(super) fn parse_user<'a>(field: &str, user_id: &'a str) -> Result<UserId<'a>, RpcError> {
    UserId::parse(user_id).map_err(|error| RpcError::BadFields {
        reason: ErrorReason::UserIdInvalid,
        violations: vec![FieldViolation {
            field: field.to_owned(),
            description: format!("is not a user id: {error}"),
        }],
    })
}

/// Waits until a revision is active, at most `longest`, and returns the active revision with its
/// policy and directory. Another replica may have reached the revision earlier than this daemon.
/// An empty text demands no revision.
pub(super) async fn wait_for_revision(
    live: &Live,
    field: &'static str,
    text: &str,
    longest: Duration,
) -> Result<Arc<Current>, RpcError> {
    let mut revisions = live.subscribe_current();
    let reaching = async {
        loop {
            let current = Arc::clone(&revisions.borrow_and_update());
            match check_revision(field, text, current.revision) {
                Err(RpcError::RevisionNotReached { .. }) => {}
                checked => return checked.map(|()| current),
            }
            // Cannot fail: `Live` owns the sender and outlives this call.
            let _ = revisions.changed().await;
        }
    };
    match tokio::time::timeout(longest, reaching).await {
        Ok(checked) => checked,
        Err(_) => {
            let current = live.current();
            check_revision(field, text, current.revision).map(|()| current)
        }
    }
}

/// Rejects a revision that this daemon has not reached. An empty text demands no revision.
pub(super) fn check_revision(
    field: &'static str,
    text: &str,
    current: Revision,
) -> Result<(), RpcError> {
    if text.is_empty() {
        return Ok(());
    }
    let wanted: Revision = text.parse().map_err(|_| RpcError::RevisionMalformed { field })?;
    if wanted.epoch != current.epoch {
        Err(RpcError::RevisionOfOtherHistory { field, current: current.to_string() })
    } else if wanted.number > current.number {
        Err(RpcError::RevisionNotReached { field, current: current.to_string() })
    } else {
        Ok(())
    }
}

// === impl Violations ===

impl Violations {
    /// Notes the invalid user id of a state. Fails once the list is full.
    pub(super) fn add_state(&mut self, index: usize, error: UserIdError) -> Result<(), RpcError> {
        self.0.push(FieldViolation {
            field: format!("states[{index}].user_id"),
            description: format!("is not a user id: {error}"),
        });
        if self.0.len() < MAX_VIOLATIONS { Ok(()) } else { std::mem::take(self).into_result() }
    }

    /// Fails if a violation was noted.
    pub(super) fn into_result(self) -> Result<(), RpcError> {
        let Self(violations) = self;
        if violations.is_empty() {
            return Ok(());
        }
        Err(RpcError::BadFields { reason: ErrorReason::UserIdInvalid, violations })
    }
}
