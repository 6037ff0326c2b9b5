//! Rules about new rooms, and their tests, as written.

use presence_router_ids::Glob;

use super::{Given, Named, SetExpr};
use crate::policy::problem::Position;

/// The presets of the Matrix specification (`POST /createRoom`).
pub const PRESETS: &[&str] = &["private_chat", "public_chat", "trusted_private_chat"];

/// The visibilities of the Matrix specification (`POST /createRoom`).
pub const VISIBILITIES: &[&str] = &["private", "public"];

/// A rule about rooms.
#[derive(Clone, Debug)]
pub struct RoomRule {
    /// Not empty, unique among the rules about rooms.
    pub name: String,

    /// The position of the rule.
    pub position: Position,

    /// The conditions that a room must meet.
    pub when: When,

    /// The effect on the rooms that the rule matches.
    pub effect: RoomEffect,
}

/// Conditions, all of which must hold. A missing condition holds for every room.
#[derive(Clone, Debug, Default)]
pub struct When {
    /// A set that must contain the requester, who creates the room.
    pub requester: Option<SetExpr>,

    /// Some of [`PRESETS`], sorted.
    pub presets: Option<Vec<&'static str>>,

    /// One of [`VISIBILITIES`].
    pub visibility: Option<&'static str>,

    /// A set that must contain at least one invited user.
    pub invites: Option<SetExpr>,

    /// Globs, one of which must match the whole name of the room.
    pub names: Option<Vec<Glob>>,

    /// A condition about the requester's rights on the homeserver.
    pub admin: Option<AdminCondition>,
}

/// A condition about the requester's rights on the homeserver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminCondition {
    /// The requester is an administrator.
    MustBe,

    /// The requester is not an administrator.
    MustNotBe,
}

/// The effect of a rule on the rooms that it matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomEffect {
    /// Adds state: at least one event.
    Add(Vec<StateEvent>),

    /// Denies the room, whatever other rules match.
    Deny(Denial),
}

/// A state event for a new room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateEvent {
    /// The type of the event, 1 to 255 bytes.
    pub event_type: String,

    /// The state key, at most 255 bytes.
    pub state_key: String,

    /// The content: a JSON object, as text.
    pub content: String,
}

/// The answer to a requester whose room is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The Matrix error code, such as `M_FORBIDDEN`.
    pub errcode: String,

    /// A text for the requester.
    pub message: String,

    /// The HTTP status, 400 to 499.
    pub status: u16,
}

/// A test of rules about rooms.
#[derive(Clone, Debug)]
pub struct RoomTest {
    /// The position of the test.
    pub position: Position,

    /// Members for groups of the directory, which are empty otherwise.
    pub given: Vec<Given>,

    /// The room.
    pub room: TestRoom,

    /// Types of events that must be added.
    pub adds: Vec<Named>,

    /// Types of events that must not be added.
    pub not: Vec<Named>,

    /// The wanted decision. `None`: any decision.
    pub denied: Option<WantedDenial>,
}

/// The decision that a test wants about its room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedDenial {
    /// The position of the value.
    pub position: Position,

    /// The wanted outcome.
    pub outcome: WantedOutcome,
}

/// The outcome that a test wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedOutcome {
    /// The room is created, with any added state.
    Created,

    /// The room is denied with this errcode.
    DeniedWith(String),
}

/// A room that a test creates.
#[derive(Clone, Debug, Default)]
pub struct TestRoom {
    /// The user id of the requester.
    pub requester: String,

    /// True if the requester is an administrator of the homeserver.
    pub admin: bool,

    /// One of [`PRESETS`].
    pub preset: Option<&'static str>,

    /// One of [`VISIBILITIES`].
    pub visibility: Option<&'static str>,

    /// The invited users.
    pub invites: Vec<Named>,

    /// The name of the room.
    pub name: Option<String>,
}

// === impl When ===

impl When {
    /// Returns the sets of the conditions.
    pub(in crate::policy) fn condition_sets(&self) -> impl Iterator<Item = &SetExpr> {
        self.requester.iter().chain(&self.invites)
    }
}
