//! Counts of rules in shadow: the states that each alone would have changed, by
//! call and by stream.

use std::collections::BTreeMap;

use presence_router_engine::unstable::policy::document::Document;
use presence_router_engine::unstable::routing::query::visibility::CallerView;
use presence_router_engine::{Caller, Policy, Side};
use presence_router_ids::UserId;
use presence_router_proto::v1::route_states_request::Message as Request;
use presence_router_proto::v1::route_states_response::Message as Response;
use presence_router_proto::v1::{GetUsersForStatesRequest, StateBatch};
use proptest::prelude::*;

use crate::agreement::{cases, homeserver, homeservers};
use crate::harness::{Daemon, Stream, states};
use crate::oracle::{Homeserver, hides_by, seen};
use crate::worlds::{all_policies, everybody};

/// Whether what is said of a sender is another with a policy than with another.
fn changes(one: &Document, other: &Document, homeserver: Homeserver<'_>, sender: &str) -> bool {
    everybody().iter().any(|recipient| {
        let said = |policy: &Document| {
            seen(policy, homeserver, sender, recipient)
                .then(|| hides_by(policy, homeserver, sender, recipient))
        };
        said(one) != said(other)
    })
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn no_sender_is_missed(
        policy in all_policies(),
        (server_names, capabilities, rooms) in homeservers(),
    ) {
        let policy = Policy::parse("policy.yaml", policy.as_bytes()).unwrap();
        let caller = Caller::new(&server_names).unwrap();
        let scope = CallerView::new(
            caller.with_capabilities(capabilities.iter().copied().collect()),
        );
        let homeserver = homeserver(&server_names, &capabilities, &rooms);
        let user_table = policy.snapshot.users();
        for (place, rule) in policy.document.rules.iter().enumerate().filter(|(_, rule)| rule.shadow) {
            let mut live = policy.document.clone();
            live.rules[place].shadow = false;
            for user in everybody() {
                let id = UserId::parse(&user).unwrap();
                let signature = policy.snapshot.signature(id, Side::Sender, scope.caller());
                let told = policy.snapshot.shadowed(&signature, &scope);
                let told = told.iter().find(|told| told.rule == place);
                let told = told.is_some_and(|told| told.except.is_none() || user_table.number(&user) != told.except);
                // Those whom a pattern might let in are told, too; nobody of them is here.
                let changed = changes(&policy.document, &live, homeserver, &user);
                prop_assert!(told || !changed, "{} {}", rule.name, user);
            }
        }
    }
}

const POLICY: &str = "
groups:
  staff: ['@ann:a.org', '@joe:a.org', '@sue:a.org']
  alone: ['@ann:a.org']
rules:
  - { name: staff, allow: { within: staff } }
  - { name: no sue, deny: { from: everyone, to: '@sue:a.org' } }
  - { name: more, shadow: true, allow: { from: { group: staff }, to: '@eve:b.org' } }
  - { name: nothing more, shadow: true, allow: { from: { group: staff }, to: '@sue:a.org' } }
  - { name: herself, shadow: true, allow: { within: alone } }
  - { name: less, shadow: true, deny: { from: '@joe:a.org', to: '@ann:a.org' } }
  - { name: hidden, shadow: true, hide: { from: '@ann:a.org', to: '@joe:a.org', fields: [status_msg] } }
  - { name: not hers, shadow: true, hide: { from: '@ann:a.org', to: '@sue:a.org', fields: [status_msg] } }
";

fn counts(daemon: &Daemon) -> BTreeMap<String, u64> {
    let active = daemon.live.active();
    let name = |place: usize| active.applied.policy.document.rules[place].name.clone();
    active.current.shadows.counts_by_rule().map(|(place, count)| (name(place), count)).collect()
}

#[tokio::test]
async fn states_are_counted_by_call_and_by_stream() {
    let daemon = Daemon::serving(POLICY).await;
    let users = ["@ann:a.org", "@joe:a.org", "@ann:a.org", "@eve:b.org", "@who:a.org"];
    let server_names = vec!["a.org".to_owned()];
    let states_of = || states(&users);
    let request = GetUsersForStatesRequest {
        server_names: server_names.clone(),
        states: states_of(),
        at_least: String::new(),
        capabilities: Vec::new(),
    };
    let expected = |times: u64| -> BTreeMap<String, u64> {
        let counts = [
            ("more", 3),
            ("nothing more", 0),
            ("herself", 0),
            ("less", 1),
            ("hidden", 2),
            ("not hers", 0),
        ];
        counts.map(|(name, count)| (name.to_owned(), count * times)).into()
    };
    daemon.client().get_users_for_states(request).await.unwrap();
    assert_eq!(counts(&daemon), expected(1));
    let mut stream = Stream::open(daemon.client(), &server_names).await;
    for _ in 0..2 {
        stream.send(Request::Batch(StateBatch { states: states_of(), ..Default::default() }));
        while !matches!(stream.next().await.unwrap(), Some(Response::Deliveries(_))) {}
    }
    assert_eq!(counts(&daemon), expected(3));

    // A rule that is the same goes on, another begins anew.
    daemon.reload(&POLICY.replace("to: '@eve:b.org'", "to: '@eve:c.org'")).unwrap();
    let mut after = expected(3);
    after.insert("more".to_owned(), 0);
    assert_eq!(counts(&daemon), after);
}
