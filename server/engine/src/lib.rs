#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod policy;
mod router;
mod routing;

pub use presence_router_ids::{
    MemberCount, PresenceSharing, RoomCapabilities, RoomCapability, RoomCondition, RoomConditions,
    RoomFacts, ServerName, ServerNameError, UserId, UserIdError,
};

pub use self::policy::analyse::compare::{Differences, Names, RoomChange, compare};
pub use self::policy::analyse::explain::{
    Explanation, PathStep, RequiredRelation, RuleMatch, StepKind,
};
pub use self::policy::analyse::impact::{HiddenPairs, HideImpact, Impact, PairSummary, RuleImpact};
pub use self::policy::analyse::verify::{CounterExample, Hides, Verified};
pub use self::policy::given_rooms::{GivenRoom, GivenRooms, RelationFinding};
pub use self::policy::problem::{Position, Problem, ProblemCode, ProblemLine, Problems};
pub use self::policy::{
    EXAMPLE_POLICY, Files, MAX_POLICY_BYTES, NoFiles, POLICY_SCHEMA, Policy, named_files,
};
pub use self::router::{Counterparts, Router};
pub use self::routing::change::difference::{Count, Difference, Found, Pairs, TooMuch};
pub use self::routing::engine::{Edit, EditError};
pub use self::routing::model::caller::{Caller, CallerError};
pub use self::routing::model::ruleset::{Effect, Fields, Hide};
pub use self::routing::model::side::Side;
pub use self::routing::snapshot::Snapshot;

/// Internals that the daemon needs beyond the facade: the document of a policy, stored
/// sets, and the effect of a change on sets that a client holds. **They may change in any
/// version**, even in one that keeps everything else.
pub mod unstable {
    /// The policy: its text, its ruleset, and analyses of both.
    pub mod policy {
        pub use crate::policy::RoomSets;
        pub use crate::policy::analyse;
        pub use crate::policy::document;
        pub use crate::policy::lint;
        pub use crate::policy::parse;
        pub use crate::policy::rooms;
        pub use crate::policy::wording;
    }

    /// Routing: an evaluated ruleset, and the visibility that it defines.
    pub mod routing {
        pub use crate::routing::{change, engine, model, query, snapshot};
    }
}
