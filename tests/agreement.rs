//! On random policies and users, every way in agrees with the oracle, before
//! and after a reload, for callers with various server names.
//!
//! `PRESENCE_ROUTER_CASES` says how many worlds; `tests/run --long` sets it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use presence_router_client::InProcess;
use presence_router_engine::{Fields, Policy};
use presence_router_ids::UserId;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::harness::sets::ClientSets;
use crate::harness::{Daemon, Stream, ways};
use crate::oracle::{hides, visible};
use crate::worlds::{callers, everybody, listed, policies};

pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Worlds to try: those of the environment, or these.
pub(crate) fn cases(default: u32) -> ProptestConfig {
    let set = std::env::var("PRESENCE_ROUTER_CASES").ok();
    let cases = set.map_or(default, |cases| cases.parse().expect("a number of cases"));
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

fn parse(policy: &str) -> Policy {
    Policy::parse("policy.yaml", policy.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{policy}"))
}

proptest! {
    #![proptest_config(cases(3_000))]

    #[test]
    fn the_engine_agrees(policy in policies(), server_names in callers()) {
        let policy = parse(&policy);
        let users = everybody();
        let expected = ways::oracle(&policy.document, &server_names, &users);
        prop_assert_eq!(ways::engine(&policy.snapshot, &server_names, &users), expected);
        // Pair by pair, too.
        for (sender, recipient) in users.iter().flat_map(|s| users.iter().map(move |r| (s, r))) {
            let [from, to] = [sender, recipient].map(|user| UserId::parse(user).unwrap());
            let want = visible(&policy.document, sender, recipient);
            prop_assert_eq!(policy.snapshot.visible(from, to), want, "{} {}", sender, recipient);
        }
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn the_policys_own_tests_agree(policy in policies(), user in select(everybody())) {
        let policy = parse(&policy);
        let seen = |sender: &str, recipient: &str| visible(&policy.document, sender, recipient);
        let (yes, no): (Vec<_>, Vec<_>) = everybody().into_iter().partition(|r| seen(&user, r));
        let (sees, unseen): (Vec<_>, Vec<_>) = everybody().into_iter().partition(|s| seen(s, &user));
        // A list has at least one.
        let test = |side: &str, verb: &str, yes: &[String], no: &[String]| {
            let mut test = json!({ side: user });
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
fn test_hides(policy: &Policy, sender: &str, recipient: &str) -> Value {
    let hides = hides(&policy.document, sender, recipient).into_iter().map(|(fields, unless)| {
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
        text in policies(),
        (user, other) in (select(everybody()), select(everybody())),
    ) {
        let policy = parse(&text);
        let listed = listed(&text, &BTreeMap::new());
        let nobody = "@nobody:nowhere.example";
        let run = |test: Value| {
            policy.run_test_file("tests.yaml", json!({ "tests": [test] }).to_string().as_bytes())
        };
        for (side, verb) in [("sender", "reaches"), ("recipient", "sees")] {
            let pair = |user: &str, other: &str| match side {
                "sender" => [user.to_owned(), other.to_owned()],
                _ => [other.to_owned(), user.to_owned()],
            };
            let seen = |user: &str, other: &str| {
                let [sender, recipient] = pair(user, other);
                visible(&policy.document, &sender, &recipient)
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
                let hides = test_hides(&policy, &sender, &recipient);
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
        (before, after) in (policies(), policies()),
        server_names in callers(),
    ) {
        RUNTIME.block_on(async {
            let users = everybody();
            let daemon = Daemon::serving(&before).await;
            let client = daemon.client();
            let mut stream = Stream::open(client.clone(), &server_names).await;
            let mut sets = ClientSets::default();
            for policy in [&before, &after] {
                if *policy != before {
                    daemon.reload(policy).unwrap();
                }
                let revision = daemon.revision();
                let expected = ways::oracle(&parse(policy).document, &server_names, &users);
                let (unary, _) = ways::unary(client.clone(), &server_names, &users, &revision).await;
                assert_eq!(unary, expected, "unary");
                let streamed = ways::stream(&mut stream, &mut sets, &users, &revision).await;
                assert_eq!(streamed, expected, "stream");
            }
        });
    }
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn the_rust_client_agrees_before_and_after_a_reload(
        (before, after) in (policies(), policies()),
        server_names in callers(),
    ) {
        RUNTIME.block_on(async {
            let users = everybody();
            let daemon = Daemon::serving(&before).await;
            let unary = daemon.rust_client(&server_names);
            let stream = unary.route_states();
            let in_process = InProcess::new(&before, &server_names).unwrap();
            for policy in [&before, &after] {
                if *policy != before {
                    daemon.reload(policy).unwrap();
                    in_process.replace_policy(policy).unwrap();
                }
                let revision = daemon.revision();
                let expected = ways::oracle(&parse(policy).document, &server_names, &users);
                let said = ways::router(&unary, &users, Some(&revision)).await;
                assert_eq!(said, expected, "unary");
                let said = ways::router(&stream, &users, Some(&revision)).await;
                assert_eq!(said, expected, "stream");
                let said = ways::router(&in_process, &users, None).await;
                assert_eq!(said, expected, "in process");
            }
        });
    }
}
