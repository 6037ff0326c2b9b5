//! The scenario files: policy, callers, and who sees whom, written by hand.
//! Each runs through the engine, the unary calls and the stream, through the Rust
//! client by both and in the process, through the Synapse module in
//! `tests/synapse/test_scenarios.py`, and through clients in other languages in
//! `tests/polyglot`.
//!
//! A file has `about` (what it shows), `policy` (its text), `users` (everybody
//! it asks about) and `callers`: each with `server_names`, the `audiences` of
//! senders and the `interests` of recipients as far as they concern the caller,
//! and `destinations`: for senders with an open audience, the servers that the
//! daemon names. Who is not mentioned has nobody.

use std::collections::BTreeSet;
use std::path::PathBuf;

use presence_router_client::{InProcess, PresenceRouter};
use presence_router_engine::Policy;
use serde::Deserialize;

use crate::harness::sets::ClientSets;
use crate::harness::ways::{self, Answers, Lists};
use crate::harness::{Daemon, Stream};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    about: String,
    policy: String,
    users: Vec<String>,
    callers: Vec<Expectation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    server_names: Vec<String>,
    #[serde(default)]
    audiences: Lists,
    #[serde(default)]
    interests: Lists,
    #[serde(default)]
    destinations: Lists,
}

fn all() -> Vec<(String, Scenario)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "yaml"));
    files.sort();
    assert!(files.len() >= 11, "the scenarios are where they were");
    let read = |file: PathBuf| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let scenario = serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        (name, scenario)
    };
    files.into_iter().map(read).collect()
}

impl Expectation {
    fn expected(&self) -> Answers {
        let (audiences, interests) = (self.audiences.clone(), self.interests.clone());
        Answers { audiences, interests, ..Answers::default() }
    }
}

fn parse(file: &str, scenario: &Scenario) -> Policy {
    Policy::parse(file, scenario.policy.as_bytes()).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn scenarios_are_well_formed_and_true() {
    for (file, scenario) in all() {
        assert!(!scenario.about.is_empty(), "{file}");
        let document = parse(&file, &scenario).document;
        let known: BTreeSet<_> = scenario.users.iter().cloned().collect();
        for caller in &scenario.callers {
            for (user, others) in caller.audiences.iter().chain(&caller.interests) {
                assert!(known.contains(user) && others.is_subset(&known), "{file}: {user}");
            }
            let answers = ways::oracle(&document, &caller.server_names, &scenario.users);
            assert_eq!(answers, caller.expected(), "{file}: {:?}", caller.server_names);
        }
    }
}

#[test]
fn the_engine_runs_them() {
    for (file, scenario) in all() {
        let snapshot = parse(&file, &scenario).snapshot;
        for caller in &scenario.callers {
            let answers = ways::engine(&snapshot, &caller.server_names, &scenario.users);
            assert_eq!(answers, caller.expected(), "{file}: {:?}", caller.server_names);
        }
    }
}

#[tokio::test]
async fn unary_calls_run_them() {
    for (file, scenario) in all() {
        let daemon = Daemon::serving(&scenario.policy).await;
        for caller in &scenario.callers {
            let names = &caller.server_names;
            let (answers, destinations) =
                ways::unary(daemon.client(), names, &scenario.users, &daemon.revision()).await;
            assert_eq!(answers, caller.expected(), "{file}: {names:?}");
            assert_eq!(destinations, caller.destinations, "{file}: {names:?}");
        }
    }
}

#[tokio::test]
async fn the_stream_runs_them() {
    for (file, scenario) in all() {
        let daemon = Daemon::serving(&scenario.policy).await;
        for caller in &scenario.callers {
            let mut stream = Stream::open(daemon.client(), &caller.server_names).await;
            let (mut sets, revision) = (ClientSets::default(), daemon.revision());
            let answers = ways::stream(&mut stream, &mut sets, &scenario.users, &revision).await;
            assert_eq!(answers, caller.expected(), "{file}: {:?}", caller.server_names);
        }
    }
}

#[tokio::test]
async fn the_rust_client_runs_them() {
    for (file, scenario) in all() {
        let daemon = Daemon::serving(&scenario.policy).await;
        for caller in &scenario.callers {
            let names = &caller.server_names;
            let client = daemon.rust_client(names);
            let in_process = InProcess::new(&scenario.policy, names).unwrap();
            let revision = daemon.revision();
            let ways: [(_, &dyn PresenceRouter, _); 3] = [
                ("unary", &client, Some(revision.as_str())),
                ("stream", &client.route_states(), Some(revision.as_str())),
                ("in process", &in_process, None),
            ];
            for (way, router, revision) in ways {
                let answers = ways::router(router, &scenario.users, revision).await;
                assert_eq!(answers, caller.expected(), "{file}: {names:?}: {way}");
            }
        }
    }
}
