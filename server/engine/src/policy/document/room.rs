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

    /// Where the rule begins.
    pub position: Position,

    /// Which rooms it matches.
    pub when: When,

    /// What it does to them.
    pub effect: RoomEffect,
}

/// Conditions, all of which must hold. Those that are not given hold for every
/// room.
#[derive(Clone, Debug, Default)]
pub struct When {
    /// Who creates the room.
    pub requester: Option<SetExpr>,

    /// Some of [`PRESETS`], sorted.
    pub presets: Option<Vec<&'static str>>,

    /// One of [`VISIBILITIES`].
    pub visibility: Option<&'static str>,

    /// A set that at least one of those invited is in.
    pub invites: Option<SetExpr>,

    /// Globs of which one must match the whole name of the room.
    pub names: Option<Vec<Glob>>,

    /// Whether the requester must be an administrator of the homeserver.
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

/// What a rule does to the rooms that it matches.
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

/// What somebody is told whose room is not created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Matrix error code, such as `M_FORBIDDEN`.
    pub errcode: String,

    /// For the person.
    pub message: String,

    /// HTTP status, 400 to 499.
    pub status: u16,
}

/// What is to become of a room.
#[derive(Clone, Debug)]
pub struct RoomTest {
    /// Where the test begins.
    pub position: Position,

    /// Members for groups of the directory, which are empty otherwise.
    pub given: Vec<Given>,

    /// The room.
    pub room: TestRoom,

    /// Types of events that must be added.
    pub adds: Vec<Named>,

    /// Types of events that must not be.
    pub not: Vec<Named>,

    /// Whether the room must be denied, if the test says so.
    pub denied: Option<WantedDenial>,
}

/// Whether a test's room must be denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedDenial {
    /// Where the value stands.
    pub position: Position,

    /// What the test wants.
    pub outcome: WantedOutcome,
}

/// What a test wants to become of a room.
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
    /// Who creates it. A user id.
    pub requester: String,

    /// Whether that is an administrator.
    pub admin: bool,

    /// One of [`PRESETS`].
    pub preset: Option<&'static str>,

    /// One of [`VISIBILITIES`].
    pub visibility: Option<&'static str>,

    /// Who is invited.
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
