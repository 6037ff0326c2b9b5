//! The shape of given rooms.

use schemars::JsonSchema;

use super::{OneOrAny, OneOrNone, UserId};

/// A room that users share in this test.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct GivenRoom {
    /// The users who are joined to the room.
    members: OneOrNone<UserId>,
    /// `true`: the room is encrypted. `false` by default.
    encrypted: Option<bool>,
    /// The join rule, `invite` by default.
    join_rule: Option<JoinRule>,
    /// The history visibility, `shared` by default.
    history_visibility: Option<HistoryVisibility>,
    /// Room ids of the spaces that list the room as their child.
    spaces: Option<OneOrAny<RoomId>>,
    /// The room's hint for the sharing of presence. None by default.
    presence_sharing: Option<Hint>,
    /// `true`: the homeserver does not know the number of members. `false` by default.
    partial: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum JoinRule {
    Invite,
    Knock,
    KnockRestricted,
    Private,
    Public,
    Restricted,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum HistoryVisibility {
    Invited,
    Joined,
    Shared,
    WorldReadable,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum Hint {
    Forbid,
    Suggest,
}

/// A room id, such as `!abc:example.org`. Ids of room version 12 have no server name.
#[derive(JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RoomId(
    #[schemars(regex(pattern = r"^![^\s\u0000-\u001f\u007f-\u009f]+$"))] String,
);
