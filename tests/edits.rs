//! Random edits of the directory, and other rulesets after them, some of which lose most
//! users: after each, the engine's snapshot agrees with one that is built anew from
//! the same memberships, snapshots taken before stay what they were, and the
//! difference between the two is told in full: each pair that changes in any of some rooms.

use std::collections::BTreeSet;

use presence_router_engine::unstable::routing::change::difference::Budget;
use presence_router_engine::unstable::routing::engine::Engine;
use presence_router_engine::unstable::routing::model::ruleset::{Ids, Relation, Ruleset, Set};
use presence_router_engine::unstable::routing::snapshot::members::Open;
use presence_router_engine::{Difference, Edit, Found, Pairs, Policy, RoomCapabilities, Snapshot};
use presence_router_ids::{RoomCapability, UserId};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::agreement::cases;
use crate::harness::ways::{self, Answers};
use crate::oracle::Homeserver;
use crate::oracle::rooms::Rooms;
use crate::worlds::rooms::rooms;
use crate::worlds::{LOW, Numbered, all_policies, everybody, has_relations, losing};

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

/// Some rooms, or the first ones if no policy depends on them.
fn rooms_that_matter<'r>(all_rooms: &'r [Rooms], policies: &[impl AsRef<str>]) -> &'r [Rooms] {
    let matter = policies.iter().any(|policy| has_relations(policy.as_ref()));
    if matter { all_rooms } else { &all_rooms[..1] }
}

/// All answers to a homeserver with these rooms.
fn answers_in(rooms: &Rooms, snapshot: &Snapshot) -> Answers {
    let server_names = &["one.org".to_owned()];
    let homeserver = Homeserver { server_names, capabilities: &RoomCapability::ALL, rooms };
    ways::engine(snapshot, homeserver, &everybody())
}

/// All answers, the servers that are named, and those that answers may name as destinations.
fn answers(rooms: &Rooms, engine: &Engine) -> (Answers, Vec<String>, Vec<Box<str>>) {
    let snapshot = engine.snapshot();
    let servers = snapshot.destinations(&Open::Everyone).into_iter().map(str::to_owned).collect();
    let possible = snapshot.possible_destinations().to_vec();
    (answers_in(rooms, &snapshot), servers, possible)
}

proptest! {
    #![proptest_config(cases(1_500))]

    #[test]
    fn an_edit_is_a_rebuild(
        (before, after) in (all_policies(), all_policies()),
        steps in steps(),
        all_rooms in vec(rooms(), 2),
    ) {
        let all_rooms = rooms_that_matter(&all_rooms, &[&before, &after]);
        let rooms = &all_rooms[0];
        let mut members: Vec<BTreeSet<String>> = vec![BTreeSet::new(); FILLED];
        let directory = |text: &str| ruleset(text, |group| Set::Directory(name(group).into()));
        let rebuilt = |text: &str, members: &[BTreeSet<String>]| {
            let lists = |group: usize| Set::Users(Ids::new(members[group].iter().map(String::as_str)).unwrap());
            answers(rooms, &Engine::new(&ruleset(text, lists)).unwrap())
        };
        let mut engine = Engine::new(&directory(&before)).unwrap();
        for (group, user, joins) in steps {
            let taken = engine.snapshot();
            let then = answers_in(rooms, &taken);
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
            prop_assert_eq!(answers(rooms, &engine), rebuilt(&before, &members));
            prop_assert_eq!(answers_in(rooms, &taken), then);
            let difference = told(&taken, &engine.snapshot(), all_rooms);
            let mut pairs = difference.gained.iter().chain(&difference.lost);
            prop_assert!(pairs.all(are_of_rows), "an edit lists users");
        }
        // Another ruleset over the same directory.
        let taken = engine.snapshot();
        let engine = engine.with_ruleset(&directory(&after)).unwrap();
        prop_assert_eq!(answers(rooms, &engine), rebuilt(&after, &members));
        told(&taken, &engine.snapshot(), all_rooms);
    }
}

/// An accident that loses most users, its repair, and other policies.
fn rulesets() -> impl Strategy<Value = Vec<String>> {
    (all_policies(), all_policies()).prop_flat_map(|(first, second)| {
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
    fn rulesets_keep_numbers(
        rulesets in rulesets(),
        steps in steps(),
        all_rooms in vec(rooms(), 2),
    ) {
        let all_rooms = rooms_that_matter(&all_rooms, &rulesets);
        let rooms = &all_rooms[0];
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
            told(&taken, &compared.snapshot(), all_rooms);
            let replaced = engine.replace_ruleset(&next).unwrap();
            prop_assert_eq!(answers(rooms, &compared), answers(rooms, &replaced));
            let anew = numbered.replace(&before, &after);
            let snapshot = replaced.snapshot();
            prop_assert_eq!(snapshot.users().count(), numbered.0.len());
            prop_assert_eq!(snapshot.listed_count(), after.len());
            prop_assert_eq!(Difference::between(&taken, &snapshot, RoomCapabilities::ALL, Budget::CHANGE).is_err(), anew);
            if !anew {
                told(&taken, &snapshot, all_rooms);
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

fn are_of_rows(pairs: &Pairs) -> bool {
    pairs.found != Found::Bound
}

fn is_exact(pairs: &Pairs) -> bool {
    are_of_rows(pairs) && !pairs.depends_on_rooms
}

/// The difference of two snapshots, which holds every pair that changed in any of the rooms
/// and, but for bounds and for pairs that depend on rooms, no pair that did not change in all
/// of them; and its counts are the numbers of pairs.
fn told(before: &Snapshot, after: &Snapshot, all_rooms: &[Rooms]) -> Difference {
    let difference =
        Difference::between(before, after, RoomCapabilities::ALL, Budget::CHANGE).unwrap();
    let everybody = everybody();
    let users: Vec<UserId<'_>> = everybody.iter().map(|id| UserId::parse(id).unwrap()).collect();
    let all =
        users.iter().flat_map(|sender| users.iter().map(move |recipient| (*sender, *recipient)));
    // For each pair, whether it is visible before and after, in each of the rooms.
    let sees = |snapshot: &Snapshot, rooms: &Rooms, sender: UserId<'_>, recipient: UserId<'_>| {
        let holds = |one: &Relation| rooms.hold(one, sender.as_str(), recipient.as_str());
        snapshot.visible_if(sender, recipient, holds) == Some(true)
    };
    let seen = all.clone().map(|(sender, recipient)| -> Vec<[bool; 2]> {
        let in_rooms = |rooms| [before, after].map(|one| sees(one, rooms, sender, recipient));
        all_rooms.iter().map(in_rooms).collect()
    });
    let seen: Vec<_> = seen.collect();
    for (list, gains) in [(&difference.gained, true), (&difference.lost, false)] {
        let changes = |seen: &[bool; 2]| *seen == [!gains, gains];
        let pairs_where = |is: &dyn Fn(&[[bool; 2]]) -> bool| -> BTreeSet<(&str, &str)> {
            let pairs = all.clone().zip(&seen).filter(|(_, seen)| is(seen));
            pairs.map(|((sender, recipient), _)| (sender.as_str(), recipient.as_str())).collect()
        };
        let changed = pairs_where(&|seen| seen.iter().any(changes));
        let in_all = pairs_where(&|seen| seen.iter().all(changes));
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
        let vain: Vec<_> = exact.difference(&in_all).collect();
        assert!(vain.is_empty(), "did not change: {vain:?} of {difference:?}");

        let named = |id: &str| user_table.number(id).is_some();
        let of_named = |pairs: &BTreeSet<(&str, &str)>| {
            u64::try_from(pairs.iter().filter(|(s, r)| named(s) && named(r)).count()).unwrap()
        };
        let count = difference.count(list.iter().filter(|pairs| is_exact(pairs)));
        assert_eq!((count.named, count.bound), (of_named(&exact), false));
        let count = difference.count(list);
        let may_be_more = count.bound || count.depends_on_rooms;
        assert!(count.named >= of_named(&changed));
        assert!(may_be_more || count.named == of_named(&changed));
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
