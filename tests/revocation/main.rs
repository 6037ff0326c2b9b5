//! The time from an edit in the engine to its effect in the near-caches of 100 clients.
//!
//!     cargo bench --bench revocation
//!
//! A user joins or leaves a group of 1,000, and all 100 near-caches remember an audience that
//! holds the group. The other side is a bare broadcast: as many bytes as the edit has on the
//! wire, over as many TCP connections, in the same process. The two sides take turns. On both,
//! one thread looks at all 100 until each has the news, so the figures include its own cost.
//! Only ratios within one run count, on an otherwise idle machine.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark stops at a fault")]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};
use std::time::{Duration, Instant};

use presence_router_client::{Client, NearCache, NearCacheOptions, Options};
use presence_router_engine::Edit;
use presence_router_ids::UserId;
use presence_router_server::config::LimitSettings;
use presence_router_server::live::{Live, Source};
use presence_router_server::revision::Epoch;
use presence_router_server::rpc::server;
use presence_router_server::rpc::transport::listener::Listener;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

const STREAMS: usize = 100;
const MEMBERS: usize = 1000;
const TURNS: usize = 201;
const SENDER: &str = "@sender:x.org";
const MOVER: &str = "@mover:x.org";

/// The bytes of an edit on one stream: `SetEdit` with one user, `Changed` with two products of
/// one user each, and the frames of gRPC and HTTP/2 around them.
const BYTES: usize = 192;

fn main() {
    let runtime = Runtime::new().unwrap();
    let (live, caches) = runtime.block_on(connect_near_caches());
    let (sender, received) = runtime.block_on(connect_sockets());
    let mut joined = false;
    let mut times: [Vec<Duration>; 2] = Default::default();
    for turn in 1..=TURNS as u64 {
        joined = !joined;
        let (group, user) = ("team", UserId::parse(MOVER).unwrap());
        let start = Instant::now();
        let edit = if joined { Edit::Join { group, user } } else { Edit::Leave { group, user } };
        live.edit_directory(&[edit]).unwrap();
        times[0].extend(wait_for_all(start, |index| {
            let answer = caches[index].cached_audience(SENDER);
            answer.is_some_and(|answer| answer.counterparts().contains(MOVER) == joined)
        }));

        let start = Instant::now();
        sender.send(turn).unwrap();
        times[1].extend(wait_for_all(start, |index| received[index].load(Acquire) == turn));
    }
    println!("from an edit to {STREAMS} near-caches, and a bare broadcast of {BYTES} bytes\n");
    let [mut edits, mut bare] = times;
    for (name, part) in [("p50", 0.5), ("p99", 0.99)] {
        let [edit, bare] = [&mut edits, &mut bare].map(|times| percentile(times, part));
        let ratio = edit.as_secs_f64() / bare.as_secs_f64();
        println!("{name}: near-caches {edit:>8.1?}, bare {bare:>8.1?}: {ratio:.2} x");
    }
}

/// Returns the times after which each of the streams had the news.
fn wait_for_all(start: Instant, has_news: impl Fn(usize) -> bool) -> Vec<Duration> {
    let mut waiting: Vec<usize> = (0..STREAMS).collect();
    let mut times = Vec::with_capacity(STREAMS);
    while !waiting.is_empty() {
        waiting.retain(|index| !has_news(*index));
        times.resize(STREAMS - waiting.len(), start.elapsed());
        std::thread::yield_now();
    }
    times
}

fn percentile(times: &mut [Duration], part: f64) -> Duration {
    times.sort_unstable();
    times[(times.len() as f64 * part) as usize]
}

/// Starts a daemon, and near-caches that remember the audience of the sender.
async fn connect_near_caches() -> (Arc<Live>, Vec<NearCache>) {
    let mut policy = "groups:\n  team: { directory: true }\nrules:\n".to_owned();
    writeln!(policy, "  - {{ name: team, allow: {{ from: '{SENDER}', to: {{ group: team }} }} }}")
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    std::fs::write(&file, policy).unwrap();
    let live = Arc::new(Live::start(Source::File(file), Epoch::random().unwrap()).unwrap());
    let users: Vec<String> = (0..MEMBERS).map(|number| format!("@u{number}:x.org")).collect();
    let join = |user| Edit::Join { group: "team", user: UserId::parse(user).unwrap() };
    live.edit_directory(&users.iter().map(|user| join(user)).collect::<Vec<_>>()).unwrap();

    let listener = Listener::bind_tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = format!("http://{}", listener.address());
    let limits = LimitSettings::default().into();
    let shutdown = CancellationToken::new();
    tokio::spawn(server::serve(Arc::clone(&live), limits, vec![listener], shutdown));
    let mut options = Options::new(["x.org"]);
    options.deadline = Duration::from_secs(30);
    let mut caches = Vec::new();
    for _ in 0..STREAMS {
        let client = Client::connect(&address, options.clone()).unwrap();
        let cache = client.near_cache(NearCacheOptions::default());
        cache.audience(SENDER).await.unwrap();
        caches.push(cache);
    }
    (live, caches)
}

/// Connects sockets that receive what is broadcast, and store the last number.
async fn connect_sockets() -> (broadcast::Sender<u64>, Vec<Arc<AtomicU64>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, _) = broadcast::channel::<u64>(16);
    let mut received = Vec::new();
    for _ in 0..STREAMS {
        let (outbound, inbound) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut outbound, mut inbound) = (outbound.unwrap(), inbound.unwrap().0);
        outbound.set_nodelay(true).unwrap();
        let mut news = sender.subscribe();
        tokio::spawn(async move {
            while let Ok(number) = news.recv().await {
                let mut bytes = [0; BYTES];
                bytes[..8].copy_from_slice(&number.to_le_bytes());
                outbound.write_all(&bytes).await.unwrap();
            }
        });
        let last = Arc::new(AtomicU64::new(0));
        received.push(Arc::clone(&last));
        tokio::spawn(async move {
            let mut bytes = [0; BYTES];
            while inbound.read_exact(&mut bytes).await.is_ok() {
                last.store(u64::from_le_bytes(bytes[..8].try_into().unwrap()), Release);
            }
        });
    }
    (sender, received)
}
