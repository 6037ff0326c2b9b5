//! Errors of calls, and their conversion from gRPC statuses.

use std::{error::Error as StdError, time::Duration};

use presence_router_proto::ERROR_DOMAIN;
use tonic::{Code, ConnectError, Status};
use tonic_types::StatusExt;

use crate::{
    ProtocolViolation, SetError,
    circuit_breaker::{CircuitOpen, Failure},
};

/// The reason for which there is no verdict. For every error, the homeserver must show
/// only the presence that it would show without the daemon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection was refused or broke, the daemon is shutting down, or the circuit
    /// breaker rejected the call after such failures.
    #[error("cannot be reached: {reason}")]
    Unreachable {
        /// The cause, for people. Not stable.
        reason: String,
        /// The time until the next attempt, if the call was not attempted; zero while
        /// another call is the attempt. `None`: the call was attempted.
        retry_in: Option<Duration>,
    },
    /// No answer came before the deadline.
    #[error("no answer within {} ms", .0.as_millis())]
    Deadline(Duration),
    /// The daemon refused the request.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// The daemon does not support the call, or not all of it; or the program at the address
    /// is not presence-router.
    #[error(
        "`{0}` is not implemented: the daemon is older than this client, or is not presence-router"
    )]
    Unsupported(&'static str),
    /// The daemon sent a message that the contract does not allow, or that only a later
    /// version of the contract allows.
    #[error("contract violated: {0}")]
    Protocol(#[from] ProtocolViolation),
}

/// A daemon's refusal of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("request refused ({}): {message}", reason.as_deref().unwrap_or(code.description()))]
pub struct Refusal {
    /// The gRPC code, which decides if repeating can help.
    pub code: Code,
    /// The stable reason: the name of an `ErrorReason` value without prefix. `None`: the
    /// daemon gave no reason, or the refusal comes from a proxy.
    pub reason: Option<String>,
    /// The problem, for people. Not stable.
    pub message: String,
    /// The invalid fields of the request.
    pub violations: Vec<FieldViolation>,
}

/// An invalid field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field in the request: `states[3].user_id`.
    pub field: String,
    /// The value found and the values that are valid, for people. Not stable.
    pub description: String,
}

// === impl Error ===

impl Error {
    /// Returns true if something answers at the address, and does not serve this client: it
    /// refuses, lacks the call, or breaks the contract. A near-cache then drops its answers. False
    /// if nothing answers in time.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Unsupported(_) | Self::Protocol(_) => true,
            Self::Unreachable { .. } | Self::Deadline(_) => false,
        }
    }

    pub(crate) fn from_open_circuit(open: CircuitOpen) -> Self {
        Self::Unreachable { reason: open.reason.to_string(), retry_in: Some(open.retry_in) }
    }

    pub(crate) fn from_status(status: &Status, deadline: Duration) -> Self {
        let details = status.get_error_details();
        let reason = details
            .error_info()
            .filter(|info| info.domain == ERROR_DOMAIN)
            .map(|info| info.reason.clone());
        match status.code() {
            Code::DeadlineExceeded => Self::Deadline(deadline),
            // tonic reports its own timeout in this way.
            Code::Cancelled if status.message() == "Timeout expired" => Self::Deadline(deadline),
            // tonic reports a broken connection by the last two codes, without a
            // reason.
            Code::Unavailable => Self::unreachable(status),
            Code::Cancelled | Code::Unknown if reason.is_none() => Self::unreachable(status),
            code => Self::Refused(Box::new(Refusal {
                code,
                reason,
                message: status.message().to_owned(),
                violations: details
                    .bad_request()
                    .map(|bad| bad.field_violations.as_slice())
                    .unwrap_or_default()
                    .iter()
                    .map(|one| FieldViolation {
                        field: one.field.clone(),
                        description: one.description.clone(),
                    })
                    .collect(),
            })),
        }
    }

    /// Returns the failure that the circuit breaker counts; `None` if the daemon
    /// answered.
    pub(crate) fn breaker_failure(&self, status: Option<&Status>) -> Option<Failure> {
        match self {
            Self::Refused(_) | Self::Unsupported(_) => None,
            Self::Deadline(_) | Self::Protocol(_) => Some(Failure::Unanswered),
            Self::Unreachable { .. } => {
                let refused = status.is_some_and(|status| {
                    source_chain(status).any(|error| error.downcast_ref::<ConnectError>().is_some())
                });
                Some(if refused { Failure::Refused } else { Failure::Unanswered })
            }
        }
    }

    /// Returns the text of the error as the reason of later errors: without "cannot be
    /// reached", which the later error adds, and without this call's deadline.
    pub(crate) fn summary(&self) -> String {
        match self {
            Self::Unreachable { reason, .. } => reason.clone(),
            Self::Deadline(_) => "no answer in time".to_owned(),
            other => other.to_string(),
        }
    }

    /// Converts the status of a call that older daemons do not support.
    pub(crate) fn from_status_of(call: &'static str, status: &Status, deadline: Duration) -> Self {
        match Self::from_status(status, deadline) {
            // gRPC itself reports an unknown call in this way.
            Self::Refused(refusal)
                if refusal.code == Code::Unimplemented && refusal.reason.is_none() =>
            {
                Self::Unsupported(call)
            }
            other => other,
        }
    }

    /// Returns the stable reason of a refusal.
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => refusal.reason.as_deref(),
            _ => None,
        }
    }

    fn unreachable(status: &Status) -> Self {
        // The innermost cause is the useful one ("No such file or directory"); the
        // outer ones are texts such as "tcp connect error".
        let cause = source_chain(status).last().map(ToString::to_string);
        let reason = cause.unwrap_or_else(|| status.message().to_owned());
        Self::Unreachable { reason, retry_in: None }
    }
}

impl From<SetError> for Error {
    fn from(error: SetError) -> Self {
        Self::Protocol(error.into())
    }
}

/// Returns true if an error below gRPC caused a status.
pub(crate) fn has_source(status: &Status) -> bool {
    source_chain(status).next().is_some()
}

/// Returns the causes of a status, outermost first, without the status itself.
fn source_chain(status: &Status) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(status.source(), |error| (*error).source())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    const DEADLINE: Duration = Duration::from_millis(200);

    fn from(status: Status) -> Error {
        Error::from_status(&status, DEADLINE)
    }

    #[test]
    fn local_timeouts_of_tonic_are_deadlines() {
        assert_eq!(from(Status::cancelled("Timeout expired")), Error::Deadline(DEADLINE));
        assert_eq!(from(Status::deadline_exceeded("x")), Error::Deadline(DEADLINE));
    }

    #[test]
    fn what_tonic_says_of_broken_connections_is_unreachable() {
        for status in [Status::unknown("x"), Status::cancelled("x"), Status::unavailable("x")] {
            let error = from(status);
            assert_eq!(error, Error::Unreachable { reason: "x".into(), retry_in: None });
            assert_eq!(error.breaker_failure(None), Some(Failure::Unanswered));
        }
    }

    #[test]
    fn a_refusal_keeps_reason_and_fields_of_our_domain_only() {
        let mut details = ErrorDetails::with_error_info("USER_ID_INVALID", ERROR_DOMAIN, []);
        details.add_bad_request_violation("states[3].user_id", "no `:`");
        let Error::Refused(refusal) =
            from(Status::with_error_details(Code::InvalidArgument, "bad", details))
        else {
            panic!("not a refusal");
        };
        assert_eq!(refusal.reason.as_deref(), Some("USER_ID_INVALID"));
        assert_eq!(refusal.violations[0].field, "states[3].user_id");
        assert_eq!(refusal.to_string(), "request refused (USER_ID_INVALID): bad");

        let foreign = ErrorDetails::with_error_info("X", "elsewhere", []);
        let Error::Refused(refusal) =
            from(Status::with_error_details(Code::Internal, "bad", foreign))
        else {
            panic!("not a refusal");
        };
        assert_eq!(refusal.reason, None);
    }
}
