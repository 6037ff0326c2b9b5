//! Rules about rooms, and their tests.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{Given, Name, OneOrMany, Set, UserId};

/// A rule about rooms that users create.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum RoomRule {
    Add(Add),
    Deny(Deny),
}

/// Adds state to new rooms.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Add {
    /// What messages call the rule. No other rule about rooms has it.
    name: Name,
    /// Which rooms. Without it, every room.
    when: Option<When>,
    /// State events. What the room's creator sets already stays as it is.
    #[schemars(length(min = 1))]
    add: Vec<StateEvent>,
}

/// Denies new rooms. Outranks every rule that adds.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Deny {
    /// What messages call the rule. No other rule about rooms has it.
    name: Name,
    /// Which rooms. Without it, every room.
    when: Option<When>,
    /// What the requester is told.
    deny: Denial,
}

/// Which rooms: all of these must hold.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
pub(super) struct When {
    /// Who creates the room.
    requester: Option<Set>,
    /// A preset, or several.
    preset: Option<OneOrMany<Preset>>,
    /// Whether the room is to be in the room directory.
    visibility: Option<Visibility>,
    /// A set that at least one of those invited is in.
    invites: Option<Set>,
    /// A glob over the name of the room, or several.
    name: Option<OneOrMany<Name>>,
    /// Whether the requester is an administrator of the homeserver.
    admin: Option<bool>,
}

/// A preset of the Matrix specification. A room without one has that of its
/// visibility.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(clippy::enum_variant_names, reason = "the words of the specification")]
pub(super) enum Preset {
    PrivateChat,
    PublicChat,
    TrustedPrivateChat,
}

/// A visibility of the Matrix specification. A room without one is private.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum Visibility {
    Private,
    Public,
}

/// A state event.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct StateEvent {
    /// Its type.
    r#type: AddedType,
    /// Its state key. Empty by default.
    state_key: Option<String>,
    /// Its content.
    content: BTreeMap<String, Json>,
}

/// What the requester is told.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Denial {
    /// `M_FORBIDDEN` by default.
    errcode: Option<Errcode>,
    /// For the person.
    message: Name,
    /// HTTP status, 403 by default.
    #[schemars(range(min = 400, max = 499))]
    status: Option<u16>,
}

/// What is to become of a room.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    extend("anyOf" = [
        { "required": ["adds"] }, { "required": ["not"] }, { "required": ["denied"] }
    ])
)]
pub(super) struct RoomTest {
    /// Members for groups of `directory: true`, in this test only.
    given: Option<Given>,
    /// The room.
    room: Room,
    /// Types of events that must be added.
    adds: Option<OneOrMany<EventType>>,
    /// Types of events that must not be.
    not: Option<OneOrMany<EventType>>,
    /// The errcode that it is denied with, or `false`.
    denied: Option<Denied>,
}

/// A room that somebody creates.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Room {
    /// Who creates it.
    requester: UserId,
    /// Its preset. That of its visibility by default.
    preset: Option<Preset>,
    /// `private` by default.
    visibility: Option<Visibility>,
    /// Who is invited.
    invites: Option<OneOrMany<UserId>>,
    /// Its name.
    name: Option<Name>,
    /// Whether the requester is an administrator. `false` by default.
    admin: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Denied {
    Not(#[schemars(extend("const" = false))] bool),
    With(Errcode),
}

/// Any value that an event may hold.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Json {
    Null(#[schemars(schema_with = "null")] ()),
    Bool(bool),
    Text(String),
    Number(
        #[schemars(range(min = -9_007_199_254_740_991_i64, max = 9_007_199_254_740_991_i64))] i64,
    ),
    List(Vec<Json>),
    Map(BTreeMap<String, Json>),
}

/// Not as a type: that would be taken for a key without a value.
fn null(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": [null] })
}

/// The type of an event.
#[derive(JsonSchema)]
pub(super) struct EventType(
    #[schemars(regex(pattern = r"^(?=.*\S)[^\u0000-\u001f\u007f-\u009f]+$"))] String,
);

/// The type of a state event. `m.room.create` and `m.room.member` are made by the
/// homeserver alone.
#[derive(JsonSchema)]
pub(super) struct AddedType(
    #[schemars(regex(
        pattern = r"^(?!m\.room\.(create|member)$)(?=.*\S)[^\u0000-\u001f\u007f-\u009f]+$"
    ))]
    String,
);

/// A Matrix error code, such as `M_FORBIDDEN`.
#[derive(JsonSchema)]
pub(super) struct Errcode(#[schemars(regex(pattern = r"^[A-Z][A-Z0-9.]*_[A-Z0-9._]+$"))] String);
