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
//! daemon names. Who is not mentioned has nobody. `hides` of a caller has, for
//! pairs of a sender and a recipient, the fields that the recipient does not see
//! while the sender is online.
//!
//! A file about shared rooms also has `rooms`, in the form of `given` in a
//! policy's tests: the rooms by which each caller evaluates its answers. A
//! caller's `capabilities` are what it evaluates: `room_mates`, and the names of
//! conditions. Without them, it evaluates everything if there are rooms, and
//! nothing otherwise; an empty list is a client from before rooms.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use presence_router_client as client;
use presence_router_client::{Client, Counterparts, InProcess, Options, PresenceRouter};
use presence_router_engine::{Caller, Fields, GivenRooms, NoFiles, Policy, Router, Side, UserId};
use presence_router_ids::{RoomCapabilities, RoomConditions};
use presence_router_proto::rooms::room_capabilities;
use presence_router_proto::v1::Capability;
use serde::Deserialize;

use crate::harness::sets::ClientSets;
use crate::harness::ways::{self, Lists};
use crate::harness::{Daemon, Stream};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    about: String,
    policy: String,
    users: Vec<String>,
    #[serde(default)]
    rooms: Option<serde_json::Value>,
    callers: Vec<Expectation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    server_names: Vec<String>,
    capabilities: Option<Vec<String>>,
    #[serde(default)]
    audiences: Lists,
    #[serde(default)]
    interests: Lists,
    #[serde(default)]
    destinations: Lists,
    #[serde(default)]
    hides: BTreeMap<String, Lists>,
}

/// The answers to a caller, by one way in.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    audiences: Lists,
    interests: Lists,
    /// The fields of an online sender that a recipient does not see, for each pair; by answers
    /// about senders, and by answers about recipients.
    hides: [BTreeMap<String, Lists>; 2],
}

/// The presence of every sender.
const PRESENCE: &str = "online";

/// The fields of a presence in the order of the contract's numbers, from 1.
const FIELDS: [&str; 4] = ["presence", "status_msg", "last_active_ts", "currently_active"];

fn all() -> Vec<(String, Scenario)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "yaml"));
    files.sort();
    assert!(files.len() >= 20, "the scenarios are where they were");
    let read = |file: PathBuf| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let scenario = serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        (name, scenario)
    };
    files.into_iter().map(read).collect()
}

// === impl Scenario ===

impl Scenario {
    fn rooms(&self) -> GivenRooms {
        let Some(rooms) = &self.rooms else { return GivenRooms::default() };
        // JSON is YAML.
        GivenRooms::parse("rooms", rooms.to_string().as_bytes()).unwrap_or_else(|e| panic!("{e}"))
    }

    fn capabilities(&self, caller: &Expectation) -> RoomCapabilities {
        let value = |name: &String| {
            let condition = name.strip_prefix("room_").unwrap_or(name).to_uppercase();
            let value = Capability::from_str_name(&format!("CAPABILITY_ROOM_{condition}"));
            value.unwrap_or_else(|| panic!("no capability: {name}"))
        };
        match &caller.capabilities {
            Some(names) => room_capabilities(names.iter().map(value)),
            None if self.rooms.is_some() => RoomCapabilities::ALL,
            None => RoomCapabilities::NONE,
        }
    }
}

// === impl Expectation ===

impl Expectation {
    fn expected(&self) -> Found {
        let (audiences, interests) = (self.audiences.clone(), self.interests.clone());
        Found { audiences, interests, hides: [self.hides.clone(), self.hides.clone()] }
    }
}

// === impl Found ===

impl Found {
    /// Adds the counterparts of a user. `contains` tells who they are, and `hidden` returns the
    /// numbers of the fields that are hidden between the user and one of them.
    fn add(
        &mut self,
        side: Side,
        users: &[String],
        user: &str,
        contains: impl Fn(&str) -> Option<bool>,
        hidden: impl Fn(&str) -> Vec<i32>,
    ) {
        let lists = match side {
            Side::Sender => &mut self.audiences,
            Side::Recipient => &mut self.interests,
        };
        // What is unknown shows nobody.
        ways::add(lists, users, user, |other| contains(other) == Some(true));
        for other in lists.get(user).into_iter().flatten() {
            let (sender, recipient) = match side {
                Side::Sender => (user, other.as_str()),
                Side::Recipient => (other.as_str(), user),
            };
            hide(side.select_mut(&mut self.hides), sender, recipient, hidden(other));
        }
    }
}

impl From<ways::Answers> for Found {
    fn from(answers: ways::Answers) -> Self {
        let ways::Answers { audiences, interests, hidden } = answers;
        let hides = hidden.map(|hidden| {
            let mut hides = BTreeMap::new();
            for ((sender, recipient), found) in hidden {
                let applies = |unless: &[String]| !unless.iter().any(|one| one == PRESENCE);
                let fields = found.into_iter().filter(|(_, unless)| applies(unless));
                let fields = fields.flat_map(|(fields, _)| fields).collect();
                hide(&mut hides, &sender, &recipient, fields);
            }
            hides
        });
        Self { audiences, interests, hides }
    }
}

/// Adds the fields with these numbers to those that are hidden on a pair.
fn hide(hides: &mut BTreeMap<String, Lists>, sender: &str, recipient: &str, fields: Vec<i32>) {
    let names = fields.into_iter().map(|field| FIELDS[usize::try_from(field).unwrap() - 1]);
    let names: BTreeSet<_> = names.map(str::to_owned).collect();
    if !names.is_empty() {
        hides.entry(sender.to_owned()).or_default().insert(recipient.to_owned(), names);
    }
}

/// Returns the answers of the engine to an embedder.
fn ask_engine(router: &Router, caller: &Caller, rooms: &GivenRooms, users: &[String]) -> Found {
    let mut found = Found::default();
    for user in users {
        let id = parse_id(user);
        for (side, set) in [
            (Side::Sender, router.audience(id, caller)),
            (Side::Recipient, router.interest(id, caller)),
        ] {
            let contains = |id: &str| {
                set.contains_if(parse_id(id), |conditions| rooms.share_room(user, id, conditions))
            };
            let hidden = |id: &str| {
                let share_room =
                    |conditions: &RoomConditions| rooms.share_room(user, id, conditions);
                let hides = set.hides_if(parse_id(id), share_room);
                let hides = hides.filter(|hide| !hide.unless.iter().any(|one| **one == *PRESENCE));
                hides.flat_map(|hide| field_numbers(hide.fields)).collect()
            };
            found.add(side, users, user, contains, hidden);
        }
    }
    found
}

/// Returns the answers of a router of the Rust client.
async fn ask_router(router: &dyn PresenceRouter, rooms: &GivenRooms, users: &[String]) -> Found {
    let mut found = Found::default();
    let routed = router.users_for_states(users.to_vec()).await.unwrap();
    for (index, user) in users.iter().enumerate() {
        add_counterparts(&mut found, Side::Sender, rooms, users, user, routed.audience(index));
        let interest = router.interested_users(user.clone()).await.unwrap();
        let senders = interest.visible_senders();
        add_counterparts(&mut found, Side::Recipient, rooms, users, user, senders);
    }
    found
}

fn add_counterparts(
    found: &mut Found,
    side: Side,
    rooms: &GivenRooms,
    users: &[String],
    user: &str,
    others: Counterparts<'_>,
) {
    let contains = |other: &str| {
        others.contains_if(other, |conditions| rooms.share_room(user, other, conditions))
    };
    let hidden = |other: &str| {
        let share_room = |conditions: &RoomConditions| rooms.share_room(user, other, conditions);
        let client::Fields { presence, status_msg, last_active_ts, currently_active, .. } =
            others.hidden_fields_if(other, PRESENCE, share_room);
        field_numbers(Fields { presence, status_msg, last_active_ts, currently_active })
    };
    found.add(side, users, user, contains, hidden);
}

fn parse_id(id: &str) -> UserId<'_> {
    UserId::parse(id).unwrap()
}

fn field_numbers(fields: Fields) -> Vec<i32> {
    let Fields { presence, status_msg, last_active_ts, currently_active } = fields;
    let all = [presence, status_msg, last_active_ts, currently_active];
    (1..).zip(all).filter(|(_, is_hidden)| *is_hidden).map(|(field, _)| field).collect()
}

#[test]
fn scenarios_are_well_formed_and_true() {
    for (file, scenario) in all() {
        assert!(!scenario.about.is_empty(), "{file}");
        let policy = Policy::parse(&file, scenario.policy.as_bytes());
        let document = policy.unwrap_or_else(|e| panic!("{e}")).document;
        let known: BTreeSet<_> = scenario.users.iter().cloned().collect();
        for caller in &scenario.callers {
            for (user, others) in caller.audiences.iter().chain(&caller.interests) {
                assert!(known.contains(user) && others.is_subset(&known), "{file}: {user}");
            }
            for (sender, recipients) in &caller.hides {
                let visible = caller.audiences.get(sender).cloned().unwrap_or_default();
                for (recipient, fields) in recipients {
                    assert!(visible.contains(recipient), "{file}: {sender} {recipient}");
                    assert!(fields.iter().all(|field| FIELDS.contains(&field.as_str())), "{file}");
                }
            }
            if scenario.rooms.is_none() {
                let answers = ways::oracle(&document, &caller.server_names, &scenario.users);
                let names = &caller.server_names;
                assert_eq!(Found::from(answers), caller.expected(), "{file}: {names:?}");
            }
        }
    }
}

#[test]
fn the_engine_runs_them() {
    for (file, scenario) in all() {
        let router = Router::load(&file, scenario.policy.as_bytes(), &NoFiles).unwrap();
        for expectation in &scenario.callers {
            let capabilities = scenario.capabilities(expectation);
            let caller = Caller::new(&expectation.server_names).unwrap();
            let caller = caller.with_capabilities(capabilities);
            let found = ask_engine(&router, &caller, &scenario.rooms(), &scenario.users);
            assert_eq!(found, expectation.expected(), "{file}: {caller:?}");
        }
    }
}

/// For callers that evaluate no rooms. The others ask so in the conformance kit, and in
/// other languages.
#[tokio::test]
async fn unary_calls_run_them() {
    for (file, scenario) in all() {
        let daemon = Daemon::serving(&scenario.policy).await;
        for caller in &scenario.callers {
            if scenario.capabilities(caller) != RoomCapabilities::NONE {
                continue;
            }
            let names = &caller.server_names;
            let (answers, destinations) =
                ways::unary(daemon.client(), names, &scenario.users, &daemon.revision()).await;
            assert_eq!(Found::from(answers), caller.expected(), "{file}: {names:?}");
            assert_eq!(destinations, caller.destinations, "{file}: {names:?}");
        }
    }
}

/// For callers that evaluate no rooms.
#[tokio::test]
async fn the_stream_runs_them() {
    for (file, scenario) in all() {
        let daemon = Daemon::serving(&scenario.policy).await;
        for caller in &scenario.callers {
            if scenario.capabilities(caller) != RoomCapabilities::NONE {
                continue;
            }
            let names = &caller.server_names;
            let mut stream = Stream::open(daemon.client(), names).await;
            let (mut sets, revision) = (ClientSets::default(), daemon.revision());
            let answers =
                ways::stream(&mut stream, &mut sets, names, &scenario.users, &revision).await;
            assert_eq!(Found::from(answers), caller.expected(), "{file}: {names:?}");
        }
    }
}

#[tokio::test]
async fn the_rust_client_runs_them() {
    for (file, scenario) in all() {
        let daemon = Daemon::serving(&scenario.policy).await;
        let rooms = scenario.rooms();
        for caller in &scenario.callers {
            let (names, capabilities) = (&caller.server_names, scenario.capabilities(caller));
            let mut options = Options::new(names);
            options.deadline = Duration::from_secs(30);
            options.room_capabilities = capabilities;
            let client = Client::from_channel(daemon.channel(), options);
            let in_process = InProcess::new(&scenario.policy, names).unwrap();
            let in_process = in_process.with_room_capabilities(capabilities);
            let ways: [(_, &dyn PresenceRouter); 3] = [
                ("unary", &client),
                ("stream", &client.route_states()),
                ("in process", &in_process),
            ];
            for (way, router) in ways {
                let found = ask_router(router, &rooms, &scenario.users).await;
                assert_eq!(found, caller.expected(), "{file}: {names:?} {capabilities:?}: {way}");
            }
        }
    }
}
