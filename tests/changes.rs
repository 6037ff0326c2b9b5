//! Changes as a client hears of them that remembers whatever it may: on random
//! policies, over random edits of the directory and reloads, what it
//! remembers and what it asks for anew is what the oracle says; it has heard of every
//! pair whose visibility changed, and of nobody who is no concern of its own. So for the
//! Rust client, and for one that comes back with what it had. Where rules require shared
//! rooms, all of this holds in each of several rooms.

mod rust_client;
mod worlds;

use std::collections::{BTreeMap, BTreeSet};

use presence_router_engine::unstable::policy::document::Document;
use presence_router_engine::{Edit, Policy};
use presence_router_ids::UserId;
use presence_router_proto::v1::route_states_request::Message as Request;
use presence_router_proto::v1::route_states_response::Message as Response;
use presence_router_proto::v1::{Open, StateBatch};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use self::rust_client::Rust;
pub(crate) use self::worlds::{Asker, askers, two};
use crate::agreement::{RUNTIME, cases};
use crate::harness::memory::{Heard, Memory, Rule};
use crate::harness::room_mates::stated;
use crate::harness::ways::Answers;
use crate::harness::{Daemon, Stream, states, ways};
use crate::oracle::{Homeserver, may_be_seen, seen};
use crate::worlds::{DIRECTORY, LOW, Numbered, everybody, filled, has_relations, listed};

pub(crate) type Members = BTreeMap<&'static str, BTreeSet<String>>;

/// Who joins or leaves which groups.
pub(crate) type Edits = Vec<(&'static str, String, bool)>;

/// Pairs of a sender and a recipient.
type PairSet = BTreeSet<(String, String)>;

/// What happens between two looks of a client.
#[derive(Clone, Debug)]
enum Step {
    /// Revisions, one after another.
    Edits(Vec<Edits>),
    /// The other policy.
    Reload,
}

/// Of few users, so that much happens to each.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    subsequence(everybody(), 4).prop_flat_map(|users| {
        let edit = (select(DIRECTORY.to_vec()), select(users), prop::bool::weighted(0.6));
        let revision = vec(edit, 1..4);
        let revisions = prop_oneof![3 => vec(revision.clone(), 1), 1 => vec(revision, 2..4)];
        vec(prop_oneof![3 => revisions.prop_map(Step::Edits), 1 => Just(Step::Reload)], 1..9)
    })
}

pub(crate) fn document(policy: &str, members: &Members) -> Document {
    Policy::parse("policy.yaml", filled(policy, members).as_bytes()).unwrap().document
}

/// Pairs that concern a homeserver and are visible by the one and not by the other, in any of
/// its rooms.
fn flipped(one: &Document, other: &Document, homeservers: &[Homeserver<'_>]) -> PairSet {
    let users = everybody();
    let all =
        users.iter().flat_map(|sender| users.iter().map(move |recipient| (sender, recipient)));
    let is = |(s, r): &(&String, &String)| {
        homeservers
            .iter()
            .any(|homeserver| seen(one, *homeserver, s, r) && !seen(other, *homeserver, s, r))
    };
    all.filter(is).map(|(s, r)| (s.clone(), r.clone())).collect()
}

/// What is said must be what is so, as far as it is known, in whatever rooms.
fn compare(memory: &Memory, document: &Document, homeservers: &[Homeserver<'_>]) {
    for homeserver in homeservers {
        let (mut known, unknown) = memory.answers_to(*homeserver);
        let mut expected = ways::oracle(document, *homeserver, &everybody());
        for (side, user) in &unknown {
            known.forget_of(*side, user);
            expected.forget_of(*side, user);
        }
        // User by user, for a failure that can be read.
        for user in everybody() {
            let [said, is] = [&known, &expected].map(|answers| answers.audiences.get(&user));
            assert_eq!(said, is, "audience of {user}");
            let [said, is] = [&known, &expected].map(|answers| answers.interests.get(&user));
            assert_eq!(said, is, "interest of {user}");
        }
        assert_eq!(known.hidden, expected.hidden);
    }
}

/// Who is told to be in some set is in a pair that concerns the homeserver, by one of the
/// policies.
fn are_of_concern(told: &BTreeSet<String>, documents: &[Document], homeserver: Homeserver<'_>) {
    let mut others = everybody();
    // There may be users of every name.
    for server in homeserver.server_names {
        let names = ["@q", "@qq", "@a-bot", "@another", "@another-bot"];
        others.extend(names.map(|name| format!("{name}:{server}")));
    }
    for user in told {
        let sees = |document: &Document, other: &str| {
            may_be_seen(document, homeserver, user, other)
                || may_be_seen(document, homeserver, other, user)
        };
        let names = homeserver.server_names;
        let is_local = names.iter().any(|name| user.ends_with(&format!(":{name}")));
        let concerns = |document: &Document| others.iter().any(|other| sees(document, other));
        assert!(is_local || documents.iter().any(concerns), "{user} is no concern of theirs");
    }
}

/// Makes the edits, and says who is a member after each revision.
pub(crate) fn apply(daemon: &Daemon, revisions: &[Edits], members: &mut Members) -> Vec<Members> {
    let mut after = Vec::new();
    for revision in revisions {
        let edits = revision.iter().map(|(group, user, joins)| {
            let user = UserId::parse(user).unwrap();
            if *joins { Edit::Join { group, user } } else { Edit::Leave { group, user } }
        });
        daemon.live.edit_directory(&edits.collect::<Vec<_>>()).unwrap();
        for (group, user, joins) in revision {
            let group = members.get_mut(group).unwrap();
            if *joins {
                group.insert(user.clone())
            } else {
                group.remove(user)
            };
        }
        after.push(members.clone());
    }
    after
}

/// What a client that remembers is told over some steps, from a policy on, with
/// another to change to.
async fn follow(
    [mut policy, mut other]: [String; 2],
    asker: &Asker,
    steps: Vec<Step>,
    budget: u64,
    rule: Rule,
) {
    let homeservers = asker.in_rooms_of([&policy, &other]);
    let homeserver = homeservers[0];
    let daemon = Daemon::serving(&policy).await;
    daemon.live.set_thresholds(LOW);
    let mut members: Members = DIRECTORY.map(|name| (name, BTreeSet::new())).into();
    let mut numbered = Numbered(listed(&policy, &members));
    let memory = Memory::open(daemon.client(), homeserver, budget, everybody()).await;
    let mut memory = memory.follow_rule(rule);
    memory.ask(&daemon.revision()).await;
    compare(&memory, &document(&policy, &members), &homeservers);
    are_of_concern(&memory.told(), &[document(&policy, &members)], homeserver);
    // Of other capabilities, since clients that differ in nothing else share what is found.
    let capabilities = &asker.others_capabilities;
    let of_rust = Homeserver { capabilities, ..homeservers[homeservers.len() - 1] };
    let mut rust = Rust::open(&daemon, of_rust).await;
    rust.compare(&daemon, &document(&policy, &members)).await;
    for step in steps {
        let old = document(&policy, &members);
        // In force at some time since the last look.
        let mut documents = vec![old.clone()];
        let mut numbers_anew = false;
        match &step {
            Step::Edits(revisions) => {
                let joined = revisions.iter().flatten().filter(|(.., joins)| *joins);
                numbered.0.extend(joined.map(|(_, user, _)| user.clone()));
                let after = apply(&daemon, revisions, &mut members);
                documents.extend(after.iter().map(|members| document(&policy, members)));
            }
            Step::Reload if policy == other => continue,
            Step::Reload => {
                let before = listed(&policy, &members);
                std::mem::swap(&mut policy, &mut other);
                numbers_anew = numbered.replace(&before, &listed(&policy, &members));
                daemon.reload(&policy).unwrap();
            }
        }
        let (revision, new) = (daemon.revision(), document(&policy, &members));
        let [shown, hidden] =
            [(&new, &old), (&old, &new)].map(|(one, other)| flipped(one, other, &homeservers));
        // Where a rule is open on both sides, where pairs came and went between two looks, or
        // where they would have changed in other rooms, it may be more.
        let exact = matches!(step, Step::Edits(revisions) if revisions.len() == 1)
            && !has_relations(&policy);
        if numbers_anew {
            rust.hear_reset(&revision).await;
        } else {
            rust.hear(&revision, [&old, &new], exact).await;
        }
        match memory.hear(&revision).await {
            Heard::Changed(_) if numbers_anew => panic!("users have other numbers"),
            Heard::Changed([gained, lost]) if exact => {
                assert_eq!((gained, lost), (shown, hidden));
            }
            Heard::Changed([gained, lost]) => {
                assert!(gained.is_superset(&shown));
                assert!(lost.is_superset(&hidden));
            }
            Heard::Reset => {
                assert!(numbers_anew || budget != 0, "so few users are not too much to tell");
            }
        }
        documents.push(new.clone());
        are_of_concern(&memory.told(), &documents, homeserver);
        memory.ask(&revision).await;
        compare(&memory, &new, &homeservers);
        are_of_concern(&memory.told(), std::slice::from_ref(&new), homeserver);
        rust.compare(&daemon, &new).await;
    }
}

proptest! {
    #![proptest_config(cases(1_200))]

    #[test]
    fn a_client_that_remembers_is_right(
        (policies, asker) in (two(), askers()),
        steps in steps(),
        budget in prop_oneof![2 => Just(0u64), 1 => 100u64..600],
        rule in prop_oneof![3 => Just(Rule::Nobody), 1 => Just(Rule::AllNamed)],
    ) {
        RUNTIME.block_on(follow(policies, &asker, steps, budget, rule));
    }
}

proptest! {
    #![proptest_config(cases(1_200))]

    /// A client that comes back keeps the answers of its earlier stream as users and hides.
    /// It drops those that `Changed` names, on the new stream as long as that lives, and all
    /// of them on `Reset`. The daemon sends `Reset` only to a client that keeps such answers.
    #[test]
    fn a_client_that_comes_back_is_right(
        ([mut policy, mut other], asker) in (two(), askers()),
        steps in steps(),
        comes_back in vec(any::<bool>(), 9),
    ) {
        RUNTIME.block_on(async {
            let homeservers = asker.in_rooms_of([&policy, &other]);
            let daemon = Daemon::serving(&policy).await;
            daemon.live.set_thresholds(LOW);
            let mut members: Members = DIRECTORY.map(|name| (name, BTreeSet::new())).into();
            let mut numbered = Numbered(listed(&policy, &members));
            let come = |resume_revision: String| {
                let server_names = asker.server_names.clone();
                let capabilities = stated(&asker.capabilities);
                let open = Open { server_names, capabilities, resume_revision, ..Open::default() };
                Memory::open_with(daemon.client(), open, everybody())
            };
            let mut memory = come(String::new()).await;
            memory.ask(&daemon.revision()).await;
            // The answers of the earlier stream in each of the rooms, and the pairs that
            // `Changed` named since.
            let mut kept: Option<(Vec<Answers>, PairSet)> = None;
            for (step, comes_back) in steps.into_iter().zip(comes_back) {
                let before = daemon.revision();
                let mut numbers_anew = false;
                match &step {
                    Step::Edits(revisions) => {
                        let joined = revisions.iter().flatten().filter(|(.., joins)| *joins);
                        numbered.0.extend(joined.map(|(_, user, _)| user.clone()));
                        apply(&daemon, revisions, &mut members);
                    }
                    Step::Reload => {
                        let before = listed(&policy, &members);
                        std::mem::swap(&mut policy, &mut other);
                        numbers_anew = policy != other
                            && numbered.replace(&before, &listed(&policy, &members));
                        daemon.reload(&policy).unwrap();
                    }
                }
                if comes_back {
                    let answers = homeservers.iter().map(|one| memory.answers_to(*one).0);
                    kept = Some((answers.collect(), BTreeSet::new()));
                    memory = come(before.clone()).await;
                }
                let (revision, document) = (daemon.revision(), document(&policy, &members));
                if revision != before {
                    match memory.hear(&revision).await {
                        Heard::Changed(pairs) => {
                            if let Some((_, named)) = &mut kept {
                                named.extend(pairs.into_iter().flatten());
                            }
                        }
                        Heard::Reset => {
                            let had_any = kept.take().is_some();
                            assert!(numbers_anew || had_any, "the client kept no answers");
                        }
                    }
                }
                if let Some((kept, named)) = &mut kept {
                    for (kept, homeserver) in kept.iter_mut().zip(&homeservers) {
                        let mut expected = ways::oracle(&document, *homeserver, &everybody());
                        for answers in [&mut *kept, &mut expected] {
                            named.iter().for_each(|(s, r)| answers.forget(s, r));
                        }
                        assert_eq!(*kept, expected);
                    }
                }
                memory.ask(&revision).await;
                compare(&memory, &document, &homeservers);
            }
        });
    }
}

/// Everybody sees everybody, and members of a group no status; another group is in
/// no rule.
const ONE_IS_IDLE: &str = r#"{
    "groups": { "team/later": { "directory": true }, "all/later": { "directory": true } },
    "rules": [
        { "name": "all", "allow": { "from": "everyone", "to": "everyone" } },
        { "name": "some", "hide": {
            "from": "everyone", "to": { "group": "team/later" }, "fields": ["status_msg"] } }
    ]
}"#;

/// One revision.
fn edits(edits: &[(&'static str, &str, bool)]) -> Step {
    let edits = edits.iter().map(|(group, user, joins)| (*group, (*user).into(), *joins));
    Step::Edits(vec![edits.collect()])
}

/// A user gets a number without being moved, and what the client remembers of it is
/// from before.
#[tokio::test]
async fn a_user_is_named_before_it_moves() {
    let [idle, used] = ["all/later", "team/later"];
    let user = "@a:unmet.net";
    let steps = vec![
        edits(&[(idle, user, true)]),
        edits(&[(used, user, true)]),
        edits(&[(used, user, false)]),
    ];
    let policies = [ONE_IS_IDLE, ONE_IS_IDLE].map(str::to_owned);
    follow(policies, &Asker::without_rooms("one.org"), steps, 0, Rule::Nobody).await;
}

/// A user leaves its class and comes back to find that gone, all between two looks.
#[tokio::test]
async fn a_user_moves_back_before_anybody_looks() {
    let used = "team/later";
    let user = "@a:one.org";
    let steps = vec![
        edits(&[(used, user, true), (used, user, false)]),
        edits(&[(used, user, true)]),
        edits(&[(used, user, false)]),
    ];
    let policy = ONE_IS_IDLE.replace(
        r#""from": "everyone", "to": "everyone""#,
        r#""from": "everyone", "to": ["@a:one.org"]"#,
    );
    follow([policy.clone(), policy], &Asker::without_rooms("one.org"), steps, 0, Rule::Nobody)
        .await;
}

/// A load that loses most users sends the same as any other change, and so does its
/// repair.
#[tokio::test]
async fn a_load_that_loses_most_users_resets_nobody() {
    let many: String = (0..10_003).map(|user| format!("'@u{user}:one.org', ")).collect();
    let policy = |many: &str| {
        format!(
            "groups: {{ two: ['@a:one.org', '@b:one.org'], many: [{many}] }}\n\
             rules: [{{ name: groups, allow: {{ within: '*' }} }}]"
        )
    };
    let daemon = Daemon::serving(&policy(&many)).await;
    let mut stream = Stream::open(daemon.client(), &["one.org"]).await;
    stream.send(Request::Batch(StateBatch {
        states: states(&["@u0:one.org"]),
        ..StateBatch::default()
    }));
    while !matches!(stream.next().await.unwrap(), Some(Response::Deliveries(_))) {}
    for text in [policy(""), policy(&many)] {
        daemon.reload(&text).unwrap();
        loop {
            match stream.next().await.unwrap().expect("the stream goes on") {
                Response::Changed(changed) => {
                    assert_eq!(changed.revision, daemon.revision());
                    assert_eq!(changed.gained.len() + changed.lost.len(), 1, "{changed:?}");
                    break;
                }
                Response::Reset(_) => panic!("users keep their numbers"),
                _ => {}
            }
        }
    }
}

/// So many answers end that the daemon forgets them. One that did not end does when
/// its time has come.
#[tokio::test]
async fn an_answer_ends_long_after_many_others() {
    const BITS: usize = 14;
    let groups: Vec<String> = (0..=BITS).map(|bit| format!("team/{bit}")).collect();
    let declared: String =
        groups.iter().map(|name| format!("{name}: {{ directory: true }}, ")).collect();
    // Nobody gains or loses sight of anybody by it.
    let shy = "hide: { from: { group: shy }, to: everyone, fields: [status_msg] }";
    let policy = format!(
        "groups: {{ {declared} shy: {{ directory: true }} }}\nrules: [\
         {{ name: teams, allow: {{ within: 'team/*' }} }}, {{ name: shy, {shy} }}]"
    );
    let daemon = Daemon::serving(&policy).await;
    let join = |users: &[String], group: &str| {
        let join = |user| Edit::Join { group, user: UserId::parse(user).unwrap() };
        daemon
            .live
            .edit_directory(&users.iter().map(|user| join(user)).collect::<Vec<_>>())
            .unwrap();
    };
    // No two are in the same groups, and one is in another.
    let users: Vec<String> = (1..=12_000).map(|number| format!("@{number}:one.org")).collect();
    for (bit, group) in groups.iter().enumerate().take(BITS) {
        let is_in = |(number, _): &(usize, &String)| number >> bit & 1 == 1;
        let members = (1..).zip(&users).filter(is_in).map(|(_, user)| user.clone());
        join(&members.collect::<Vec<_>>(), group);
    }
    let other = ["@other:one.org".to_owned()];
    join(&other, &groups[BITS]);

    let mut stream = Stream::open(daemon.client(), &["one.org"]).await;
    let mut set = 0;
    for users in users.chunks(6_000).chain([&other[..]]) {
        stream.send(Request::Batch(StateBatch { states: states(users), ..StateBatch::default() }));
        let deliveries = loop {
            match stream.next().await.unwrap() {
                Some(Response::Deliveries(answer)) => break answer.deliveries,
                other => assert!(other.is_some(), "the stream goes on"),
            }
        };
        assert_eq!(deliveries.len(), users.len(), "each has an audience of its own");
        set = deliveries[0].recipients_set_id;
    }

    let mut retired = async |users: &[String]| {
        join(users, "shy");
        let mut retired = Vec::new();
        loop {
            match stream.next().await.unwrap().expect("the stream goes on") {
                Response::SetRetired(set) => retired.push(set.id),
                Response::Changed(_) => break retired,
                Response::Reset(_) => panic!("so many are not too much to tell"),
                _ => {}
            }
        }
    };
    let first = retired(&users).await;
    assert!(first.len() > 10_000 && !first.contains(&set), "{}", first.len());
    assert!(retired(&other).await.contains(&set));
}
