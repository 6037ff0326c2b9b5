//! Every refusal, and the one place where it becomes a gRPC code.

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

/// Most violations that one refusal lists.
pub const MAX_VIOLATIONS: usize = 16;

/// A request that is not served. The message says what, where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// Fields that are not valid, at most [`MAX_VIOLATIONS`] of them.
    #[error("{}", describe_violations(violations))]
    BadFields {
        /// What kind of field.
        reason: ErrorReason,
        /// Each bad field.
        violations: Vec<FieldViolation>,
    },

    /// No server names, and no identity to supply them.
    #[error("`server_names` is empty: name the servers that are your own")]
    ServerNamesMissing,

    /// More server names than a homeserver has.
    #[error("{found} server names, at most {limit} are valid")]
    ServerNamesTooMany {
        /// Names in the request.
        found: usize,
        /// The limit.
        limit: usize,
    },

    /// A batch over the limit. Nothing of it was routed.
    #[error(
        "{found} states in one batch, the daemon's `limits.batch_states` is {limit}: send smaller batches"
    )]
    BatchTooLarge {
        /// States in the batch.
        found: usize,
        /// The limit.
        limit: usize,
    },

    /// An answer over the limit. Nothing is cut off.
    #[error("the answer exceeds the daemon's `limits.response_bytes`, {limit}: {instead}")]
    AnswerTooLarge {
        /// The limit, in bytes.
        limit: usize,
        /// Advice to the caller of this call.
        instead: &'static str,
    },

    /// A change that touches nearly everything.
    #[error("the change is too large to be told: plan parts of it")]
    ChangeTooLarge,

    /// Sets that a client has no room for.
    #[error("the sets that this request needs exceed `open.set_budget_bytes`, {budget}: {instead}")]
    SetOverBudget {
        /// The client's budget, in bytes.
        budget: u64,
        /// Advice to the client.
        instead: &'static str,
    },

    /// A room with more than a request may hold. Nothing was decided.
    #[error("`{field}` has {found} {unit}, at most {limit} are valid")]
    RoomTooLarge {
        /// The field.
        field: &'static str,
        /// How much it has.
        found: usize,
        /// Of what.
        unit: &'static str,
        /// The limit.
        limit: usize,
    },

    /// A message over the limit.
    #[error("a message exceeds the daemon's `limits.request_bytes`, {limit}: {instead}")]
    MessageTooLarge {
        /// The limit, in bytes.
        limit: usize,
        /// Advice to the caller of this call.
        instead: &'static str,
    },

    /// A request over the most that a policy may have.
    #[error(
        "a message exceeds {MAX_POLICY_REQUEST_BYTES} bytes, more than any policy may have: put users into members files"
    )]
    PolicyTooLarge,

    /// A large request that did not come in.
    #[error(
        "a request as large as this one is received alone, and it was not there within {seconds} s: send it again, and all of it at once"
    )]
    RequestOverdue {
        /// The longest time.
        seconds: u64,
    },

    /// Bytes that are no message of the contract.
    #[error("a message cannot be decoded: {0}")]
    MessageUndecodable(String),

    /// A compressed message.
    #[error(
        "the request is compressed, which the daemon does not support: send it without `grpc-encoding`"
    )]
    Compressed,

    /// A stream message that says nothing.
    #[error("a stream message has nothing set, or a kind that this daemon does not know")]
    MessageEmpty,

    /// A stream whose first message is not `Open`.
    #[error("the first message of a stream must be `open`")]
    OpenMissing,

    /// A second `Open`.
    #[error("`open` was sent twice: it is fixed for the stream, start another one")]
    OpenRepeated,

    /// A text that is no revision.
    #[error(
        "`{field}` is not a revision that a daemon gave out: repeat one unchanged, or leave it out"
    )]
    RevisionMalformed {
        /// The field.
        field: &'static str,
    },

    /// A revision that is still to come.
    #[error("`{field}` is later than the current revision, {current}")]
    RevisionNotReached {
        /// The field.
        field: &'static str,
        /// The current revision.
        current: String,
    },

    /// A revision of another history.
    #[error(
        "`{field}` is of another history than the current revision, {current}: what was remembered under it is void"
    )]
    RevisionOfOtherHistory {
        /// The field.
        field: &'static str,
        /// The current revision.
        current: String,
    },

    /// The daemon ends.
    #[error("the daemon is shutting down: connect again, perhaps to another replica")]
    ShuttingDown,

    /// A fault of the daemon. The log says more: see [`RpcError::internal`].
    #[error("internal error: the daemon's log says more")]
    Internal,
}

// === impl RpcError ===

impl RpcError {
    /// A fault of the daemon, with the line in the log that its text promises.
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

    /// The gRPC code, which says whether repeating can help.
    pub fn code(&self) -> Code {
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

    /// What the transport refused by itself, with the details that all refusals have.
    /// `None` for what is not a refusal, such as a client that went away. `path` is that of
    /// the call.
    pub fn from_transport(status: &Status, path: &str, request_limit: usize) -> Option<Self> {
        match status.code() {
            Code::OutOfRange => Some(Self::message_too_large(path, request_limit)),
            // An unknown call has this code too, and names no encodings.
            Code::Unimplemented if status.metadata().contains_key("grpc-accept-encoding") => {
                Some(Self::Compressed)
            }
            // What tonic makes of bytes that are no message or no frame. HTTP/2
            // errors share the code, and have what caused them with them.
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
            "OnCreateRoom" => "name fewer people and less state, or raise the limit",
            _ => "send less, or raise the limit",
        };
        Self::MessageTooLarge { limit, instead }
    }

    /// The answer to one request of a stream that goes on.
    pub fn into_request_error(self, request: request_error::Request) -> RequestError {
        RequestError {
            request: Some(request),
            code: self.code().into(),
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
        Self::with_error_details(error.code(), error.to_string(), details)
    }
}

fn describe_violations(violations: &[FieldViolation]) -> String {
    let each: Vec<_> =
        violations.iter().map(|v| format!("`{}` {}", v.field, v.description)).collect();
    each.join("; ")
}
