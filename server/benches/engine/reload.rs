//! Another ruleset over the same directory, until it is published; and what a
//! thread that routes notices of that.

use std::collections::VecDeque;
use std::hint::black_box;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use presence_router_engine::unstable::routing::engine::Engine;
use presence_router_engine::unstable::routing::model::ruleset::{Product, Rule, Ruleset, Set};
use presence_router_engine::{Caller, Effect};
use presence_router_proto::wire;
use presence_router_server::live::Current;
use presence_router_server::rpc::stream::route::Route;
use prost::Message;
use tokio::sync::watch;

use crate::worlds::World;
use crate::{BATCH, batches, current_of};

/// Batches that a reader goes through, again and again; and how many are timed
/// while nothing else happens, and beside reloads.
const DIFFERENT: usize = 100;
const QUIET: usize = 3000;
const BESIDE: usize = 1000;

/// Reloads beside which they are timed.
const RELOADS: RangeInclusive<usize> = 3..=40;

/// Snapshots that are kept, as the daemon does, so that no reader has to free one.
const KEPT: usize = 3;

/// Routes by what is published.
struct Reader<'a> {
    published: watch::Receiver<Arc<Current>>,
    current: Arc<Current>,
    route: Route,
    batches: std::iter::Cycle<std::slice::Iter<'a, Vec<u8>>>,
}

/// A thousand rules more, and then ten of them otherwise.
pub(crate) fn reload(world: &World) {
    let groups = world.ruleset.groups.len();
    let [first, other] = [1, 7].map(|shift| ruleset(world, shift));
    let mut before = None;
    for (what, ruleset) in [("1,000 rules more", &first), ("ten rules others", &other)] {
        let start = Instant::now();
        let engine = before.as_ref().unwrap_or(&world.engine).replace_ruleset(ruleset).unwrap();
        let snapshot = black_box(engine.snapshot());
        println!(
            "  another ruleset, {groups} groups, {what}, to the next snapshot: {:.2?}",
            start.elapsed()
        );
        drop(snapshot);
        before = Some(engine);
    }
    beside(world, before.unwrap(), [&first, &other]);
}

fn ruleset(world: &World, shift: usize) -> Ruleset {
    let groups = world.ruleset.groups.len();
    let mut ruleset = world.ruleset.clone();
    ruleset.rules.extend((0..1000).map(|i| {
        let to = if i < 10 { i + shift } else { i + 1 };
        let product =
            Product { senders: Set::Group(i % groups), recipients: Set::Group(to % groups) };
        Rule { effect: Effect::Allow, shadow: false, products: vec![product], relation: None }
    }));
    ruleset
}

/// What one thread that routes notices of reloads on another. It goes over to
/// each ruleset that is published with a new stream; that has all sets to tell, and is
/// timed apart.
fn beside(world: &World, mut engine: Engine, rulesets: [&Ruleset; 2]) {
    let mut batches = batches(&world.users);
    batches.truncate(DIFFERENT);
    let (publish, published) = watch::channel(Arc::new(current_of(engine.snapshot())));
    let mut reader = Reader::new(published, &batches);
    reader.warm_up();
    let mut quiet: Vec<Duration> = (0..QUIET).map(|_| reader.next()).collect();

    let (reloading, timed) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (ready, is_ready) = mpsc::sync_channel(0);
    let mut reloads = 0;
    let (mut beside, mut first) = std::thread::scope(|scope| {
        let (reloading, timed) = (&reloading, &timed);
        let reading = scope.spawn(move || {
            let (mut beside, mut first) = (Vec::new(), Vec::new());
            // Until the other thread needs no more.
            while ready.send(()).is_ok() {
                while !reader.is_behind() {
                    let is_beside = reloading.load(Ordering::Relaxed);
                    beside.extend(Some(reader.next()).filter(|_| is_beside));
                    timed.store(beside.len(), Ordering::Relaxed);
                }
                first.push(reader.next());
                reader.warm_up();
            }
            (beside, first)
        });
        let mut kept = VecDeque::new();
        while reloads < *RELOADS.start()
            || (timed.load(Ordering::Relaxed) < BESIDE && reloads < *RELOADS.end())
        {
            is_ready.recv().unwrap();
            reloading.store(true, Ordering::Relaxed);
            engine = engine.replace_ruleset(rulesets[reloads % rulesets.len()]).unwrap();
            let snapshot = engine.snapshot();
            if kept.len() == KEPT {
                kept.pop_front();
            }
            kept.push_back(publish.send_replace(Arc::new(current_of(snapshot))));
            reloading.store(false, Ordering::Relaxed);
            reloads += 1;
        }
        drop(is_ready);
        reading.join().unwrap()
    });
    for took in [&mut quiet, &mut beside, &mut first] {
        took.sort_unstable();
    }
    let part = |took: &[Duration], part: usize| took[took.len() * part / 100];
    let (before, during) = (part(&quiet, 99), part(&beside, 99));
    println!(
        "    batches of {BATCH} on another thread: p99 {before:.2?} in quiet, {during:.2?} beside \
         {reloads} reloads ({} batches): {:.2?} more",
        beside.len(),
        during.saturating_sub(before),
    );
    println!(
        "    the first batch of a new stream, with all its sets to tell: {:.2?}",
        part(&first, 50)
    );
}

// === impl Reader ===

impl<'a> Reader<'a> {
    fn new(published: watch::Receiver<Arc<Current>>, batches: &'a [Vec<u8>]) -> Self {
        let current = Arc::clone(&published.borrow());
        Self { published, current, route: new_route(), batches: batches.iter().cycle() }
    }

    /// Whether something newer is published than what the last batch was
    /// answered from.
    fn is_behind(&self) -> bool {
        !Arc::ptr_eq(&self.published.borrow(), &self.current)
    }

    /// Comes to the steady state: all sets are told.
    fn warm_up(&mut self) {
        for _ in 0..DIFFERENT {
            self.next();
        }
    }

    /// Answers the next batch from what is published, and says how long that took.
    fn next(&mut self) -> Duration {
        let bytes = self.batches.next().unwrap();
        let start = Instant::now();
        if self.is_behind() {
            // An old one keeps what it can: this is the most work that there can be.
            (self.route, self.current) = (new_route(), Arc::clone(&self.published.borrow()));
        }
        let Self { route, current, .. } = self;
        let batch = wire::StateBatch::decode(bytes.as_slice()).unwrap();
        route.begin_batch(current, &batch, usize::MAX).unwrap();
        let mut told = Vec::new();
        while route.advance_batch(current, &batch, &mut told).unwrap() {
            told.clear();
        }
        black_box(route.finish_batch(current, &batch).encode_to_vec());
        start.elapsed()
    }
}

fn new_route() -> Route {
    Route::new(Caller::new(["example.org"]).unwrap(), 0)
}
