//! Where the answers of the two homeservers come from: an engine in the process of each, or one
//! daemon that both ask over a connection that can break.

use std::sync::Arc;
use std::time::Duration;

use presence_router_client::{
    Changes, Client, InProcess, NearCacheOptions, Options, PresenceRouter, RoomCapabilities,
    Visibility, WhenAway,
};
use serde_json::{Value, json};

use super::policies::SERVERS;
use crate::harness::Daemon;
use crate::harness::proxy::Proxy;

/// Longer than any machine takes.
pub(super) const LONG: Duration = Duration::from_secs(30);

/// The routers of the homeservers.
pub(super) enum Source {
    InProcess(Vec<InProcess>),
    Daemon(Shared),
}

/// A daemon that both homeservers ask.
pub(super) struct Shared {
    daemon: Daemon,
    proxy: Proxy,
    when_away: WhenAway,
    /// The number of policies so far. Each has a rule of its own, so that each is a revision of
    /// which both homeservers hear.
    policies: usize,
}

// === impl Source ===

impl Source {
    /// An engine for each homeserver.
    pub(super) fn in_process(policy: &str) -> Self {
        let engine = |name| {
            let engine = InProcess::new(policy, [name]).unwrap();
            engine.with_room_capabilities(RoomCapabilities::ALL)
        };
        Self::InProcess(SERVERS.map(engine).into())
    }

    /// One daemon for both.
    pub(super) async fn daemon(policy: &str, when_away: WhenAway) -> Self {
        let daemon = Daemon::serving(&with_marker(policy, 0)).await;
        let proxy = Proxy::start(&daemon.address).await;
        Self::Daemon(Shared { daemon, proxy, when_away, policies: 1 })
    }

    /// Connects a homeserver.
    pub(super) fn connect(&self, place: usize) -> (Visibility, Changes) {
        match self {
            Self::InProcess(engines) => {
                let engine = engines[place].clone();
                let changes = engine.watch_changes();
                (Visibility::from_router(Arc::new(engine)), changes)
            }
            Self::Daemon(shared) => {
                let mut options = Options::new([SERVERS[place]]);
                options.deadline = LONG;
                options.backoff.initial_delay = Duration::from_millis(1);
                options.backoff.max_delay = Duration::from_millis(4);
                options.room_capabilities = RoomCapabilities::ALL;
                let client = Client::from_channel(shared.proxy.channel(), options);
                let mut options = NearCacheOptions::default();
                options.stale_for = Duration::ZERO;
                let cache = client.near_cache(options);
                let changes = cache.watch_changes();
                (Visibility::new(cache, shared.when_away), changes)
            }
        }
    }

    /// Replaces the policy, and returns the revision of which each homeserver hears.
    pub(super) async fn replace_policy(&mut self, policy: &str) -> Vec<String> {
        match self {
            Self::InProcess(engines) => {
                let mut revisions = Vec::new();
                for (engine, name) in engines.iter().zip(SERVERS) {
                    engine.replace_policy(policy).unwrap();
                    let answer = engine.interested_users(format!("@anybody:{name}")).await;
                    revisions.push(answer.unwrap().revision);
                }
                revisions
            }
            Self::Daemon(shared) => {
                shared.daemon.reload(&with_marker(policy, shared.policies)).unwrap();
                shared.policies += 1;
                vec![shared.daemon.revision(); SERVERS.len()]
            }
        }
    }

    /// What homeservers do while the daemon is away. `None`: there is none.
    pub(super) fn when_away(&self) -> Option<WhenAway> {
        match self {
            Self::InProcess(_) => None,
            Self::Daemon(shared) => Some(shared.when_away),
        }
    }

    /// Makes the daemon reachable, or not.
    pub(super) fn set_reachable(&self, reachable: bool) {
        if let Self::Daemon(shared) = self {
            shared.proxy.lead_to(reachable.then_some(shared.daemon.address.as_str()));
        }
    }
}

/// A policy with a rule for two users who are in no world. Both homeservers have one of them.
fn with_marker(policy: &str, number: usize) -> String {
    let mut policy: Value = serde_json::from_str(policy).unwrap();
    let pairs = json!({ "from": "@marker:one.org", "to": format!("@marker{number}:two.org") });
    let rule = json!({ "name": "marker", "allow": pairs });
    policy["rules"].as_array_mut().unwrap().push(rule);
    policy.to_string()
}
