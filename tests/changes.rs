//! Changes as a client hears of them that remembers whatever it may: on random
//! policies, over random edits of the directory and reloads, what it
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

/// What makes the next revision.
#[derive(Clone, Debug)]
enum Step {
    /// Who joins or leaves which groups.
    Edits(Vec<(&'static str, String, bool)>),
    /// The other policy.
    Reload,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let edit = (select(DIRECTORY.to_vec()), select(everybody()), prop::bool::weighted(0.6));
    let edits = vec(edit, 1..4).prop_map(Step::Edits);
    vec(prop_oneof![3 => edits, 1 => Just(Step::Reload)], 1..9)
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
        (policy, other, server_names) in (policies(), policies(), callers()),
        steps in steps(),
        budget in prop_oneof![2 => Just(0u64), 1 => 100u64..600],
    ) {
        RUNTIME.block_on(async {
            let daemon = Daemon::serving(&policy).await;
            let [mut policy, mut other] = [policy, other];
            let mut members: Members = DIRECTORY.map(|name| (name, BTreeSet::new())).into();
            let mut memory = Memory::open(daemon.client(), &server_names, budget, everybody()).await;
            memory.ask(&daemon.revision()).await;
            compare(&memory, &document(&policy, &members), &server_names);
            for step in steps {
                let old = document(&policy, &members);
                match &step {
                    Step::Edits(step) => {
                        let edits = step.iter().map(|(group, user, joins)| {
                            let user = UserId::parse(user).unwrap();
                            if *joins { Edit::Join { group, user } } else { Edit::Leave { group, user } }
                        });
                        daemon.live.edit(&edits.collect::<Vec<_>>()).unwrap();
                        for (group, user, joins) in step {
                            let group = members.get_mut(group).unwrap();
                            if *joins { group.insert(user.clone()) } else { group.remove(user) };
                        }
                    }
                    Step::Reload if policy == other => continue,
                    Step::Reload => {
                        std::mem::swap(&mut policy, &mut other);
                        daemon.reload(&policy).unwrap();
                    }
                }
                let (revision, new) = (daemon.revision(), document(&policy, &members));
                let [shown, hidden] = [(&new, &old), (&old, &new)]
                    .map(|(one, other)| flipped(one, other, &server_names));
                match (memory.hear(&revision).await, step) {
                    (Heard::Changed([gained, lost]), Step::Edits(_)) => {
                        assert_eq!((gained, lost), (shown, hidden));
                    }
                    // Where a rule is open on both sides, it may be more.
                    (Heard::Changed([gained, lost]), Step::Reload) => {
                        assert!(gained.is_superset(&shown));
                        assert!(lost.is_superset(&hidden));
                    }
                    _ => assert_ne!(budget, 0, "so few users are not too much to tell"),
                }
                memory.ask(&revision).await;
                compare(&memory, &new, &server_names);
            }
        });
    }
}
