//! Violations of the contract by a daemon on a stream. After a violation the client
//! cannot know which sets and answers are valid: it ends the stream and opens another.

use crate::SetError;

/// A violation of the contract by the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolViolation {
    /// A message is empty, or of a kind that this client does not know: the decoder
    /// cannot distinguish the two.
    #[error("a message of an unknown kind came: is the daemon newer than this client?")]
    UnknownMessage,
    /// Bytes cannot be decoded as a message of the contract, or a message is longer than
    /// any daemon sends.
    #[error("a message came that cannot be decoded")]
    Undecodable,
    /// The first message was not `Opened`.
    #[error("the stream did not begin with `Opened`")]
    NotOpened,
    /// The daemon sent a second `Opened`.
    #[error("`Opened` came twice")]
    OpenedTwice,
    /// A set id is not greater than all previous ones.
    #[error("set {0} was defined again, or after one with a greater id")]
    IdReused(u64),
    /// Another message came between the parts of a set, or its parts are not of the same
    /// kind.
    #[error("set {0} was not completed before something else came")]
    SetIncomplete(u64),
    /// A part of a set has no content.
    #[error("set {0} has no content of a kind that this client knows")]
    SetEmpty(u64),
    /// A message refers to a set that is not live, or not complete.
    #[error("set {0} was used, but is not defined")]
    SetUndefined(u64),
    /// An edit names a set that is not a live list.
    #[error("set {0} was edited, but is not a live list of users")]
    EditOfNonList(u64),
    /// The daemon retired a set that is not live.
    #[error("set {0} was retired, but is not live")]
    RetiredUnknown(u64),
    /// The daemon retired a set that another set refers to.
    #[error("set {0} was retired while another one refers to it")]
    RetiredInUse(u64),
    /// A list contains a malformed user id.
    #[error("set {0} holds a text that is no user id")]
    UserId(u64),
    /// Sets refer to each other over more levels, or need more steps to evaluate, than
    /// any composition of groups does.
    #[error("set {0} is nested too deeply")]
    SetTooDeep(u64),
    /// The sets exceed the budget that the client sent in `Open`.
    #[error("sets exceed the budget of {0} bytes")]
    OverBudget(u64),
    /// Another message came between the parts of a list of named servers, or before the first
    /// list that the daemon had announced.
    #[error("the list of named servers was not completed before something else came")]
    NamedServersIncomplete,
    /// The daemon named a server that it had named before.
    #[error("a server was named twice")]
    NamedServerRepeated,
    /// The daemon removed a server from the named ones that is not one of them.
    #[error("a server was removed from the named ones, but is not one of them")]
    NamedServerUnknown,
    /// The names of the named servers take more bytes than any policy needs.
    #[error("the names of the named servers exceed {0} bytes")]
    NamedServersTooLong(usize),
    /// An answer matches no request, or is out of order.
    #[error("an answer came that belongs to no request")]
    UnexpectedAnswer,
    /// An answer or a heartbeat carries a revision that no `Changed` or `Reset` announced.
    /// Only a near-cache checks this: its answers would be outdated.
    #[error("a revision came that neither `Changed` nor `Reset` announced")]
    RevisionNotAnnounced,
    /// A state index in an answer is out of bounds for the batch, or occurs twice.
    #[error("an answer has a bad state index")]
    StateIndex,
    /// An expression cannot be evaluated.
    #[error("an expression cannot be evaluated: {0}")]
    Set(#[from] SetError),
}
