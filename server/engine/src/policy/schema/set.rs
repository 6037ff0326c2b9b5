//! Sets of users.

use schemars::JsonSchema;

use super::{GroupName, Name, OneOrMany, PlainUserId, ServerGlob, UserGlob};

/// A set of users.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Set {
    Everyone(Everyone),
    User(PlainUserId),
    /// Whoever is in any of these; `[]` is nobody.
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
    /// A glob or several. `*` is any run of bytes, `?` is one.
    server: OneOrMany<ServerGlob>,
}

/// Every user whose id matches.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Match {
    /// A pattern or several, such as `@*-bot:example.org`.
    r#match: OneOrMany<UserGlob>,
}

/// The members of a group.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct GroupRef {
    /// Its name.
    group: GroupName,
}

/// The users listed in a file, one a line.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct MembersFile {
    /// Its path, from where the policy is.
    members_file: Name,
}

/// Whoever is in all of these.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct AllOf {
    /// At least one set.
    #[schemars(length(min = 1))]
    all_of: Vec<Set>,
}

/// Whoever is in `any`, and not in `except`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Difference {
    /// Who is in,
    any: Box<Set>,
    /// unless also here.
    except: Box<Set>,
}
