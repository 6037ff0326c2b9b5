//! Random edits of the directory, and other rulesets after them, some of which lose most
//! users: after each, the engine's snapshot agrees with one that is built anew from
//! the same memberships, snapshots taken before stay what they were, and the
//! difference between the two is told in full.

use std::collections::BTreeSet;

use presence_router_engine::unstable::routing::change::difference::Budget;
use presence_router_engine::unstable::routing::engine::Engine;
use presence_router_engine::unstable::routing::model::ruleset::{Ids, Ruleset, Set};
use presence_router_engine::unstable::routing::snapshot::members::Open;
use presence_router_engine::{Difference, Edit, Found, Pairs, Policy, RoomCapabilities, Snapshot};
use presence_router_ids::UserId;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::agreement::cases;
use crate::harness::ways::{self, Answers};
use crate::worlds::{LOW, Numbered, everybody, losing, policies};

/// Groups that the directory fills, in place of the ruleset's own first ones.
const FILLED: usize = 2;

/// Who joins or leaves which group.
type Step = (usize, String, bool);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    vec((0..FILLED, select(everybody()), prop::bool::weighted(0.6)), 1..12)
}

fn name(group: usize) -> String {
    format!("directory/{group}")
}

/// The ruleset with its first groups filled by the directory, or by lists.
fn ruleset(text: &str, filled: impl Fn(usize) -> Set) -> Ruleset {
    let mut ruleset = Policy::parse("policy.yaml", text.as_bytes()).unwrap().ruleset;
    for (i, group) in ruleset.groups.iter_mut().enumerate().take(FILLED) {
        *group = filled(i);
    }
    ruleset
}

/// All answers, the servers that are named, and those that answers may name as destinations.
fn answers(engine: &Engine) -> (Answers, Vec<String>, Vec<Box<str>>) {
    let snapshot = engine.snapshot();
    let servers = snapshot.destinations(&Open::Everyone).into_iter().map(str::to_owned).collect();
    let possible = snapshot.possible_destinations().to_vec();
    let answers = ways::engine(&snapshot, &["one.org".to_owned()], &everybody());
    (answers, servers, possible)
}

proptest! {
    #![proptest_config(cases(1_500))]

    #[test]
    fn an_edit_is_a_rebuild((before, after) in (policies(), policies()), steps in steps()) {
        let mut members: Vec<BTreeSet<String>> = vec![BTreeSet::new(); FILLED];
        let directory = |text: &str| ruleset(text, |group| Set::Directory(name(group).into()));
        let rebuilt = |text: &str, members: &[BTreeSet<String>]| {
            let lists = |group: usize| Set::Users(Ids::new(members[group].iter().map(String::as_str)).unwrap());
            answers(&Engine::new(&ruleset(text, lists)).unwrap())
        };
        let mut engine = Engine::new(&directory(&before)).unwrap();
        for (group, user, joins) in steps {
            let taken = engine.snapshot();
            let then = ways::engine(&taken, &["one.org".to_owned()], &everybody());
            let (name, id) = (name(group), UserId::parse(&user).unwrap());
            let edit = if joins {
                Edit::Join { group: &name, user: id }
            } else {
                Edit::Leave { group: &name, user: id }
            };
            engine.edit(&[edit]).unwrap();
            if joins {
                members[group].insert(user.clone());
            } else {
                members[group].remove(&user);
            }
            prop_assert_eq!(answers(&engine), rebuilt(&before, &members));
            prop_assert_eq!(ways::engine(&taken, &["one.org".to_owned()], &everybody()), then);
            let difference = told(&taken, &engine.snapshot());
            prop_assert!(difference.gained.iter().chain(&difference.lost).all(is_exact), "an edit lists users");
        }
        // Another ruleset over the same directory.
        let taken = engine.snapshot();
        let engine = engine.with_ruleset(&directory(&after)).unwrap();
        prop_assert_eq!(answers(&engine), rebuilt(&after, &members));
        told(&taken, &engine.snapshot());
    }
}

/// An accident that loses most users, its repair, and other policies.
fn rulesets() -> impl Strategy<Value = Vec<String>> {
    (policies(), policies()).prop_flat_map(|(first, second)| {
        let accident = losing(&first);
        let others = vec(select(vec![first.clone(), second]), 1..4);
        (accident, others).prop_map(move |(accident, others)| {
            let mut rulesets = vec![first.clone(), accident, first.clone()];
            rulesets.extend(others);
            rulesets
        })
    })
}

proptest! {
    #![proptest_config(cases(1_500))]

    /// A ruleset that is only compared keeps all numbers. One that takes the place of
    /// another gives them anew only if two in a row leave most of them unused, and
    /// never when it loses most users itself.
    #[test]
    fn rulesets_keep_numbers(rulesets in rulesets(), steps in steps()) {
        let directory = |text: &str| ruleset(text, |group| Set::Directory(name(group).into()));
        let first = directory(&rulesets[0]);
        let mut engine = Engine::new(&first).unwrap();
        engine.set_thresholds(LOW);
        let mut members: Vec<BTreeSet<String>> = vec![BTreeSet::new(); FILLED];
        for (group, user, joins) in steps.iter().filter(|(.., joins)| *joins) {
            let (name, id) = (name(*group), UserId::parse(user).unwrap());
            engine.edit(&[Edit::Join { group: &name, user: id }]).unwrap();
            prop_assert!(joins);
            members[*group].insert(user.clone());
        }
        let listed = |ruleset: &Ruleset| {
            let mut users: BTreeSet<String> = members.iter().flatten().cloned().collect();
            let products = ruleset.rules.iter().flat_map(|rule| &rule.products);
            let sides = products.flat_map(|product| [&product.senders, &product.recipients]);
            ruleset.groups.iter().chain(sides).for_each(|set| list(set, &mut users));
            users
        };
        let mut before = listed(&first);
        let mut numbered = Numbered(before.clone());
        for text in &rulesets[1..] {
            let next = directory(text);
            let after = listed(&next);
            let taken = engine.snapshot();
            let compared = engine.with_ruleset(&next).unwrap();
            told(&taken, &compared.snapshot());
            let replaced = engine.replace_ruleset(&next).unwrap();
            prop_assert_eq!(answers(&compared), answers(&replaced));
            let anew = numbered.replace(&before, &after);
            let snapshot = replaced.snapshot();
            prop_assert_eq!(snapshot.users().count(), numbered.0.len());
            prop_assert_eq!(snapshot.listed_count(), after.len());
            prop_assert_eq!(Difference::between(&taken, &snapshot, RoomCapabilities::ALL, Budget::CHANGE).is_err(), anew);
            if !anew {
                told(&taken, &snapshot);
            }
            (engine, before) = (replaced, after);
        }
    }
}

/// Users whom a set lists.
fn list(set: &Set, users: &mut BTreeSet<String>) {
    match set {
        Set::Users(ids) => users.extend(ids.iter().map(str::to_owned)),
        Set::Union(sets) | Set::Intersection(sets) => sets.iter().for_each(|set| list(set, users)),
        Set::Difference(any, except) => [any, except].into_iter().for_each(|set| list(set, users)),
        _ => {}
    }
}

fn is_exact(pairs: &Pairs) -> bool {
    pairs.found != Found::Bound
}

/// The difference of two snapshots, which holds every pair that changed and, but
/// for bounds, no other; and its counts are the numbers of pairs.
fn told(before: &Snapshot, after: &Snapshot) -> Difference {
    let difference =
        Difference::between(before, after, RoomCapabilities::ALL, Budget::CHANGE).unwrap();
    let everybody = everybody();
    let users: Vec<UserId<'_>> = everybody.iter().map(|id| UserId::parse(id).unwrap()).collect();
    let all =
        users.iter().flat_map(|sender| users.iter().map(move |recipient| (*sender, *recipient)));
    for (list, gains) in [(&difference.gained, true), (&difference.lost, false)] {
        let changed: BTreeSet<(&str, &str)> = all
            .clone()
            .filter(|(s, r)| before.visible(*s, *r) != gains && after.visible(*s, *r) == gains)
            .map(|(sender, recipient)| (sender.as_str(), recipient.as_str()))
            .collect();
        let user_table = after.users();
        let held = |only: fn(&Pairs) -> bool| -> BTreeSet<(&str, &str)> {
            let holds = |(s, r): &(UserId<'_>, UserId<'_>)| {
                let holds = |pairs: &&Pairs| {
                    pairs.senders.contains(user_table.user_ref(*s))
                        && pairs.recipients.contains(user_table.user_ref(*r))
                };
                s != r && list.iter().filter(|pairs| only(pairs)).any(|pairs| holds(&pairs))
            };
            all.clone().filter(holds).map(|(s, r)| (s.as_str(), r.as_str())).collect()
        };
        let missed: Vec<_> = changed.difference(&held(|_| true)).copied().collect();
        assert!(missed.is_empty(), "missed: {missed:?} of {difference:?}");
        let exact = held(is_exact);
        let vain: Vec<_> = exact.difference(&changed).collect();
        assert!(vain.is_empty(), "did not change: {vain:?} of {difference:?}");

        let named = |id: &str| user_table.number(id).is_some();
        let of_named = |pairs: &BTreeSet<(&str, &str)>| {
            u64::try_from(pairs.iter().filter(|(s, r)| named(s) && named(r)).count()).unwrap()
        };
        let count = difference.count(list.iter().filter(|pairs| is_exact(pairs)));
        assert_eq!((count.named, count.bound), (of_named(&exact), false));
        let count = difference.count(list);
        assert!(
            count.named >= of_named(&changed) && (count.bound || count.named == of_named(&changed))
        );
    }
    difference
}

#[test]
fn an_edit_is_refused_as_a_whole() {
    let policy =
        "groups: { listed: ['@a:one.org'] }\nrules: [{ name: x, allow: { within: listed } }]";
    let mut engine = Engine::new(&ruleset(policy, |_| Set::Directory("filled".into()))).unwrap();
    let user = UserId::parse("@b:one.org").unwrap();
    let error = engine
        .edit(&[Edit::Join { group: "filled", user }, Edit::Join { group: "listed", user }])
        .unwrap_err();
    assert_eq!(error.to_string(), "`listed` is not a group that the directory fills");
    assert_eq!(engine.snapshot().users().count(), 0);
}
