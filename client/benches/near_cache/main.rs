//! The near-cache: the time of a hit, and the hit rate within a budget.
//!
//!     cargo bench -p presence-router-client --bench near_cache
//!
//! A hit is compared with one look-up in a `HashMap<String, _>` of the standard library, among
//! as many users, by the skewed load below and in random order: `cached_audience`, the set of its counterparts, and the
//! revision, against a clone of an `Arc` from the map. The two sides take turns, and the median
//! of the ratios is printed.
//!
//! The hit rate is that of a skewed load (Zipf, exponent 1) with a tenth of the bytes that all
//! answers need, against a cache of the same bytes that drops what was used least recently. That
//! cache divides its bytes between sets and answers as it likes, which no daemon and client can.
//!
//! Both need an otherwise idle machine, and only ratios within one run count.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark stops at a fault"
)]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

mod daemon;
mod world;

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use presence_router_client::{Client, NearCache, NearCacheOptions, Options};
use presence_router_proto::v1::presence_router_service_server::PresenceRouterServiceServer;
use tokio::net::TcpListener;
use tonic::transport::{Server, server::TcpIncoming};

use self::daemon::Daemon;
use self::world::{IdealLru, Random, World, Zipf};

const USERS: usize = 50_000;
const ASKED: usize = 120_000;
/// Callers that ask at the same time.
const ASKERS: usize = 16;
const TURNS: usize = 101;
const LOOKUPS: usize = 5000;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!("a hit against one look-up in a HashMap<String, _>, {USERS} users\n");
    for world in [World::classes(USERS), World::distinct(USERS)] {
        runtime.block_on(measure_hits(Arc::new(world)));
    }
    println!("\nhit rate with a tenth of the bytes against an ideal LRU, {ASKED} questions\n");
    for world in [World::classes(4 * USERS), World::distinct(USERS)] {
        runtime.block_on(measure_hit_rate(Arc::new(world)));
    }
}

/// A near-cache that is connected to a daemon of this world.
async fn connect(world: &Arc<World>, budget_bytes: u64) -> NearCache {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let service = PresenceRouterServiceServer::new(Daemon(Arc::clone(world)));
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    let mut options = Options::new(["example.org"]);
    options.deadline = Duration::from_secs(60);
    let mut near_cache = NearCacheOptions::default();
    near_cache.budget_bytes = budget_bytes;
    Client::connect(&address, options).unwrap().near_cache(near_cache)
}

async fn measure_hits(world: Arc<World>) {
    let cache = connect(&world, 4 << 30).await;
    let fill = world.users.chunks(5000).map(|users| {
        let (cache, users) = (cache.clone(), users.to_vec());
        tokio::spawn(async move {
            for user in users {
                cache.audience(&user).await.unwrap();
            }
        })
    });
    for one in fill.collect::<Vec<_>>() {
        one.await.unwrap();
    }
    let map: HashMap<String, Arc<str>> =
        world.users.iter().map(|user| (user.clone(), Arc::from("r1"))).collect();
    let zipf = Zipf::new(USERS);
    compare(&world, &cache, &map, "skewed", |random| zipf.draw(random));
    compare(&world, &cache, &map, "random", |random| random.below(USERS));
}

/// Lets the near-cache and a map take turns.
fn compare(
    world: &World,
    cache: &NearCache,
    map: &HashMap<String, Arc<str>>,
    load: &str,
    draw: impl Fn(&mut Random) -> usize,
) {
    let mut random = Random(3);
    let mut turns: Vec<_> = (0..TURNS)
        .map(|_| {
            let mut draw = || &*world.users[draw(&mut random)];
            let asked: Vec<&str> = (0..LOOKUPS).map(|_| draw()).collect();
            let ours = time(&asked, |user| {
                let answer = cache.cached_audience(user).unwrap();
                black_box((answer.counterparts().as_set(), answer.revision()));
            });
            let asked: Vec<&str> = (0..LOOKUPS).map(|_| draw()).collect();
            let stock = time(&asked, |user| {
                black_box(map.get(user).unwrap().clone());
            });
            (ours, stock)
        })
        .collect();
    turns.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let (ours, stock) = turns[TURNS / 2];
    println!(
        "{:>12}, {load}: {ours:>5.0} ns, HashMap {stock:>5.0} ns: {:.2} x",
        world.name,
        ours / stock
    );
}

/// Nanoseconds of each look-up.
fn time(asked: &[&str], look_up: impl Fn(&str)) -> f64 {
    let start = Instant::now();
    asked.iter().for_each(|user| look_up(user));
    start.elapsed().as_secs_f64() * 1e9 / asked.len() as f64
}

async fn measure_hit_rate(world: Arc<World>) {
    let budget = world.bytes() / 10;
    let cache = connect(&world, budget).await;
    let zipf = Zipf::new(world.users.len());
    let mut random = Random(4);
    let trace: Arc<[usize]> = (0..ASKED).map(|_| zipf.draw(&mut random)).collect();
    let mut ideal = IdealLru::new(&world, budget);
    // Both fill up with the first third.
    let (filling, counted) = (0..ASKED / 3, ASKED / 3..ASKED);
    let mut before = (0, 0);
    for range in [filling, counted.clone()] {
        before = (cache.stats().hits, ideal.hits);
        range.clone().for_each(|index| ideal.ask(trace[index]));
        let askers = (0..ASKERS).map(|asker| {
            let (cache, world, trace) = (cache.clone(), world.clone(), trace.clone());
            let range = range.clone();
            tokio::spawn(async move {
                for index in range.skip(asker).step_by(ASKERS) {
                    cache.audience(&world.users[trace[index]]).await.unwrap();
                }
            })
        });
        for asker in askers.collect::<Vec<_>>() {
            asker.await.unwrap();
        }
    }
    let of = |hits: u64| hits as f64 / counted.len() as f64;
    let stats = cache.stats();
    let (hits, ideal) = (of(stats.hits - before.0), of(ideal.hits - before.1));
    println!(
        "{:>12}: {hits:.3}, ideal {ideal:.3}: {:.3}  ({} of {budget} bytes)",
        world.name,
        hits / ideal,
        stats.bytes,
    );
    assert!(stats.bytes <= budget, "{stats:?}");
}
