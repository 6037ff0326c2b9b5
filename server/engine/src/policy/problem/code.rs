//! The codes of problems and warnings: one for each kind, stable across versions.

use std::fmt;

/// Defines the enum, the names of its variants, and the table of all variants in one place,
/// so that no variant can be missing from the table.
macro_rules! problem_codes {
    ($($(#[$doc:meta])+ $variant:ident => $name:literal,)+) => {
        /// The kind of a problem or a warning, which tools and tests can compare: messages
        /// may change with every version, codes do not.
        ///
        /// `server/docs/problems.md` has a cause and a remedy for each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum ProblemCode {
            $($(#[$doc])+ $variant,)+
        }

        impl ProblemCode {
            /// All codes: first the codes of problems, then the codes of warnings.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The code as text, in kebab case.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

problem_codes! {
    // The text.
    /// A policy or a members file that is not UTF-8.
    NotUtf8 => "not-utf8",
    /// A text that breaks a rule of YAML.
    NotYaml => "not-yaml",
    /// A second YAML document in one file.
    SecondDocument => "second-document",
    /// A merge key, `<<`.
    MergeKey => "merge-key",
    /// An alias without an anchor, mostly a glob that lacks its quotes.
    UnknownAlias => "unknown-alias",
    /// An alias within the value that it refers to.
    RecursiveAlias => "recursive-alias",
    /// A value that contradicts its YAML tag.
    WrongTag => "wrong-tag",
    /// A text with more bytes, values or aliases than the daemon reads.
    TooLarge => "too-large",
    /// Values or sets that nest deeper than the daemon supports.
    TooDeep => "too-deep",
    /// A failure to start the thread that reads the text.
    NoThread => "no-thread",
    /// A file without any content.
    EmptyFile => "empty-file",

    // Keys and values.
    /// A key that is not valid in its map.
    UnknownKey => "unknown-key",
    /// A key that its map has twice.
    DuplicateKey => "duplicate-key",
    /// A map that lacks a required key.
    MissingKey => "missing-key",
    /// Keys that exclude each other.
    ConflictingKeys => "conflicting-keys",
    /// A value of another type than its key takes.
    WrongType => "wrong-type",
    /// An empty list where at least one item is required.
    EmptyList => "empty-list",
    /// A name or another text that is blank.
    EmptyText => "empty-text",
    /// A name or another text with a control character.
    ControlCharacter => "control-character",
    /// A text that is none of the few valid ones.
    UnknownValue => "unknown-value",
    /// An item that its list has twice.
    DuplicateValue => "duplicate-value",
    /// A number outside the valid range.
    NumberOutOfRange => "number-out-of-range",
    /// A text with more bytes than Matrix permits.
    ValueTooLong => "value-too-long",
    /// A list with more items than are valid.
    TooManyItems => "too-many-items",

    // Ids, names and globs.
    /// A text that is no set.
    NotASet => "not-a-set",
    /// A text that is no user id.
    NotAUserId => "not-a-user-id",
    /// A text that is no room id.
    NotARoomId => "not-a-room-id",
    /// A text that is no server name.
    NotAServerName => "not-a-server-name",
    /// A text that is no pattern over user ids.
    NotAPattern => "not-a-pattern",
    /// A text that is no Matrix error code.
    NotAnErrcode => "not-an-errcode",
    /// A glob where only a whole name or id is valid.
    UnexpectedGlob => "unexpected-glob",
    /// A glob or a pattern that no name or id can match.
    GlobCannotMatch => "glob-cannot-match",

    // Groups and members files.
    /// A second group of one name.
    DuplicateGroup => "duplicate-group",
    /// A reference to a group that is not declared.
    UnknownGroup => "unknown-group",
    /// A group that contains itself.
    GroupCycle => "group-cycle",
    /// A glob of `within` that matches no group.
    UnmatchedWithin => "unmatched-within",
    /// `directory: false`, which does not define any members.
    DirectoryFalse => "directory-false",
    /// A members file that cannot be read.
    MembersFileUnreadable => "members-file-unreadable",
    /// Invalid lines of a members file beyond the ones with their own messages.
    MoreInvalidLines => "more-invalid-lines",
    /// A members file that listed users in the active policy and lists nobody.
    MembersFileEmptied => "members-file-emptied",

    // Rules and switches.
    /// A second rule of one name.
    DuplicateRule => "duplicate-rule",
    /// A rule with the name of a switch.
    ReservedName => "reserved-name",
    /// A server of `ours` in `servers.deny`.
    DeniedOwnServer => "denied-own-server",
    /// A `when` or a `share_room` without conditions.
    EmptyCondition => "empty-condition",
    /// A state event that its rule adds twice.
    DuplicateEvent => "duplicate-event",
    /// A state event that only the homeserver makes.
    HomeserverEvent => "homeserver-event",
    /// A policy with more different values of `share_room` than are valid.
    TooManyRelations => "too-many-relations",

    // Tests.
    /// A test that fails.
    TestFailed => "test-failed",
    /// A test about an open set, which contains unlisted users.
    OpenTestSubject => "open-test-subject",
    /// A test about an empty set.
    EmptyTestSubject => "empty-test-subject",
    /// A test about too many pairs.
    TestTooLarge => "test-too-large",
    /// A test that gives members to a group which the directory does not fill.
    GivenListedGroup => "given-listed-group",

    // The files of a daemon.
    /// A policy file that the daemon cannot read.
    PolicyUnreadable => "policy-unreadable",
    /// Files that changed while the daemon read them.
    FilesIncomplete => "files-incomplete",

    // Warnings.
    /// A rule that can never match.
    RuleNeverMatches => "rule-never-matches",
    /// A group that nothing refers to.
    UnusedGroup => "unused-group",
    /// A members file without users.
    EmptyMembersFile => "empty-members-file",
    /// A members file that lists fewer than half of the users that it listed.
    MembersFileShrunk => "members-file-shrunk",
    /// A presence value that is nearly one that Matrix defines.
    UnknownPresence => "unknown-presence",
    /// A server name that does not cover the same name with a port.
    PortNotMatched => "port-not-matched",
    /// A server name with capital letters.
    ServerNameCapitals => "server-name-capitals",
    /// A server name that is nearly one of `ours`.
    ServerNameNearOurs => "server-name-near-ours",
    /// A glob over room ids with a server name, which some ids do not contain.
    RoomGlobWithServer => "room-glob-with-server",
    /// A rule that Synapse enforces only in part.
    NotEnforcedBySynapse => "not-enforced-by-synapse",
    /// A rule that hides status texts, which clients also write into profiles.
    StatusInProfile => "status-in-profile",
}

impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
