//! Rules about rooms, and their tests.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{GivenGroups, Name, OneOrMany, Set, UserId};

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
    /// The name of the rule in messages. No other rule about rooms may have it.
    name: Name,
    /// Conditions. Without them, the rule matches every room.
    when: Option<When>,
    /// State events. State that the room's creator already sets stays unchanged.
    #[schemars(length(min = 1))]
    add: Vec<StateEvent>,
}

/// Denies new rooms. Outranks every rule that adds.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Deny {
    /// The name of the rule in messages. No other rule about rooms may have it.
    name: Name,
    /// Conditions. Without them, the rule matches every room.
    when: Option<When>,
    /// The answer to the requester.
    deny: Denial,
}

/// Conditions on a room, all of which must hold.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
pub(super) struct When {
    /// A set that must contain the user who creates the room.
    requester: Option<Set>,
    /// A preset, or several.
    preset: Option<OneOrMany<Preset>>,
    /// The visibility: `public` lists the room in the room directory.
    visibility: Option<Visibility>,
    /// A set that must contain at least one invited user.
    invites: Option<Set>,
    /// A glob over the name of the room, or several.
    name: Option<OneOrMany<Name>>,
    /// `true`: the requester must be an administrator of the homeserver; `false`: must not be.
    admin: Option<bool>,
}

/// A preset of the Matrix specification. A room without a preset has that of its visibility.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(clippy::enum_variant_names, reason = "the words of the specification")]
pub(super) enum Preset {
    PrivateChat,
    PublicChat,
    TrustedPrivateChat,
}

/// A visibility of the Matrix specification. A room without a visibility is private.
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
    /// The type of the event.
    r#type: AddedType,
    /// The state key. Empty by default.
    state_key: Option<String>,
    /// The content of the event.
    content: BTreeMap<String, Json>,
}

/// The answer to the requester.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Denial {
    /// The Matrix error code, `M_FORBIDDEN` by default.
    errcode: Option<Errcode>,
    /// A text for the requester.
    message: Name,
    /// The HTTP status, 403 by default.
    #[schemars(range(min = 400, max = 499))]
    status: Option<u16>,
}

/// A test of the decision about a room.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    extend("anyOf" = [
        { "required": ["adds"] }, { "required": ["not"] }, { "required": ["denied"] }
    ])
)]
pub(super) struct RoomTest {
    /// Members for groups of `directory: true`, in this test only.
    given: Option<GivenGroups>,
    /// The room.
    room: Room,
    /// Types of events that must be added.
    adds: Option<OneOrMany<EventType>>,
    /// Types of events that must not be added.
    not: Option<OneOrMany<EventType>>,
    /// The errcode with which the room must be denied; `false`: the room must be created.
    denied: Option<Denied>,
}

/// A room that a user creates.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Room {
    /// The user who creates the room.
    requester: UserId,
    /// The preset. By default, the preset of the visibility.
    preset: Option<Preset>,
    /// The visibility, `private` by default.
    visibility: Option<Visibility>,
    /// The invited users.
    invites: Option<OneOrMany<UserId>>,
    /// The name of the room.
    name: Option<Name>,
    /// `true`: the requester is an administrator. `false` by default.
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
    Null(#[schemars(schema_with = "null_value")] ()),
    Bool(bool),
    Text(String),
    Number(
        #[schemars(range(min = -9_007_199_254_740_991_i64, max = 9_007_199_254_740_991_i64))] i64,
    ),
    List(Vec<Json>),
    Map(BTreeMap<String, Json>),
}

/// Returns the schema of `null`, by value: as a type, `null` would mean a key without a value.
fn null_value(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": [null] })
}

/// The type of an event.
#[derive(JsonSchema)]
pub(super) struct EventType(
    #[schemars(regex(pattern = r"^(?=.*\S)[^\u0000-\u001f\u007f-\u009f]+$"))] String,
);

/// The type of a state event. Only the homeserver creates `m.room.create` and
/// `m.room.member`.
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
