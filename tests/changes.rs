//! Changes as a client hears of them that remembers whatever it may: on random
//! policies, after random edits of the directory and another policy, what it
//! remembers and what it asks for anew is what the oracle says; and it has heard
//! of every pair whose visibility changed.

use std::collections::{BTreeMap, BTreeSet};

use presence_router_server::policy::Policy;
use presence_router_server::policy::document::Document;
use presence_router_server::routing::engine::Edit;
use presence_router_server::routing::relation::Side;
use presence_router_server::routing::user_id::UserId;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::agreement::{RUNTIME, cases};
use crate::harness::memory::{Heard, Memory};
use crate::harness::{Daemon, ways};
use crate::oracle::seen;
use crate::worlds::{DIRECTORY, callers, everybody, filled, policies};

type Members = BTreeMap<&'static str, BTreeSet<String>>;

/// Who joins or leaves which groups, all at one revision.
type Step = Vec<(&'static str, String, bool)>;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let edit = (select(DIRECTORY.to_vec()), select(everybody()), prop::bool::weighted(0.6));
    vec(vec(edit, 1..4), 1..8)
}

fn document(policy: &str, members: &Members) -> Document {
    Policy::parse("policy.yaml", filled(policy, members).as_bytes()).unwrap().document
}

/// Pairs that concern a caller and are visible by the one and not by the other.
fn flipped(
    one: &Document,
    other: &Document,
    server_names: &[String],
) -> BTreeSet<(String, String)> {
    let users = everybody();
    let all =
        users.iter().flat_map(|sender| users.iter().map(move |recipient| (sender, recipient)));
    let is = |(s, r): &(&String, &String)| {
        seen(one, server_names, s, r) && !seen(other, server_names, s, r)
    };
    all.filter(is).map(|(s, r)| (s.clone(), r.clone())).collect()
}

/// What is said must be what is so, as far as it is known.
fn compare(memory: &Memory, document: &Document, server_names: &[String]) {
    let (mut known, unknown) = memory.answers();
    let mut expected = ways::oracle(document, server_names, &everybody());
    for (side, user) in &unknown {
        for answers in [&mut known, &mut expected] {
            let lists = match side {
                Side::Sender => &mut answers.audiences,
                Side::Recipient => &mut answers.interests,
            };
            lists.remove(user);
            let side = *side;
            side.of_mut(&mut answers.hidden).retain(|pair, _| match side {
                Side::Sender => pair.0 != *user,
                Side::Recipient => pair.1 != *user,
            });
        }
    }
    // User by user, for a failure that can be read.
    for user in everybody() {
        assert_eq!(known.audiences.get(&user), expected.audiences.get(&user), "audience of {user}");
        assert_eq!(known.interests.get(&user), expected.interests.get(&user), "interest of {user}");
    }
    assert_eq!(known.hidden, expected.hidden);
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn a_client_that_remembers_is_right(
        (before, after, server_names) in (policies(), policies(), callers()),
        steps in steps(),
        budget in prop_oneof![2 => Just(0u64), 1 => 100u64..600],
    ) {
        RUNTIME.block_on(async {
            let daemon = Daemon::serving(&before).await;
            let mut members: Members = DIRECTORY.map(|name| (name, BTreeSet::new())).into();
            let mut memory = Memory::open(daemon.client(), &server_names, budget, everybody()).await;
            memory.ask(&daemon.revision()).await;
            compare(&memory, &document(&before, &members), &server_names);
            for step in steps {
                let old = document(&before, &members);
                let edits: Vec<Edit<'_>> = step
                    .iter()
                    .map(|(group, user, joins)| {
                        let user = UserId::parse(user).unwrap();
                        if *joins { Edit::Join { group, user } } else { Edit::Leave { group, user } }
                    })
                    .collect();
                let revision = daemon.live.edit(&edits).unwrap().to_string();
                for (group, user, joins) in &step {
                    let group = members.get_mut(group).unwrap();
                    if *joins { group.insert(user.clone()) } else { group.remove(user) };
                }
                let new = document(&before, &members);
                if let Heard::Changed([gained, lost]) = memory.hear(&revision).await {
                    assert_eq!(gained, flipped(&new, &old, &server_names));
                    assert_eq!(lost, flipped(&old, &new, &server_names));
                } else {
                    assert_ne!(budget, 0, "an edit is not too much to tell");
                }
                memory.ask(&revision).await;
                compare(&memory, &new, &server_names);
            }
            let old = document(&before, &members);
            if after != before {
                daemon.reload(&after).unwrap();
                let revision = daemon.revision();
                let new = document(&after, &members);
                if let Heard::Changed([gained, lost]) = memory.hear(&revision).await {
                    assert!(gained.is_superset(&flipped(&new, &old, &server_names)));
                    assert!(lost.is_superset(&flipped(&old, &new, &server_names)));
                } else {
                    assert_ne!(budget, 0, "so few users are not too much to tell");
                }
                memory.ask(&revision).await;
                compare(&memory, &new, &server_names);
            }
        });
    }
}
