//! The homeserver in `homeserver`, through random rooms, policies, outages and delays of
//! federation. Whatever a user is shown, the policy must allow at that moment, by the rooms that
//! the user's server knows; and once everything has arrived, each user must have been shown
//! everything that the policy allows.
//!
//! `oracle` is the definition of visibility with rooms. `policies` has random policies, and
//! `steps` what happens. `world` makes it happen with the answers of a `source`, and `checks`
//! compares with the oracle. `requests` has examples by hand, and `scenarios` runs the scenario
//! files.

mod checks;
mod oracle;
mod policies;
mod requests;
mod scenarios;
mod source;
mod steps;
mod world;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use presence_router_client::WhenAway;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;

use self::source::Source;
use self::steps::{Story, stories};
use self::world::World;
use crate::agreement::{RUNTIME, cases};

/// Counts of what was compared, over all worlds.
#[derive(Debug, Default)]
struct Counts {
    worlds: AtomicUsize,
    /// States that clients and application services were shown.
    shown: AtomicUsize,
    /// Of these, states with hidden fields.
    hidden: AtomicUsize,
    /// Answers to `GET status` without a state.
    refused: AtomicUsize,
    /// Copies that were sent to another server.
    copies: AtomicUsize,
    /// Pairs that had arrived when everything had settled.
    arrived: AtomicUsize,
    /// Of these, pairs that rules about rooms match.
    by_rooms: AtomicUsize,
}

#[test]
fn two_homeservers_show_what_the_policy_allows_and_nothing_else() {
    compare(stories(), 500, async |story, counts| {
        let source = Source::in_process(&story.policies[0]);
        live(&story, source, counts).await;
    });
}

#[test]
fn two_homeservers_agree_by_one_daemon_that_is_away_now_and_then() {
    let when_away = select(vec![WhenAway::Nobody, WhenAway::Rooms]);
    compare((stories(), when_away), 100, async |(story, when_away), counts| {
        let source = Source::daemon(&story.policies[0], when_away).await;
        live(&story, source, counts).await;
    });
}

/// Lets random worlds live, and checks that all kinds of comparison were made.
fn compare<T: std::fmt::Debug>(
    worlds: impl Strategy<Value = T>,
    number: u32,
    live: impl AsyncFn(T, &Counts),
) {
    let counts = Counts::default();
    let mut runner = TestRunner::new(cases(number));
    let right = runner.run(&worlds, |world| {
        counts.worlds.fetch_add(1, Relaxed);
        RUNTIME.block_on(live(world, &counts));
        Ok(())
    });
    if let Err(wrong) = right {
        panic!("{wrong}\nafter {counts:?}");
    }
    println!("{counts:?}");
    let Counts { worlds: _, shown, hidden, refused, copies, arrived, by_rooms } = &counts;
    for count in [shown, hidden, refused, copies, arrived, by_rooms] {
        assert!(count.load(Relaxed) > 0, "{counts:?}");
    }
}

async fn live(story: &Story, source: Source, counts: &Counts) {
    let mut world = World::begin(story, source, counts).await;
    for step in &story.steps {
        world.take_step(step).await;
    }
    world.end().await;
}

// === impl Counts ===

impl Counts {
    fn add(count: &AtomicUsize, number: usize) {
        count.fetch_add(number, Relaxed);
    }
}
