//! Rules about rooms that are being created, and their tests, as they are written.

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

    /// The effect on the rooms that it matches.
    pub effect: RoomEffect,
}

/// Conditions, all of which must hold. Those that are not given hold for every
/// room.
#[derive(Clone, Debug, Default)]
pub struct When {
    /// A set that holds the requester, who creates the room.
    pub requester: Option<SetExpr>,

    /// Some of [`PRESETS`], sorted.
    pub presets: Option<Vec<&'static str>>,

    /// One of [`VISIBILITIES`].
    pub visibility: Option<&'static str>,

    /// A set that at least one of those invited is in.
    pub invites: Option<SetExpr>,

    /// Globs of which one must match the whole name of the room.
    pub names: Option<Vec<Glob>>,

    /// A condition about the requester's rights on the homeserver.
    pub admin: Option<AdminCondition>,
}

/// A condition about the requester's rights on the homeserver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminCondition {
    /// The requester is an administrator.
    MustBe,

    /// The requester is none.
    MustNotBe,
}

/// The effect of a rule on the rooms that it matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomEffect {
    /// Adds state, at least one event.
    Add(Vec<StateEvent>),

    /// The room is not created, whatever else matches.
    Deny(Denial),
}

/// A state event for a new room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateEvent {
    /// Its type, 1 to 255 bytes.
    pub event_type: String,

    /// Its state key, at most 255 bytes.
    pub state_key: String,

    /// Its content: a JSON object, as text.
    pub content: String,
}

/// The answer to a requester whose room is not created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Matrix error code, such as `M_FORBIDDEN`.
    pub errcode: String,

    /// For the person.
    pub message: String,

    /// HTTP status, 400 to 499.
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

    /// Types of events that must not be.
    pub not: Vec<Named>,

    /// The wanted decision. `None`: the test does not say.
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
    /// It is created, whatever is added to it.
    Created,

    /// It is denied with this errcode.
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

    /// Its name.
    pub name: Option<String>,
}

// === impl When ===

impl When {
    /// The sets of its conditions.
    pub(in crate::policy) fn sets(&self) -> impl Iterator<Item = &SetExpr> {
        self.requester.iter().chain(&self.invites)
    }
}
