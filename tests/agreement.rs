//! On random policies and users, every way in agrees with the oracle, before
//! and after a reload, for callers with various server names.
//!
//! `PRESENCE_ROUTER_CASES` says how many worlds; `tests/run --long` sets it.

use std::sync::LazyLock;

use presence_router_proto::v1::route_states_response::Message as Told;
use presence_router_server::policy::Policy;
use proptest::prelude::*;
use tokio::runtime::Runtime;

use crate::harness::sets::Sets;
use crate::harness::{Daemon, Stream, ways};
use crate::worlds::{callers, everybody, policies};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

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
            let mut sets = Sets::default();
            for policy in [&before, &after] {
                if *policy != before {
                    daemon.reload(policy).unwrap();
                    let told = stream.next().await.unwrap();
                    let Some(Told::Reset(reset)) = told else { panic!("not a reset: {told:?}") };
                    assert_eq!(reset.revision, daemon.revision());
                    sets.reset();
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
