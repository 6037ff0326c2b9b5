//! Differences of random rulesets with relations, against the definition under every outcome of
//! each relation.

use fastrand::Rng;
use presence_router_ids::{RoomCapabilities, RoomCapability};

use super::{Budget, Difference, Found, Pairs};
use crate::routing::engine::{Edit, Engine};
use crate::routing::model::ruleset::{Effect, Relation, Ruleset};
use crate::routing::query::tests::worlds::{GROUPS, USERS, World, list, relations, rule, user};
use crate::routing::snapshot::Snapshot;

/// An outcome of each of [`relations`].
type Outcomes = [Option<bool>; 3];

/// The pairs of one direction, in a difference or by the definition.
#[derive(Debug, Default, PartialEq)]
struct Changes<'u> {
    certain: Vec<[&'u str; 2]>,
    for_some_rooms: Vec<[&'u str; 2]>,
}

fn all_outcomes() -> impl Iterator<Item = Outcomes> {
    const ALL: [Option<bool>; 3] = [Some(true), Some(false), None];
    let two = ALL.into_iter().flat_map(|one| ALL.map(|two| [one, two]));
    two.flat_map(|[one, two]| ALL.map(|three| [one, two, three]))
}

fn all_pairs() -> impl Iterator<Item = [&'static str; 2]> {
    let pairs = USERS.into_iter().flat_map(|one| USERS.map(|two| [one, two]));
    pairs.filter(|[one, two]| one != two)
}

fn outcome_of(relation: &Relation, outcomes: Outcomes) -> Option<bool> {
    let [any, in_encrypted, in_none] = outcomes;
    match relation {
        Relation::ShareRoom(conditions) if conditions.is_any_room() => any,
        Relation::ShareRoom(_) => in_encrypted,
        Relation::ShareNoRoom => in_none,
    }
}

/// Returns the pairs that are visible after a change and were not before, by the definition.
fn defined_gains(
    before: &World,
    after: &World,
    capabilities: RoomCapabilities,
) -> Changes<'static> {
    let mut changes = Changes::default();
    for pair in all_pairs() {
        let gains: Vec<bool> = all_outcomes()
            .map(|outcomes| {
                let [before, after] = [before, after].map(|world| {
                    let holds = |relation: &Relation| outcome_of(relation, outcomes);
                    world.is_visible_if(pair, capabilities, holds) == Some(true)
                });
                !before && after
            })
            .collect();
        if gains.iter().all(|gains| *gains) {
            changes.certain.push(pair);
        } else if gains.contains(&true) {
            changes.for_some_rooms.push(pair);
        }
    }
    changes
}

/// Returns the pairs that some of the products contain.
fn pairs_in<'p>(
    snapshot: &Snapshot,
    products: impl Iterator<Item = &'p Pairs> + Clone,
) -> Vec<[&'static str; 2]> {
    let contains = |product: &Pairs, [sender, recipient]: [&str; 2]| {
        let [sender, recipient] = [sender, recipient].map(|id| snapshot.users().user_ref(user(id)));
        product.senders.contains(sender) && product.recipients.contains(recipient)
    };
    all_pairs().filter(|pair| products.clone().any(|one| contains(one, *pair))).collect()
}

/// Compares one direction of a difference with the definition. `true`: without bounds, so that
/// both are equal.
fn agree(all: &[Pairs], after: &Snapshot, defined: &Changes<'_>, says: &str) -> bool {
    let named = |pair: &[&str; 2]| pair.iter().all(|id| after.users().number(id).is_some());
    let told = pairs_in(after, all.iter());
    for pair in defined.certain.iter().chain(&defined.for_some_rooms) {
        assert!(told.contains(pair), "misses {pair:?} {says}");
    }
    let rows = all.iter().filter(|pairs| pairs.found != Found::Bound);
    let mut exact = Changes {
        certain: pairs_in(after, rows.clone().filter(|row| !row.depends_on_rooms)),
        for_some_rooms: pairs_in(after, rows.clone().filter(|row| row.depends_on_rooms)),
    };
    // An open expression may be another for the same users.
    exact.for_some_rooms.retain(named);
    assert!(exact.certain.iter().all(|pair| defined.certain.contains(pair)), "{exact:?} {says}");
    let is_defined = |pair: &[&str; 2]| defined.for_some_rooms.contains(pair);
    assert!(exact.for_some_rooms.iter().all(is_defined), "{exact:?} {defined:?} {says}");
    rows.count() == all.len()
}

/// Compares the difference of two worlds with the definition. Returns the number of pairs that
/// change for some rooms only.
fn compare_worlds(
    [before, after]: [&World; 2],
    [old, new]: [&Snapshot; 2],
    capabilities: RoomCapabilities,
) -> usize {
    let difference = Difference::between(old, new, capabilities, Budget::CHANGE).unwrap();
    let says = format!("{capabilities:?} {:#?} {:#?}", before.ruleset, after.ruleset);
    let [gained, lost] =
        [[before, after], [after, before]].map(|[one, two]| defined_gains(one, two, capabilities));
    let gains_exactly = agree(&difference.gained, new, &gained, &format!("gained {says}"));
    let loses_exactly = agree(&difference.lost, new, &lost, &format!("lost {says}"));
    for (is_exact, pairs, defined) in
        [(gains_exactly, &difference.gained, &gained), (loses_exactly, &difference.lost, &lost)]
    {
        let named = |pair: &&[&str; 2]| pair.iter().all(|id| new.users().number(id).is_some());
        let count = difference.count(pairs);
        let [certain, some] = [&defined.certain, &defined.for_some_rooms]
            .map(|pairs| pairs.iter().filter(named).count() as u64);
        assert!(count.named >= certain + some, "{count:?} {says}");
        assert!(count.bound || count.named == certain, "{count:?} {defined:?} {says}");
        assert!(!is_exact || count.named == certain + some, "{count:?} {defined:?} {says}");
        assert!(!is_exact || count.bound == (some > 0), "{count:?} {defined:?} {says}");
    }
    gained.for_some_rooms.len() + lost.for_some_rooms.len()
}

fn all_capabilities() -> [RoomCapabilities; 3] {
    [RoomCapabilities::NONE, RoomCapability::RoomMates.into(), RoomCapabilities::ALL]
}

/// Returns another ruleset over the same groups: a random one, or the same with one rule changed.
fn other_world(random: &mut Rng, world: &World) -> World {
    let World { mut ruleset, .. } = World::random(random);
    if random.bool() {
        let mut rules = world.ruleset.rules.clone();
        let index = random.usize(0..rules.len());
        match random.u8(0..3) {
            0 => rules[index].relation = relations().into_iter().nth(random.usize(0..4)),
            1 => rules[index] = ruleset.rules.swap_remove(0),
            _ => drop(rules.remove(index)),
        }
        ruleset.rules = rules;
    }
    World { ruleset, members: world.members.clone() }
}

#[test]
fn a_difference_of_rulesets_contains_every_pair_that_may_change_and_no_other() {
    let mut random = Rng::with_seed(3);
    let mut for_some_rooms = 0;
    for _ in 0..200 {
        let before = World::random(&mut random);
        let after = other_world(&mut random, &before);
        let engine = before.engine();
        let later = engine.with_ruleset(&after.ruleset).unwrap();
        for capabilities in all_capabilities() {
            let snapshots = [&*engine.snapshot(), &*later.snapshot()];
            for_some_rooms += compare_worlds([&before, &after], snapshots, capabilities);
        }
    }
    assert!(for_some_rooms > 2_000, "{for_some_rooms}");
}

#[test]
fn a_difference_of_edits_contains_every_pair_that_may_change_and_no_other() {
    let mut random = Rng::with_seed(4);
    let mut for_some_rooms = 0;
    for _ in 0..200 {
        let before = World::random(&mut random);
        let mut engine = before.engine();
        let (old, mut members) = (engine.snapshot(), before.members.clone());
        for _ in 0..random.usize(1..3) {
            let (group, id) = (random.usize(0..GROUPS.len()), USERS[random.usize(0..USERS.len())]);
            let (name, user) = (GROUPS[group], user(id));
            if let Some(index) = members[group].iter().position(|one| *one == id) {
                members[group].swap_remove(index);
                engine.edit(&[Edit::Leave { group: name, user }]).unwrap();
            } else {
                members[group].push(id);
                engine.edit(&[Edit::Join { group: name, user }]).unwrap();
            }
        }
        let after = World { ruleset: before.ruleset.clone(), members };
        for capabilities in all_capabilities() {
            let snapshots = [&*old, &*engine.snapshot()];
            for_some_rooms += compare_worlds([&before, &after], snapshots, capabilities);
        }
    }
    assert!(for_some_rooms > 200, "{for_some_rooms}");
}

#[test]
fn a_rule_that_asks_for_more_of_a_room_loses_pairs_for_some_rooms() {
    let ruleset = |relation: Option<Relation>| {
        let pair = [list(&["@ann:x"]), list(&["@bob:x"])];
        Ruleset { groups: Vec::new(), rules: vec![rule(Effect::Allow, pair, relation)] }
    };
    let [any, in_encrypted, _] = relations();
    let difference = |before, after: Option<Relation>, capabilities| {
        let old = Engine::new(&ruleset(before)).unwrap();
        let new = old.with_ruleset(&ruleset(after)).unwrap();
        let [old, new] = [old.snapshot(), new.snapshot()];
        let difference = Difference::between(&old, &new, capabilities, Budget::CHANGE).unwrap();
        [difference.count(&difference.gained), difference.count(&difference.lost)]
            .map(|count| (count.named, count.bound))
    };
    let (none, all) = (RoomCapabilities::NONE, RoomCapabilities::ALL);
    assert_eq!(difference(None, Some(any.clone()), all), [(0, false), (1, true)]);
    assert_eq!(difference(None, Some(any.clone()), none), [(0, false), (1, false)]);
    assert_eq!(difference(Some(any.clone()), None, all), [(1, true), (0, false)]);
    assert_eq!(difference(Some(any.clone()), Some(in_encrypted), all), [(1, true), (1, true)]);
    assert_eq!(difference(Some(any.clone()), Some(any), all), [(0, false), (0, false)]);
}

#[test]
fn callers_share_a_difference_unless_a_rule_needs_what_only_one_of_them_evaluates() {
    let engine = |relation: Option<Relation>| {
        let pair = [list(&["@ann:x"]), list(&["@bob:x"])];
        let rules = vec![rule(Effect::Allow, pair, relation)];
        Engine::new(&Ruleset { groups: Vec::new(), rules }).unwrap()
    };
    let [any, in_encrypted, in_none] = relations();
    let mates = RoomCapabilities::from(RoomCapability::RoomMates);
    let both = mates.union(RoomCapability::Encrypted.into());
    for (before, after, relevant) in [
        (None, None, RoomCapabilities::NONE),
        (Some(any.clone()), None, mates),
        (None, Some(in_none), mates),
        (Some(in_encrypted), Some(any), both),
    ] {
        let [before, after] = [before, after].map(|relation| engine(relation).snapshot());
        let of = |all| Difference::relevant_capabilities([&before, &after], all);
        assert_eq!(of(RoomCapabilities::ALL), relevant);
        assert_eq!(of(mates), relevant.intersection(mates));
        assert_eq!(of(RoomCapabilities::NONE), RoomCapabilities::NONE);
    }
}
