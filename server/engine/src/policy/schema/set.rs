//! Sets of users.

use schemars::JsonSchema;

use super::{GroupName, Name, OneOrMany, PlainUserId, ServerGlob, UserGlob};

/// A set of users.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Set {
    Everyone(Everyone),
    User(PlainUserId),
    /// The users in any of these sets; `[]` contains no users.
    Union(Vec<Set>),
    Server(Server),
    Match(Match),
    Group(GroupRef),
    MembersFile(MembersFile),
    AllOf(AllOf),
    Difference(Difference),
}

/// Every user of every server.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum Everyone {
    Everyone,
}

/// Every user whose server name matches.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Server {
    /// A glob, or several. `*` matches any number of bytes, `?` exactly one.
    server: OneOrMany<ServerGlob>,
}

/// Every user whose id matches.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Match {
    /// A pattern, or several, such as `@*-bot:example.org`.
    r#match: OneOrMany<UserGlob>,
}

/// The members of a group.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct GroupRef {
    /// The name of the group.
    group: GroupName,
}

/// The users listed in a file, one per line.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct MembersFile {
    /// The path of the file, relative to the policy.
    members_file: Name,
}

/// The users in all of these sets.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct AllOf {
    /// At least one set.
    #[schemars(length(min = 1))]
    all_of: Vec<Set>,
}

/// The users in `any` that are not in `except`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Difference {
    /// The set.
    any: Box<Set>,
    /// The exceptions.
    except: Box<Set>,
}
