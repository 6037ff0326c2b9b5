//! Clients that evaluate nothing of rooms, or some conditions only: each gets exactly what the
//! rules give it rule by rule, and never more than the policy shows.

use std::collections::BTreeSet;

use presence_router_ids::RoomCapability;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::agreement::{RUNTIME, cases, homeserver, parse};
use crate::harness::sets::ClientSets;
use crate::harness::ways::{self, Answers};
use crate::harness::{Daemon, Stream};
use crate::oracle::Homeserver;
use crate::oracle::rooms::{Rooms, needed_capabilities};
use crate::worlds::rooms::{rooms, some_capabilities};
use crate::worlds::{callers, everybody, room_policies};

/// Asserts that answers show nothing that others do not show: no further pair, and of none of
/// the pairs a field that the others hide.
fn show_no_more(answers: &Answers, than: &Answers) {
    let lists = [(&answers.audiences, &than.audiences), (&answers.interests, &than.interests)];
    for (mine, theirs) in lists {
        for (user, others) in mine {
            let nobody = BTreeSet::new();
            let more: Vec<_> = others.difference(theirs.get(user).unwrap_or(&nobody)).collect();
            assert!(more.is_empty(), "{user}: {more:?}");
        }
    }
    for (mine, theirs) in answers.hidden.iter().zip(&than.hidden) {
        let is_visible = |(sender, recipient): &(String, String)| {
            answers.audiences.get(sender).is_some_and(|others| others.contains(recipient))
        };
        for (pair, hides) in theirs.iter().filter(|(pair, _)| is_visible(pair)) {
            assert!(mine.get(pair).is_some_and(|mine| mine.is_superset(hides)), "{pair:?}");
        }
    }
}

/// Policies, and what an older client evaluates: often everything but one part that a rule
/// needs.
fn worlds() -> impl Strategy<Value = (Vec<String>, Vec<RoomCapability>)> {
    let lacks_one = (any::<bool>(), any::<Index>());
    (vec(room_policies(), 1..=2), some_capabilities(), lacks_one).prop_map(
        |(policies, some, (lacks_one, index))| {
            let documents: Vec<_> = policies.iter().map(|policy| parse(policy).document).collect();
            let rules = documents.iter().flat_map(|document| &document.rules);
            let relations = rules.filter_map(|rule| rule.relation.as_ref());
            let needed: BTreeSet<_> = relations.flat_map(needed_capabilities).collect();
            if !lacks_one || needed.is_empty() {
                return (policies, some);
            }
            let lacking = needed.iter().nth(index.index(needed.len()));
            let rest = RoomCapability::ALL.into_iter().filter(|one| Some(one) != lacking);
            (policies, rest.collect())
        },
    )
}

proptest! {
    #![proptest_config(cases(200))]

    /// Under each of several rooms, an older client shows what the rules give it rule by rule,
    /// and no more than a client that evaluates everything. A client that evaluates nothing
    /// shows that in whatever rooms.
    #[test]
    fn older_clients_are_shown_less(
        (policies, capabilities) in worlds(),
        server_names in callers(),
        all_rooms in vec(rooms(), 1..4),
    ) {
        RUNTIME.block_on(async {
            let users = everybody();
            let daemon = Daemon::serving(&policies[0]).await;
            let older = |rooms| homeserver(&server_names, &capabilities, rooms);
            let newer = |rooms| homeserver(&server_names, &RoomCapability::ALL, rooms);
            let no_rooms = Rooms::default();
            let mut stream = Stream::open_for(daemon.client(), older(&no_rooms)).await;
            let mut sets = ClientSets::default();
            for (number, policy) in policies.iter().enumerate() {
                if number > 0 {
                    daemon.reload(policy).unwrap();
                }
                let (document, revision) = (parse(policy).document, daemon.revision());
                for rooms in all_rooms.iter().chain([&no_rooms]) {
                    let older: Homeserver<'_> = older(rooms);
                    let expected = ways::oracle(&document, older, &users);
                    let (unary, _) = ways::unary(daemon.client(), older, &users, &revision).await;
                    assert_eq!(unary, expected, "unary");
                    let streamed =
                        ways::stream(&mut stream, &mut sets, older, &users, &revision).await;
                    assert_eq!(streamed, expected, "stream");
                    show_no_more(&streamed, &ways::oracle(&document, newer(rooms), &users));
                }
            }
        });
    }
}
