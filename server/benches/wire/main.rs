//! What `RouteStates` costs a server on the wire, next to what a user would write
//! instead, in one run.
//!
//!     cargo bench -p presence-router-server --bench wire
//!
//! The daemon as it is shipped, with its defaults, routes among a million users
//! (world *classes*). Beside it, in turns, on the same core: a stock server that
//! decodes a batch and answers nothing, one that routes it by standard collections,
//! and one that decodes nothing. Each is a process of its own, reached by a Unix
//! socket from one client on another core: one stream, several batches in flight.
//!
//! What counts are ratios of processor time, user and system, within one turn.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark stops at a fault"
)]

mod client;
mod cores;
mod raw;
mod servers;
#[path = "../engine/stock.rs"]
#[expect(dead_code, reason = "the engine's benchmark uses more of it")]
mod stock;
mod stock_server;
#[path = "../engine/worlds.rs"]
#[expect(dead_code, reason = "the engine's benchmark uses more of it")]
mod worlds;

use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use self::client::{Batch, Client};
use self::cores::Cores;
use self::servers::Server;

/// A server to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `presence-router`.
    Daemon,
    /// Decodes, and answers nothing.
    StockEcho,
    /// Decodes, and routes by standard collections.
    StockRouting,
    /// Decodes nothing.
    Floor,
}

const KINDS: [Kind; 4] = [Kind::Daemon, Kind::StockEcho, Kind::StockRouting, Kind::Floor];

/// What a server logs once it serves.
const SERVING: &str = "serving";

const USERS: usize = 1_000_000;
const IN_FLIGHT: usize = 8;
const SIZES: [usize; 3] = [100, 1000, 4000];

/// States of all different batches of a size, so that no cache holds what they
/// touch; and how often they are sent in a turn.
const STATES: usize = 400_000;
const TIMES: usize = 3;
const TURNS: usize = 5;

/// Longest time for all of it, servers included.
const PATIENCE: Duration = Duration::from_secs(300);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, serve, kind, socket] = arguments.as_slice()
        && serve == "--serve"
    {
        let kind = KINDS.into_iter().find(|known| format!("{known:?}") == *kind).unwrap();
        return stock_server::serve(kind, Path::new(socket));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut stop = signal(SignalKind::terminate()).unwrap();
        tokio::select! {
            ended = timeout(PATIENCE, run()) => ended.expect("it ends in time"),
            // To drop the servers, and with them their processes.
            _ = stop.recv() => {}
        }
    });
}

async fn run() {
    let dir = tempfile::tempdir().unwrap();
    let cores = Cores::choose();
    // Processes begin on the core of whoever starts them.
    Cores::stay_on(cores.servers);
    let mut servers = Vec::new();
    for kind in KINDS {
        servers.push(Server::start(kind, dir.path()).await);
    }
    Cores::stay_on(cores.client);
    let mut clients = Vec::new();
    for server in &servers {
        clients.push(Client::open(server).await);
    }
    let users = worlds::users(USERS);
    for size in SIZES {
        let mut random = worlds::Random(size as u64);
        let ids = 1..=(STATES / size) as u64;
        let batches: Vec<Batch> =
            ids.map(|id| Batch::random(id, size, &users, &mut random)).collect();
        let mut expected = Vec::new();
        for client in &mut clients {
            expected.push(client.learn(&batches).await);
        }
        let mut turns = Vec::new();
        for _ in 0..TURNS {
            let mut spent = Vec::new();
            for ((server, client), expected) in servers.iter().zip(&mut clients).zip(&expected) {
                let before = server.spent();
                for _ in 0..TIMES {
                    client.repeat(&batches, expected).await;
                }
                let states = (batches.len() * size * TIMES) as f64;
                spent.push(server.spent().since(&before) as f64 / states);
            }
            turns.push(spent);
        }
        report(size, batches[0].state_bytes(), &turns);
    }
}

/// Prints medians: of what each server spent, and of what the daemon spent for
/// what another one did.
fn report(size: usize, bytes: usize, turns: &[Vec<f64>]) {
    println!("RouteStates, batches of {size}, {bytes} B a state, server's processor time:");
    for (index, kind) in KINDS.iter().enumerate() {
        let spent = median(turns.iter().map(|turn| turn[index]));
        let ratio = median(turns.iter().map(|turn| turn[0] / turn[index]));
        let (name, is_daemon) = match kind {
            Kind::Daemon => ("presence-router", true),
            Kind::StockEcho => ("stock echo: prost decode, empty answer", false),
            Kind::StockRouting => ("stock routing: prost, HashMap, BTreeMap", false),
            Kind::Floor => ("transport alone, nothing decoded", false),
        };
        let ratio = if is_daemon { String::new() } else { format!(": {ratio:.2} x") };
        println!("  {name:<40} {spent:>4.0} ns a state{ratio}");
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
