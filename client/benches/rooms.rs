//! `Visibility::filter` with a rule about rooms against the same test written by hand, in one
//! run.
//!
//!     cargo bench -p presence-router-client --features in-process --bench rooms
//!
//! The question is the one of every `/sync`: which of 1,000 senders may one recipient see? The
//! policy has one rule: they share a room of at most 50 members. Both sides look at the same
//! rooms in memory, `HashMap<user, HashSet<room>>` and the number of members of each room.
//!
//! The first line looks at all rooms that two users share, for each sender; the second looks
//! once for the small rooms of the recipient. Ours includes the first step, which finds the
//! answer, and evaluates the conditions that it gets. Only ratios within one run count: the two
//! sides take turns, and the median of the ratios is printed.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark stops at a fault")]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::collections::{HashMap, HashSet};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use presence_router_client::{
    InProcess, PresenceSharing, RoomCapabilities, RoomConditions, RoomFacts, UserGlob, Visibility,
    VisibleSender,
};

const POLICY: &str = "rules: [{ name: small rooms, allow: { share_room: { at_most: 50 } } }]";
const SENDERS: usize = 1000;
const USERS: usize = 20_000;
/// Rooms, and members of each.
const SMALL: (usize, usize) = (4000, 12);
const LARGE: (usize, usize) = (60, 2000);
/// Rooms of the recipient, of each kind.
const OF_RECIPIENT: usize = 15;
const TURNS: usize = 101;
/// Questions in a turn, so that the clock's own cost does not count.
const QUESTIONS: u32 = 10;

/// The rooms that the homeserver keeps in memory.
struct World {
    rooms_of: HashMap<String, HashSet<String>>,
    rooms: HashMap<String, Room>,
}

struct Room {
    id: String,
    members: u64,
}

fn main() {
    let world = World::new();
    let recipient = user(0);
    let names: Vec<_> = (1..=SENDERS).map(user).collect();
    let senders: Vec<_> = names.iter().map(|name| (name.as_str(), "online")).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let engine = InProcess::new(POLICY, ["example.org"]).unwrap();
    let engine = engine.with_room_capabilities(RoomCapabilities::ALL);
    let visibility = Visibility::from_router(Arc::new(engine));
    let question = || runtime.block_on(visibility.filter(&recipient, &senders)).unwrap();

    let ours = || {
        let question = question();
        question.decide(|one, other, conditions| world.share_room(one, other, conditions)).visible
    };
    let by_hand = || {
        let of_recipient = &world.rooms_of[&recipient];
        let sees = |sender: &str| {
            let Some(of_sender) = world.rooms_of.get(sender) else { return false };
            of_recipient.iter().any(|room| of_sender.contains(room) && world.is_small(room))
        };
        indexes(&senders, sees)
    };
    compare("each pair", ours, by_hand);

    let ours = || {
        let question = question();
        let of_recipient: Vec<(&RoomConditions, HashSet<&str>)> = question
            .needed_conditions()
            .into_iter()
            .map(|conditions| (conditions, world.rooms_that_meet(&recipient, conditions)))
            .collect();
        let share_room = |_: &str, sender: &str, conditions: &RoomConditions| {
            let (_, rooms) = of_recipient.iter().find(|(one, _)| *one == conditions)?;
            let of_sender = world.rooms_of.get(sender)?;
            Some(rooms.iter().any(|room| of_sender.contains(*room)))
        };
        question.decide(share_room).visible
    };
    let by_hand = || {
        let of_recipient = world.rooms_of[&recipient].iter();
        let small: HashSet<&str> =
            of_recipient.filter(|room| world.is_small(room)).map(String::as_str).collect();
        let sees = |sender: &str| {
            let Some(of_sender) = world.rooms_of.get(sender) else { return false };
            small.iter().any(|room| of_sender.contains(*room))
        };
        indexes(&senders, sees)
    };
    compare("once", ours, by_hand);
}

// === impl World ===

impl World {
    fn new() -> Self {
        let mut world = Self { rooms_of: HashMap::new(), rooms: HashMap::new() };
        let mut seed = 7u32;
        let mut below = |bound: usize| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            usize::try_from(seed >> 8).unwrap() % bound
        };
        for (kind, (rooms, members)) in [SMALL, LARGE].into_iter().enumerate() {
            for number in 0..rooms {
                let id = format!("!{kind}-{number}:example.org");
                // The senders of the question are more often in the recipient's rooms.
                let of_recipient = number < OF_RECIPIENT;
                let first = usize::from(!of_recipient);
                let bound = if of_recipient { 2 * SENDERS } else { USERS };
                let mut all: Vec<_> = (first..members).map(|_| 1 + below(bound - 1)).collect();
                if of_recipient {
                    all.push(0);
                }
                all.sort_unstable();
                all.dedup();
                for member in &all {
                    world.rooms_of.entry(user(*member)).or_default().insert(id.clone());
                }
                let members = all.len() as u64;
                world.rooms.insert(id.clone(), Room { id, members });
            }
        }
        world
    }

    fn share_room(&self, one: &str, other: &str, conditions: &RoomConditions) -> Option<bool> {
        let (of_one, of_other) = (self.rooms_of.get(one)?, self.rooms_of.get(other)?);
        let shared = of_one.iter().filter(|room| of_other.contains(*room));
        conditions.are_met_by_any(shared.filter_map(|room| self.rooms.get(room)))
    }

    fn rooms_that_meet(&self, user: &str, conditions: &RoomConditions) -> HashSet<&str> {
        let rooms = self.rooms_of[user].iter();
        let meets = |room: &&String| conditions.are_met_by(&self.rooms[*room]) == Some(true);
        rooms.filter(meets).map(String::as_str).collect()
    }

    fn is_small(&self, room: &str) -> bool {
        self.rooms.get(room).is_some_and(|room| room.members <= 50)
    }
}

// === impl Room ===

impl RoomFacts for Room {
    fn room_id(&self) -> &str {
        &self.id
    }

    fn joined_members(&self, not_counting: &[UserGlob]) -> Option<u64> {
        not_counting.is_empty().then_some(self.members)
    }

    fn is_encrypted(&self) -> Option<bool> {
        None
    }

    fn join_rule(&self) -> Option<&str> {
        None
    }

    fn history_visibility(&self) -> Option<&str> {
        None
    }

    fn is_in_space(&self, _: &str) -> Option<bool> {
        None
    }

    fn has_presence_sharing(&self, _: PresenceSharing) -> Option<bool> {
        None
    }
}

fn indexes(senders: &[(&str, &str)], sees: impl Fn(&str) -> bool) -> Vec<usize> {
    (0..senders.len()).filter(|index| sees(senders[*index].0)).collect()
}

fn compare(what: &str, ours: impl Fn() -> Vec<VisibleSender>, by_hand: impl Fn() -> Vec<usize>) {
    let visible = by_hand();
    assert!(ours().iter().map(|one| one.index).eq(visible.iter().copied()), "the two disagree");
    assert!((50..500).contains(&visible.len()), "{} visible", visible.len());
    let mut turns: Vec<_> = (0..TURNS).map(|_| (time(&ours), time(&by_hand))).collect();
    let ratio = |(ours, by_hand): (Duration, Duration)| ours.as_secs_f64() / by_hand.as_secs_f64();
    turns.sort_by(|a, b| ratio(*a).total_cmp(&ratio(*b)));
    let (ours, by_hand) = turns[TURNS / 2];
    let per_sender = |time: Duration| time.as_secs_f64() * 1e9 / SENDERS as f64;
    println!(
        "rooms looked at for {what:>9}: {:>6.1} ns a sender, by hand {:>6.1} ns: {:.2} x ({} visible)",
        per_sender(ours),
        per_sender(by_hand),
        ratio((ours, by_hand)),
        visible.len(),
    );
}

fn user(number: usize) -> String {
    format!("@user{number}:example.org")
}

fn time<T>(question: impl Fn() -> T) -> Duration {
    let start = Instant::now();
    for _ in 0..QUESTIONS {
        black_box(question());
    }
    start.elapsed() / QUESTIONS
}
