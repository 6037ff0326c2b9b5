//! The engine against what a user would pick instead, in one run.
//!
//!     cargo bench -p presence-router-server --bench engine            10k and 1M users
//!     cargo bench -p presence-router-server --bench engine -- --10m   10M users as well;
//!                                                                     8 GB, 5 minutes
//!
//! Machines differ and drift, so what counts are ratios: the two sides of each
//! are measured in turns, and the median of the turns' ratios is printed.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark stops at a fault")]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

mod interest;
mod reload;
mod rooms;
mod stock;
mod worlds;

use std::alloc::System;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use presence_router_engine::{Caller, Edit, Snapshot};
use presence_router_ids::UserId;
use presence_router_proto::v1::{PresenceState, StateBatch};
use presence_router_proto::wire;
use presence_router_server::live::{Current, ShadowCounters};
use presence_router_server::revision::{Epoch, Revision};
use presence_router_server::rpc::stream::route::Route;
use prost::Message;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use self::interest::interest;
use self::reload::reload;
use self::rooms::rooms;
use self::stock::Stock;
use self::worlds::{Random, World};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const BATCH: usize = 1000;
/// Different batches, so that no cache holds what all of them touch.
const BATCHES: usize = 500;
const TURNS: usize = 15;

fn main() {
    let large = std::env::args().any(|argument| argument == "--10m");
    println!("per state, batch of {BATCH} in random order, from bytes to bytes\n");
    let mut small = None;
    let mut sizes = vec![10_000, 1_000_000];
    sizes.extend(large.then_some(10_000_000));
    for size in sizes {
        let classes = measured(|| worlds::classes(size));
        let ours = route(&classes, true);
        small.get_or_insert(ours);
        println!("    {:.2} x the same at 10k users", ratio(ours, small.unwrap()));
        rooms(&classes);
        interest(&classes);
        edits(classes);
        let distinct = measured(|| worlds::distinct(size));
        let ours_distinct = route(&distinct, false);
        println!("    {:.2} x world classes", ratio(ours_distinct, ours));
        // Beside a reader, reloads of 200M memberships take too long.
        if size <= 1_000_000 {
            reload(&distinct);
        }
        edits(distinct);
    }
}

/// Builds a world, and says what it takes.
fn measured(build: impl FnOnce() -> World) -> World {
    let region = Region::new(ALLOCATOR);
    let start = Instant::now();
    let world = build();
    let took = start.elapsed();
    let stats = region.change();
    let live = stats.bytes_allocated - stats.bytes_deallocated;
    let (users, memberships) = (world.users.len(), world.memberships);
    // The benchmark's own list of ids is not the engine's.
    let own: usize = world.users.iter().map(|id| id.capacity() + size_of::<String>()).sum();
    let bytes = live.saturating_sub(own);
    println!(
        "world {}, {users} users, {memberships} memberships: built in {took:.2?}, live heap {} B a user; \
         120 B a user and 10 B a membership would be {} B",
        world.name,
        bytes / users,
        120 + 10 * memberships / users,
    );
    world
}

fn current(world: &World) -> Current {
    current_of(world.engine.snapshot())
}

fn current_of(snapshot: Arc<Snapshot>) -> Current {
    let revision = Revision::first(Epoch::random().unwrap());
    Current { revision, snapshot, shadows: ShadowCounters::default() }
}

fn batches(users: &[String]) -> Vec<Vec<u8>> {
    let mut random = Random(3);
    let mut state = || PresenceState {
        user_id: users[random.below(users.len())].clone(),
        presence: "online".to_owned(),
        last_active_ts: 1_760_000_000_000,
        currently_active: Some(true),
        ..PresenceState::default()
    };
    let batch = |id| StateBatch {
        batch_id: id,
        states: (0..BATCH).map(|_| state()).collect(),
        ..StateBatch::default()
    };
    (1..=BATCHES as u64).map(batch).map(|batch| batch.encode_to_vec()).collect()
}

/// Routes a batch, from bytes to bytes.
fn route_batch(route: &mut Route, current: &Current, bytes: &[u8]) -> Vec<u8> {
    let batch = wire::StateBatch::decode(bytes).unwrap();
    route.begin_batch(current, &batch, usize::MAX).unwrap();
    let mut defined = Vec::new();
    while route.advance_batch(current, &batch, &mut defined).unwrap() {
        defined.clear();
    }
    route.finish_batch(current, &batch).encode_to_vec()
}

/// Time for a state, next to the stock way.
fn route(world: &World, allocations: bool) -> Duration {
    let current = current(world);
    let caller = Caller::new(["example.org"]).unwrap();
    let mut route = Route::new(caller, 0);
    let batches = batches(&world.users);
    let mut ours = |bytes: &[u8]| route_batch(&mut route, &current, bytes);
    // The steady state: all sets are told.
    batches.iter().for_each(|bytes| drop(black_box(ours(bytes))));
    let stock = Stock::new(&world.users);
    let revision = current.revision.to_string();
    let mut theirs = |bytes: &[u8]| stock.route(bytes, &revision);
    let (ours_took, theirs_took, ratio) = turns(&batches, &mut ours, &mut theirs);
    println!(
        "  route {:>4} ns a state, stock {:>4} ns: {ratio:.2} x",
        ours_took.as_nanos() / BATCH as u128,
        theirs_took.as_nanos() / BATCH as u128,
    );
    if allocations {
        let mut counts = Vec::new();
        for states in [10, 100, BATCH] {
            let batch = StateBatch::decode(batches[0].as_slice()).unwrap();
            let batch = StateBatch { states: batch.states[..states].to_vec(), ..batch };
            let bytes = batch.encode_to_vec();
            drop(black_box(ours(&bytes)));
            let region = Region::new(ALLOCATOR);
            drop(black_box(ours(&bytes)));
            let stats = region.change();
            counts.push(stats.allocations + stats.reallocations);
        }
        println!("    allocations for a batch of 10, 100, 1000: {counts:?}");
        assert!(counts[2] <= counts[0] + 4, "they do not grow with the batch");
    }
    ours_took
}

/// One membership added, until the next snapshot is there.
fn edits(mut world: World) {
    let mut random = Random(4);
    let groups = world.ruleset.groups.len();
    let names: Vec<String> = (0..groups).map(|i| format!("team/{i}")).collect();
    let mut took = Vec::new();
    let mut held = world.engine.snapshot();
    for _ in 0..2000 {
        let user = UserId::parse(&world.users[random.below(world.users.len())]).unwrap();
        let group = &names[random.below(groups)];
        let start = Instant::now();
        world.engine.edit(&[Edit::Join { group, user }]).unwrap();
        // A reader holds the snapshot before it, as readers do.
        held = black_box(world.engine.snapshot());
        took.push(start.elapsed());
    }
    drop(held);
    took.sort_unstable();
    println!("  one membership, to the next snapshot: p50 {:?}, p99 {:?}", took[1000], took[1980]);
}

/// Medians of a call to each side, and of the ratio, measured in turns.
fn turns<I, Q: ?Sized, A, B>(
    inputs: &[I],
    ours: &mut impl FnMut(&Q) -> A,
    theirs: &mut impl FnMut(&Q) -> B,
) -> (Duration, Duration, f64)
where
    I: std::borrow::Borrow<Q>,
{
    let mut turn = || {
        let start = Instant::now();
        inputs.iter().for_each(|input| drop(black_box(ours(input.borrow()))));
        let middle = Instant::now();
        inputs.iter().for_each(|input| drop(black_box(theirs(input.borrow()))));
        (middle - start, middle.elapsed())
    };
    let mut all: Vec<_> = (0..TURNS).map(|_| turn()).collect();
    let n = u32::try_from(inputs.len()).unwrap();
    all.sort_by(|a, b| ratio(a.0, a.1).total_cmp(&ratio(b.0, b.1)));
    let (ours, theirs) = all[TURNS / 2];
    (ours / n, theirs / n, ratio(ours, theirs))
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}
