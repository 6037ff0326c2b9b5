//! The errors of calls, and the one place where each gets a gRPC code.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Display;

use presence_router_proto::ERROR_DOMAIN;
use presence_router_proto::server::policy_service_server;
use presence_router_proto::v1::{ErrorReason, FieldViolation, RequestError, request_error};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use tracing::error;

use super::limits::MAX_POLICY_REQUEST_BYTES;

/// Most violations that one error lists.
pub const MAX_VIOLATIONS: usize = 16;

/// The error of a request. The message contains the problem, its place and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// Invalid fields, at most [`MAX_VIOLATIONS`].
    #[error("{}", describe_violations(violations))]
    BadFields {
        /// The kind of problem.
        reason: ErrorReason,
        /// Each invalid field.
        violations: Vec<FieldViolation>,
    },

    /// No server names, and no identity to supply them.
    #[error("`server_names` is empty: list the names of your own servers")]
    ServerNamesMissing,

    /// More server names than a homeserver has.
    #[error("`server_names` has {found} entries, at most {limit} are valid: list your own servers")]
    ServerNamesTooMany {
        /// Names in the request.
        found: usize,
        /// The limit.
        limit: usize,
    },

    /// A batch over the limit. None of its states was routed.
    #[error(
        "the batch has {found} states, more than the daemon's `limits.batch_states`, {limit}: send smaller batches"
    )]
    BatchTooLarge {
        /// States in the batch.
        found: usize,
        /// The limit.
        limit: usize,
    },

    /// An answer over the limit. The daemon never shortens an answer.
    #[error("the answer exceeds the daemon's `limits.response_bytes`, {limit}: {instead}")]
    AnswerTooLarge {
        /// The limit, in bytes.
        limit: usize,
        /// Advice to the caller of this call.
        instead: &'static str,
    },

    /// A change that affects nearly all pairs.
    #[error("the change is too large to describe: plan parts of it")]
    ChangeTooLarge,

    /// Sets that exceed the client's budget.
    #[error("the sets that this request needs exceed `open.set_budget_bytes`, {budget}: {instead}")]
    SetOverBudget {
        /// The client's budget, in bytes.
        budget: u64,
        /// Advice to the client.
        instead: &'static str,
    },

    /// A room with more entries or bytes than a request may hold. The daemon decided nothing.
    #[error("`{field}` has {found} {unit}, at most {limit} are valid")]
    RoomTooLarge {
        /// The field.
        field: &'static str,
        /// The number of units in the field.
        found: usize,
        /// The unit of the numbers.
        unit: &'static str,
        /// The limit.
        limit: usize,
    },

    /// A message over the limit.
    #[error("the message exceeds the daemon's `limits.request_bytes`, {limit}: {instead}")]
    MessageTooLarge {
        /// The limit, in bytes.
        limit: usize,
        /// Advice to the caller of this call.
        instead: &'static str,
    },

    /// A request over the largest size of a policy.
    #[error(
        "the message exceeds {MAX_POLICY_REQUEST_BYTES} bytes, more than any policy may have: move users into members files"
    )]
    PolicyTooLarge,

    /// A large request that did not arrive in time.
    #[error(
        "the request did not arrive within {seconds} s, and the daemon receives only one large request at a time: send it again, without pauses"
    )]
    RequestOverdue {
        /// The longest time.
        seconds: u64,
    },

    /// Bytes that are not a message of the contract.
    #[error("the message cannot be decoded: {0}")]
    MessageUndecodable(String),

    /// A compressed message.
    #[error(
        "the request is compressed, which the daemon does not support: send it without `grpc-encoding`"
    )]
    Compressed,

    /// A message without a field that the call needs.
    #[error(
        "the message sets no kind of request that this daemon knows: set one, or update the daemon"
    )]
    MessageEmpty,

    /// A stream whose first message is not `Open`.
    #[error("the first message of a stream must be `open`")]
    OpenMissing,

    /// A second `Open`.
    #[error("`open` was sent twice, but is fixed for a stream: start another stream")]
    OpenRepeated,

    /// A text that is not a revision.
    #[error(
        "`{field}` is not a revision of a daemon: copy one unchanged from an answer, or leave the field empty"
    )]
    RevisionMalformed {
        /// The field.
        field: &'static str,
    },

    /// A revision that this daemon has not reached.
    #[error(
        "`{field}` is later than the current revision, {current}: try again, or call the replica that sent it"
    )]
    RevisionNotReached {
        /// The field.
        field: &'static str,
        /// The current revision.
        current: String,
    },

    /// A revision of another history.
    #[error(
        "`{field}` belongs to another history than the current revision, {current}: drop all answers of that history"
    )]
    RevisionOfOtherHistory {
        /// The field.
        field: &'static str,
        /// The current revision.
        current: String,
    },

    /// The daemon is shutting down.
    #[error("the daemon is shutting down: connect again, perhaps to another replica")]
    ShuttingDown,

    /// A fault of the daemon. The log contains the details: see [`RpcError::internal`].
    #[error("internal error: see the daemon's log")]
    Internal,
}

// === impl RpcError ===

impl RpcError {
    /// Writes a fault of the daemon to the log, and returns the error that refers to the log.
    pub fn internal(what: impl Display) -> Self {
        error!("a fault of the daemon, please report it: {what}");
        Self::Internal
    }

    /// The stable reason.
    pub fn reason(&self) -> ErrorReason {
        match self {
            Self::BadFields { reason, .. } => *reason,
            Self::ServerNamesMissing => ErrorReason::ServerNamesMissing,
            Self::ServerNamesTooMany { .. } => ErrorReason::ServerNamesTooMany,
            Self::BatchTooLarge { .. } => ErrorReason::BatchTooLarge,
            Self::AnswerTooLarge { .. } => ErrorReason::AnswerTooLarge,
            Self::RoomTooLarge { .. } => ErrorReason::RoomTooLarge,
            Self::MessageTooLarge { .. } | Self::PolicyTooLarge => ErrorReason::MessageTooLarge,
            Self::RequestOverdue { .. } => ErrorReason::RequestOverdue,
            Self::MessageUndecodable(_) => ErrorReason::MessageUndecodable,
            Self::Compressed => ErrorReason::NotImplemented,
            Self::MessageEmpty => ErrorReason::MessageEmpty,
            Self::OpenMissing => ErrorReason::OpenMissing,
            Self::OpenRepeated => ErrorReason::OpenRepeated,
            Self::RevisionMalformed { .. } => ErrorReason::RevisionMalformed,
            Self::RevisionNotReached { .. } => ErrorReason::RevisionNotReached,
            Self::RevisionOfOtherHistory { .. } => ErrorReason::RevisionOfOtherHistory,
            Self::SetOverBudget { .. } => ErrorReason::SetOverBudget,
            Self::ChangeTooLarge => ErrorReason::ChangeTooLarge,
            Self::ShuttingDown => ErrorReason::ShuttingDown,
            Self::Internal => ErrorReason::Internal,
        }
    }

    /// The gRPC code, by which a client decides if it repeats the call.
    pub fn grpc_code(&self) -> Code {
        match self {
            Self::BadFields { .. }
            | Self::ServerNamesMissing
            | Self::ServerNamesTooMany { .. }
            | Self::BatchTooLarge { .. }
            | Self::RoomTooLarge { .. }
            | Self::MessageUndecodable(_)
            | Self::MessageEmpty
            | Self::RevisionMalformed { .. } => Code::InvalidArgument,
            Self::AnswerTooLarge { .. } | Self::SetOverBudget { .. } | Self::ChangeTooLarge => {
                Code::ResourceExhausted
            }
            Self::MessageTooLarge { .. } | Self::PolicyTooLarge => Code::OutOfRange,
            Self::RequestOverdue { .. } => Code::DeadlineExceeded,
            Self::Compressed => Code::Unimplemented,
            Self::OpenMissing
            | Self::OpenRepeated
            | Self::RevisionNotReached { .. }
            | Self::RevisionOfOtherHistory { .. } => Code::FailedPrecondition,
            Self::ShuttingDown => Code::Unavailable,
            Self::Internal => Code::Internal,
        }
    }

    /// Returns the error for a request that the transport itself rejected, so that it gets the
    /// details of all errors. Returns `None` if the status is not a rejection, such as for a
    /// client that went away. `path` is the path of the call.
    pub fn from_transport(status: &Status, path: &str, request_limit: usize) -> Option<Self> {
        match status.code() {
            Code::OutOfRange => Some(Self::message_too_large(path, request_limit)),
            // An unknown call has this code too, but lists no encodings.
            Code::Unimplemented if status.metadata().contains_key("grpc-accept-encoding") => {
                Some(Self::Compressed)
            }
            // The code of tonic for bytes that are not a message or a frame. HTTP/2 errors have
            // the same code, but contain their cause.
            Code::Internal if status.source().is_none() => {
                Some(Self::MessageUndecodable(status.message().to_owned()))
            }
            _ => None,
        }
    }

    fn message_too_large(path: &str, limit: usize) -> Self {
        let (service, method) = path.rsplit_once('/').unwrap_or_default();
        if service.ends_with(policy_service_server::SERVICE_NAME) {
            return Self::PolicyTooLarge;
        }
        let instead = match method {
            "GetUsersForStates" | "RouteStates" => "send smaller batches",
            "OnCreateRoom" => "send fewer invites and less initial state, or raise the limit",
            _ => "send less, or raise the limit",
        };
        Self::MessageTooLarge { limit, instead }
    }

    /// Returns the answer to one request of a stream. The stream goes on.
    pub fn into_request_error(self, request: request_error::Request) -> RequestError {
        RequestError {
            request: Some(request),
            code: self.grpc_code().into(),
            reason: self.reason().into(),
            message: self.to_string(),
            violations: match self {
                Self::BadFields { violations, .. } => violations,
                _ => Vec::new(),
            },
        }
    }
}

impl From<RpcError> for Status {
    fn from(error: RpcError) -> Self {
        let name = error.reason().as_str_name();
        let reason = name.strip_prefix("ERROR_REASON_").unwrap_or(name);
        let mut details =
            ErrorDetails::with_error_info(reason, ERROR_DOMAIN, HashMap::<String, String>::new());
        if let RpcError::BadFields { violations, .. } = &error {
            for FieldViolation { field, description } in violations {
                details.add_bad_request_violation(field, description);
            }
        }
        Self::with_error_details(error.grpc_code(), error.to_string(), details)
    }
}

fn describe_violations(violations: &[FieldViolation]) -> String {
    let each: Vec<_> =
        violations.iter().map(|v| format!("`{}` {}", v.field, v.description)).collect();
    each.join("; ")
}
