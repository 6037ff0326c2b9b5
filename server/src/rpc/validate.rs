//! Checks what callers send, before anything is computed.

use std::sync::Arc;
use std::time::Duration;

use presence_router_proto::v1::{ErrorReason, FieldViolation, PresenceState};

use crate::live::{Current, Live};
use crate::revision::Revision;
use crate::rpc::error::{Fault, MAX_VIOLATIONS};
use presence_router_engine::routing::model::caller::Caller;
use presence_router_ids::{UserId, UserIdError};

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

/// Refuses a batch with more states than the limit.
pub(super) fn batch_size(found: usize, limit: usize) -> Result<(), Fault> {
    if found > limit { Err(Fault::BatchTooLarge { found, limit }) } else { Ok(()) }
}

/// The senders of a batch, in its order.
pub(super) fn senders(states: &[PresenceState], limit: usize) -> Result<Vec<UserId<'_>>, Fault> {
    batch_size(states.len(), limit)?;
    let mut violations = Violations::default();
    let mut senders = Vec::with_capacity(states.len());
    for (index, state) in states.iter().enumerate() {
        match UserId::parse(&state.user_id) {
            Ok(user) => senders.push(user),
            Err(error) => violations.state(index, error)?,
        }
    }
    violations.refuse()?;
    Ok(senders)
}

/// Bad fields, collected until there are enough.
#[derive(Debug, Default)]
pub(super) struct Violations(Vec<FieldViolation>);

impl Violations {
    /// Notes that a state's user is not one. Fails once the list is full.
    pub(super) fn state(&mut self, index: usize, error: UserIdError) -> Result<(), Fault> {
        self.0.push(FieldViolation {
            field: format!("states[{index}].user_id"),
            description: format!("is not a user id: {error}"),
        });
        if self.0.len() < MAX_VIOLATIONS { Ok(()) } else { std::mem::take(self).refuse() }
    }

    /// Fails if anything was noted.
    pub(super) fn refuse(self) -> Result<(), Fault> {
        let Self(violations) = self;
        if violations.is_empty() {
            return Ok(());
        }
        Err(Fault::BadFields { reason: ErrorReason::UserIdInvalid, violations })
    }
}

/// The user that a question is about.
pub(super) fn recipient(user_id: &str) -> Result<UserId<'_>, Fault> {
    user("user_id", user_id)
}

/// The user that a field names.
pub(super) fn user<'a>(field: &str, user_id: &'a str) -> Result<UserId<'a>, Fault> {
    UserId::parse(user_id).map_err(|error| Fault::BadFields {
        reason: ErrorReason::UserIdInvalid,
        violations: vec![FieldViolation {
            field: field.to_owned(),
            description: format!("is not a user id: {error}"),
        }],
    })
}

/// What is in force once a revision is reached: now, if it is; else it is waited
/// for, since a daemon beside this one may have been faster. Empty: now.
pub(super) async fn at_least(
    live: &Live,
    field: &'static str,
    text: &str,
    longest: Duration,
) -> Result<Arc<Current>, Fault> {
    let mut revisions = live.subscribe();
    let reaching = async {
        loop {
            let current = Arc::clone(&revisions.borrow_and_update());
            match reached(field, text, current.revision) {
                Err(Fault::RevisionNotReached { .. }) => {}
                refused_or_not => return refused_or_not.map(|()| current),
            }
            // Never fails: whoever serves holds the sender.
            let _ = revisions.changed().await;
        }
    };
    match tokio::time::timeout(longest, reaching).await {
        Ok(reached_or_refused) => reached_or_refused,
        Err(_) => {
            let current = live.now();
            reached(field, text, current.revision).map(|()| current)
        }
    }
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
