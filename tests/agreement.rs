//! On random policies, users and rooms, every way in agrees with the oracle, before
//! and after a reload, for callers with various server names that evaluate more or less of
//! rooms.
//!
//! `PRESENCE_ROUTER_CASES` says how many worlds; `tests/run --long` sets it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use presence_router_client::{InProcess, PresenceRouter};
use presence_router_engine::unstable::routing::model::ruleset::Relation;
use presence_router_engine::{Fields, Policy};
use presence_router_ids::{RoomCapability, UserId};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::harness::sets::ClientSets;
use crate::harness::{Daemon, Stream, ways};
use crate::oracle::rooms::Rooms;
use crate::oracle::{Homeserver, hides_by, visible, visible_to};
use crate::worlds::rooms::{as_written, capabilities, rooms, written};
use crate::worlds::{all_policies, callers, everybody, listed};

pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Worlds to try: those of the environment, or these.
pub(crate) fn cases(default: u32) -> ProptestConfig {
    let set = std::env::var("PRESENCE_ROUTER_CASES").ok();
    let cases = set.map_or(default, |cases| cases.parse().expect("a number of cases"));
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

/// Server names of a caller, what it evaluates of rooms, and its rooms.
pub(crate) fn homeservers() -> impl Strategy<Value = (Vec<String>, Vec<RoomCapability>, Rooms)> {
    (callers(), capabilities(), rooms())
}

pub(crate) fn homeserver<'a>(
    server_names: &'a [String],
    capabilities: &'a [RoomCapability],
    rooms: &'a Rooms,
) -> Homeserver<'a> {
    Homeserver { server_names, capabilities, rooms }
}

pub(crate) fn parse(policy: &str) -> Policy {
    Policy::parse("policy.yaml", policy.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{policy}"))
}

proptest! {
    #![proptest_config(cases(3_000))]

    #[test]
    fn the_engine_agrees(
        policy in all_policies(),
        (server_names, capabilities, rooms) in homeservers(),
    ) {
        let policy = parse(&policy);
        let users = everybody();
        let homeserver = homeserver(&server_names, &capabilities, &rooms);
        let expected = ways::oracle(&policy.document, homeserver, &users);
        prop_assert_eq!(ways::engine(&policy.snapshot, homeserver, &users), expected);
        // Pair by pair, too.
        let homeserver = Homeserver::in_rooms(&rooms);
        for (sender, recipient) in users.iter().flat_map(|s| users.iter().map(move |r| (s, r))) {
            let [from, to] = [sender, recipient].map(|user| UserId::parse(user).unwrap());
            let holds = |relation: &Relation| rooms.hold(relation, sender, recipient);
            let is = policy.snapshot.visible_if(from, to, holds) == Some(true);
            let want = visible_to(&policy.document, homeserver, sender, recipient);
            prop_assert_eq!(is, want, "{} {}", sender, recipient);
            let want = visible(&policy.document, sender, recipient);
            prop_assert_eq!(policy.snapshot.visible(from, to), want, "{} {}", sender, recipient);
        }
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn the_policys_own_tests_agree(
        policy in all_policies(),
        user in select(everybody()),
        rooms in rooms().prop_map(as_written),
    ) {
        let policy = parse(&policy);
        let in_rooms = Homeserver::in_rooms(&rooms);
        let seen = |sender: &str, recipient: &str| {
            visible_to(&policy.document, in_rooms, sender, recipient)
        };
        let (yes, no): (Vec<_>, Vec<_>) = everybody().into_iter().partition(|r| seen(&user, r));
        let (sees, unseen): (Vec<_>, Vec<_>) = everybody().into_iter().partition(|s| seen(s, &user));
        // A list has at least one.
        let test = |side: &str, verb: &str, yes: &[String], no: &[String]| {
            let mut test = json!({ side: user, "given": { "rooms": written(&rooms) } });
            for (key, list) in [(verb, yes), ("not", no)] {
                if !list.is_empty() {
                    test[key] = json!(list);
                }
            }
            test
        };
        let run = |tests: [Value; 2]| {
            let text = json!({ "tests": tests }).to_string();
            policy.run_test_file("tests.yaml", text.as_bytes())
        };
        let right = [test("sender", "reaches", &yes, &no), test("recipient", "sees", &sees, &unseen)];
        prop_assert_eq!(run(right), Ok(2));
        let wrong = [test("sender", "reaches", &no, &yes), test("recipient", "sees", &unseen, &sees)];
        let problems = run(wrong).unwrap_err().list;
        prop_assert_eq!(problems.len(), 2 * everybody().len());
        for problem in problems {
            let message = problem.message;
            let is = message.contains("` reaches `") || message.contains("` sees `");
            prop_assert_eq!(is, message.contains("allowed by rule"), "{}", message);
            let is_not = message.contains("no allow rule matches")
                || message.contains("denied by rule")
                || message.contains("own presence");
            prop_assert_eq!(!is, is_not, "{}", message);
        }
    }
}

/// The hidden fields of a pair, as a test has them.
fn test_hides(policy: &Policy, in_rooms: Homeserver<'_>, sender: &str, recipient: &str) -> Value {
    let hides = hides_by(&policy.document, in_rooms, sender, recipient);
    let hides = hides.into_iter().map(|(fields, unless)| {
        let Fields { presence, status_msg, last_active_ts, currently_active } = fields;
        let names = [
            ("presence", presence),
            ("status_msg", status_msg),
            ("last_active_ts", last_active_ts),
            ("currently_active", currently_active),
        ];
        let names: Vec<_> = names.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
        match unless.is_empty() {
            true => json!({ "fields": names }),
            false => json!({ "fields": names, "unless": { "presence": unless } }),
        }
    });
    match hides.collect::<Vec<_>>().as_slice() {
        [] => json!({ "fields": [] }),
        hides => json!(hides),
    }
}

proptest! {
    #![proptest_config(cases(100))]

    /// Tests about all listed users, about what is hidden, and about a set.
    #[test]
    fn the_policys_own_tests_of_more_agree(
        text in all_policies(),
        (user, other) in (select(everybody()), select(everybody())),
        rooms in rooms().prop_map(as_written),
    ) {
        let policy = parse(&text);
        let in_rooms = Homeserver::in_rooms(&rooms);
        let mut listed = listed(&text, &BTreeMap::new());
        // Members of the given rooms count as listed in their test.
        listed.extend(rooms.0.iter().flat_map(|room| room.members.iter().cloned()));
        let nobody = "@nobody:nowhere.example";
        let run = |mut test: Value| {
            test["given"] = json!({ "rooms": written(&rooms) });
            policy.run_test_file("tests.yaml", json!({ "tests": [test] }).to_string().as_bytes())
        };
        for (side, verb) in [("sender", "reaches"), ("recipient", "sees")] {
            let pair = |user: &str, other: &str| match side {
                "sender" => [user.to_owned(), other.to_owned()],
                _ => [other.to_owned(), user.to_owned()],
            };
            let seen = |user: &str, other: &str| {
                let [sender, recipient] = pair(user, other);
                visible_to(&policy.document, in_rooms, &sender, &recipient)
            };
            let others: Vec<&String> = listed.iter().filter(|other| seen(&user, other)).collect();
            prop_assert_eq!(run(json!({ side: user, "only": others })), Ok(1));
            if let [_, rest @ ..] = others.as_slice() {
                let problems = run(json!({ side: user, "only": rest })).unwrap_err().list;
                prop_assert_eq!(problems.len(), 1, "{:?}", problems);
                prop_assert!(problems[0].message.contains(", who is not in `only`: allowed by"));
            }
            let mut more: Vec<&str> = others.iter().map(|other| other.as_str()).collect();
            more.push(nobody);
            prop_assert_eq!(run(json!({ side: user, "only": more })).is_ok(), seen(&user, nobody));

            for other in everybody().iter().filter(|other| seen(&user, other)) {
                let [sender, recipient] = pair(&user, other);
                let hides = test_hides(&policy, in_rooms, &sender, &recipient);
                let test = |hides: Value| run(json!({ side: user, verb: other, "hides": hides }));
                prop_assert_eq!(test(hides), Ok(1));
                let odd = json!({ "fields": "presence", "unless": { "presence": "odd" } });
                let problems = test(odd).unwrap_err().list;
                prop_assert_eq!(problems.len(), 1, "{:?}", problems);
            }

            let both = [&user, &other];
            let all = everybody();
            let (yes, no): (Vec<&String>, Vec<&String>) =
                all.iter().partition(|third| both.iter().all(|one| one == third || seen(one, third)));
            let no = no.into_iter().filter(|third| both.iter().all(|one| !seen(one, third)));
            let no: Vec<&String> = no.collect();
            for (verb, list) in [(verb, &yes), ("not", &no)] {
                if !list.is_empty() {
                    prop_assert_eq!(run(json!({ side: both, verb: list })), Ok(1));
                }
            }
            let wrong: Vec<&String> = all.iter().filter(|third| !yes.contains(third)).collect();
            if !wrong.is_empty() {
                let problems = run(json!({ side: both, verb: wrong })).unwrap_err().list;
                prop_assert_eq!(problems.len(), wrong.len());
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(250))]

    #[test]
    fn unary_and_stream_agree_before_and_after_a_reload(
        (before, after) in (all_policies(), all_policies()),
        (server_names, capabilities, rooms) in homeservers(),
    ) {
        RUNTIME.block_on(async {
            let homeserver = homeserver(&server_names, &capabilities, &rooms);
            let users = everybody();
            let daemon = Daemon::serving(&before).await;
            let client = daemon.client();
            let mut stream = Stream::open_for(client.clone(), homeserver).await;
            let mut sets = ClientSets::default();
            for policy in [&before, &after] {
                if *policy != before {
                    daemon.reload(policy).unwrap();
                }
                let revision = daemon.revision();
                let expected = ways::oracle(&parse(policy).document, homeserver, &users);
                let (unary, _) = ways::unary(client.clone(), homeserver, &users, &revision).await;
                assert_eq!(unary, expected, "unary");
                let streamed =
                    ways::stream(&mut stream, &mut sets, homeserver, &users, &revision).await;
                assert_eq!(streamed, expected, "stream");
            }
        });
    }
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn the_rust_client_agrees_before_and_after_a_reload(
        (before, after) in (all_policies(), all_policies()),
        (server_names, capabilities, rooms) in homeservers(),
    ) {
        RUNTIME.block_on(async {
            let homeserver = homeserver(&server_names, &capabilities, &rooms);
            let users = everybody();
            let daemon = Daemon::serving(&before).await;
            let unary = daemon.rust_client(homeserver);
            let stream = unary.route_states();
            let in_process = InProcess::new(&before, &server_names).unwrap();
            let in_process =
                in_process.with_room_capabilities(capabilities.iter().copied().collect());
            for policy in [&before, &after] {
                if *policy != before {
                    daemon.reload(policy).unwrap();
                    in_process.replace_policy(policy).unwrap();
                }
                let revision = daemon.revision();
                let expected = ways::oracle(&parse(policy).document, homeserver, &users);
                let routers: [(&str, &dyn PresenceRouter, _); 3] = [
                    ("unary", &unary, Some(revision.as_str())),
                    ("stream", &stream, Some(&revision)),
                    ("in process", &in_process, None),
                ];
                for (way, router, revision) in routers {
                    let said = ways::router(router, homeserver, &users, revision).await;
                    assert_eq!(said, expected, "{way}");
                }
            }
        });
    }
}
