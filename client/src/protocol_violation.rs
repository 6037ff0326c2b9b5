//! Violations of the contract by a daemon on a stream. After any of these nobody can
//! tell what is current: the stream ends, and another one is started.

use crate::SetError;

/// A violation of the contract by the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolViolation {
    /// A message of a kind that this client does not know, or none at all: the
    /// decoder cannot tell these apart.
    #[error("a message of an unknown kind came: is the daemon newer than this client?")]
    UnknownMessage,
    /// Bytes that are no message of the contract, or a message longer than any
    /// daemon sends.
    #[error("a message came that cannot be decoded")]
    Undecodable,
    /// The first message was not `Opened`.
    #[error("the stream did not begin with `Opened`")]
    NotOpened,
    /// A second `Opened` came.
    #[error("`Opened` came twice")]
    OpenedTwice,
    /// A set id that is not greater than all before it.
    #[error("set {0} was defined again, or after one with a greater id")]
    IdReused(u64),
    /// Something else came between the parts of a set, or a part is not of the
    /// kind of those before it.
    #[error("set {0} was not completed before something else came")]
    SetIncomplete(u64),
    /// A part of a set without any content.
    #[error("set {0} has no content of a kind that this client knows")]
    SetEmpty(u64),
    /// A reference to a set that is not live, or a part of one.
    #[error("set {0} was used, but is not defined")]
    SetUndefined(u64),
    /// An edit of a set that is not a live list.
    #[error("set {0} was edited, but is not a live list of users")]
    EditOfNoList(u64),
    /// The end of a set that is not live.
    #[error("set {0} was retired, but is not live")]
    RetiredUnknown(u64),
    /// The end of a set that another one refers to.
    #[error("set {0} was retired while another one refers to it")]
    RetiredInUse(u64),
    /// A text that is no user id.
    #[error("set {0} holds a text that is no user id")]
    UserId(u64),
    /// Sets that refer to each other over more levels, or would take more steps
    /// to evaluate, than any composition of groups needs.
    #[error("set {0} is nested too deeply")]
    SetTooDeep(u64),
    /// More than the client said that it will keep.
    #[error("sets exceed the budget of {0} bytes")]
    OverBudget(u64),
    /// An answer to no request, or not in the order of the requests.
    #[error("an answer came that belongs to no request")]
    AnswerToNothing,
    /// A state index of an answer that its batch does not have, or twice.
    #[error("an answer has a bad state index")]
    StateIndex,
    /// An expression that cannot be evaluated.
    #[error("an expression cannot be evaluated: {0}")]
    Set(#[from] SetError),
}
