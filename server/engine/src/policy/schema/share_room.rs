//! The relation that a rule requires.

use schemars::JsonSchema;

use super::UserGlob;
use super::given_rooms::{Hint, HistoryVisibility, JoinRule};

/// Whether sender and recipient are both joined to one room, and the conditions that this
/// room must meet. The homeserver evaluates it.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum ShareRoom {
    /// `true`: they share any room; `false`: they share none.
    Any(bool),
    Conditions(Conditions),
}

/// Conditions that one shared room must meet, all of them.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    extend("minProperties" = 1),
    extend("dependencies" = {
        "not_counting": { "anyOf": [{ "required": ["at_most"] }, { "required": ["at_least"] }] }
    })
)]
pub(super) struct Conditions {
    /// The most joined members of the room.
    #[schemars(range(min = 1, max = 1_000_000))]
    at_most: Option<u32>,
    /// The fewest joined members of the room.
    #[schemars(range(min = 1, max = 1_000_000))]
    at_least: Option<u32>,
    /// Members who do not count, such as bridge bots.
    not_counting: Option<OneOrFew<UserGlob>>,
    /// `true`: the room is encrypted; `false`: it is not.
    encrypted: Option<bool>,
    /// The join rule, or several.
    join_rule: Option<OneOrFew<JoinRule>>,
    /// The history visibility, or several.
    history_visibility: Option<OneOrFew<HistoryVisibility>>,
    /// A glob over room ids, or several, one of which must match.
    rooms: Option<OneOrFew<RoomGlob>>,
    /// A glob over room ids, or several, none of which may match.
    not_rooms: Option<OneOrFew<RoomGlob>>,
    /// The id of a space that lists the room as its child.
    space: Option<SpaceId>,
    /// The hint of the room for the sharing of presence.
    presence_sharing: Option<Hint>,
}

/// One, or a list of at least one and at most a hundred, without repeats.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum OneOrFew<T> {
    One(T),
    Few(#[schemars(length(min = 1, max = 100), extend("uniqueItems" = true))] Vec<T>),
}

/// The room id of a space, such as `!abc:example.org`.
#[derive(JsonSchema)]
pub(super) struct SpaceId(
    #[schemars(length(max = 255), regex(pattern = r"^![^*?\s\u0000-\u001f\u007f-\u009f]+$"))]
    String,
);

/// A glob over room ids. Ids of room version 12 contain no server name.
#[derive(JsonSchema)]
pub(super) struct RoomGlob(
    #[schemars(regex(
        pattern = r"^(![^\s\u0000-\u001f\u007f-\u009f]+|[*?][^\s\u0000-\u001f\u007f-\u009f]*)$"
    ))]
    String,
);
