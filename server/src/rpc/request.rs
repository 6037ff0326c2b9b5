//! Checks what callers send, before anything is computed.

use presence_router_proto::v1::{ErrorReason, FieldViolation, PresenceState};

use super::fault::{Fault, MAX_VIOLATIONS};
use crate::revision::Revision;
use crate::routing::caller::Caller;
use crate::routing::user_id::UserId;

/// Most server names that a caller may hold.
pub(super) const MAX_SERVER_NAMES: usize = 100;

/// The caller that holds these server names.
pub(super) fn caller(server_names: &[String]) -> Result<Caller, Fault> {
    match server_names.len() {
        0 => return Err(Fault::ServerNamesMissing),
        1..=MAX_SERVER_NAMES => {}
        found => return Err(Fault::ServerNamesTooMany { found, limit: MAX_SERVER_NAMES }),
    }
    Caller::new(server_names).map_err(|(i, error)| Fault::BadFields {
        reason: ErrorReason::ServerNameInvalid,
        violations: vec![FieldViolation {
            field: format!("server_names[{i}]"),
            description: format!("is not a server name: {error}"),
        }],
    })
}

/// The senders of a batch, in its order.
pub(super) fn senders(states: &[PresenceState], limit: usize) -> Result<Vec<UserId<'_>>, Fault> {
    if states.len() > limit {
        return Err(Fault::BatchTooLarge { found: states.len(), limit });
    }
    let mut violations = Vec::new();
    let mut senders = Vec::with_capacity(states.len());
    for (i, state) in states.iter().enumerate() {
        match UserId::parse(&state.user_id) {
            Ok(user) => senders.push(user),
            Err(error) => {
                violations.push(FieldViolation {
                    field: format!("states[{i}].user_id"),
                    description: format!("is not a user id: {error}"),
                });
                if violations.len() == MAX_VIOLATIONS {
                    break;
                }
            }
        }
    }
    if violations.is_empty() {
        Ok(senders)
    } else {
        Err(Fault::BadFields { reason: ErrorReason::UserIdInvalid, violations })
    }
}

/// The user that a question is about.
pub(super) fn recipient(user_id: &str) -> Result<UserId<'_>, Fault> {
    UserId::parse(user_id).map_err(|error| Fault::BadFields {
        reason: ErrorReason::UserIdInvalid,
        violations: vec![FieldViolation {
            field: "user_id".to_owned(),
            description: format!("is not a user id: {error}"),
        }],
    })
}

/// Refuses a revision that the current one has not reached. Empty: any will do.
pub(super) fn reached(field: &'static str, text: &str, current: Revision) -> Result<(), Fault> {
    if text.is_empty() {
        return Ok(());
    }
    let wanted: Revision = text.parse().map_err(|_| Fault::RevisionMalformed { field })?;
    if wanted.epoch != current.epoch {
        Err(Fault::RevisionOfOtherHistory { field, current: current.to_string() })
    } else if wanted.number > current.number {
        Err(Fault::RevisionNotReached { field, current: current.to_string() })
    } else {
        Ok(())
    }
}
