//! What happens in a random world.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::policies::{ROOMS, USERS, policies};

/// The beginning of a world, and what happens in it.
#[derive(Clone, Debug)]
pub(super) struct Story {
    /// The policies. The first one is active at the beginning.
    pub(super) policies: Vec<String>,
    /// The first members of each room.
    pub(super) members: Vec<Vec<&'static str>>,
    pub(super) steps: Vec<Step>,
}

/// An event.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A user sets a presence.
    SetPresence(&'static str, &'static str),
    Join(&'static str, &'static str),
    Leave(&'static str, &'static str),
    /// Another fact about a room changes.
    Fact(&'static str, Fact),
    /// A client asks for news.
    Sync(&'static str),
    /// A client asks for the presence of a user.
    Status(&'static str, &'static str),
    /// The network delivers some of the messages on their way.
    Deliver(usize),
    /// Another policy becomes active.
    Policy(usize),
    /// The daemon is away from now on, if there is one.
    Away,
    /// The daemon is back.
    Back,
    /// Everything arrives, and all clients ask for news.
    Settle,
}

/// A fact about a room that changes.
#[derive(Clone, Debug)]
pub(super) enum Fact {
    Encrypted,
    Public,
    WorldReadable,
    InSpace,
    Suggests,
    Forbids,
    Partial,
}

/// Values of `presence`.
const PRESENCES: [&str; 4] = ["online", "unavailable", "busy", "offline"];

/// Random stories.
pub(super) fn stories() -> impl Strategy<Value = Story> {
    let members = vec(proptest::sample::subsequence(USERS.to_vec(), 0..=4), ROOMS.len());
    (vec(policies(), 1..4), members, vec(steps(), 4..30))
        .prop_map(|(policies, members, steps)| Story { policies, members, steps })
}

fn steps() -> impl Strategy<Value = Step> {
    let users = || select(USERS.to_vec());
    let rooms = || select(ROOMS.to_vec());
    let facts = select(vec![
        Fact::Encrypted,
        Fact::Public,
        Fact::WorldReadable,
        Fact::InSpace,
        Fact::Suggests,
        Fact::Forbids,
        Fact::Partial,
    ]);
    prop_oneof![
        6 => (users(), select(PRESENCES.to_vec())).prop_map(|(user, presence)| {
            Step::SetPresence(user, presence)
        }),
        3 => (users(), rooms()).prop_map(|(user, room)| Step::Join(user, room)),
        3 => (users(), rooms()).prop_map(|(user, room)| Step::Leave(user, room)),
        2 => (rooms(), facts).prop_map(|(room, fact)| Step::Fact(room, fact)),
        3 => users().prop_map(Step::Sync),
        4 => (users(), users()).prop_map(|(requester, user)| Step::Status(requester, user)),
        3 => (1..4_usize).prop_map(Step::Deliver),
        2 => (0..3_usize).prop_map(Step::Policy),
        1 => Just(Step::Away),
        1 => Just(Step::Back),
        1 => Just(Step::Settle),
    ]
}
