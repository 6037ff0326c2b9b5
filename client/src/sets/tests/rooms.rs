//! Sets that depend on rooms, beside the evaluator that knows nothing but the definition.

use std::cell::Cell;

use presence_router_proto::ids::RoomCapability;
use presence_router_proto::v1::{self, RoomMates, RoomPresenceSharing, room_condition::Condition};

use super::random::{Random, USERS, conditions_of, naive, number_of, room_mates};
use super::*;

const SERVERS: [&str; 3] = ["x", "y", "z"];

#[test]
fn evaluation_agrees_with_the_definition_for_random_sets_and_facts() {
    const FACTS: [Option<bool>; 3] = [Some(true), Some(false), None];
    let mut random = Random(7);
    let mut decided = [0; 3];
    for case in 0..3000 {
        let expression = random.expression(4);
        let set = set(&expression);
        for user in USERS {
            let facts = [(); 3].map(|()| FACTS[random.below(3)]);
            let found = set.contains_if(user, |conditions| facts[number_of(conditions)]);
            assert_eq!(found, naive(&expression, user, facts), "{case}: {user} {expression:?}");
            decided[FACTS.iter().position(|one| *one == found).unwrap()] += 1;
            let certain = naive(&expression, user, [None; 3]) == Some(true);
            assert_eq!(set.contains(user), certain, "{case}: {user} {expression:?}");
        }
    }
    assert!(decided.iter().all(|cases| *cases > 1000), "{decided:?}");
}

#[test]
fn bounds_hold_in_all_rooms_and_for_strangers() {
    let mut random = Random(8);
    for case in 0..3000 {
        let expression = random.expression(4);
        let set = set(&expression);
        let listed = set.listed_users();
        let candidates = set.listed_candidates();
        assert!(candidates.len() <= set.listed_users_bound());
        for user in USERS {
            let possible = naive(&expression, user, [None; 3]);
            let server = user.split_once(':').unwrap().1;
            let context = format!("{case}: {user} {possible:?} {expression:?}");
            match set.coverage_on_server(server) {
                Coverage::Nobody => assert_eq!(possible, Some(false), "{context}"),
                Coverage::Everybody => assert_eq!(possible, Some(true), "{context}"),
                Coverage::Some => {}
            }
            assert!(!listed.contains(&user) || possible == Some(true), "{context}");
            assert!(!candidates.contains(&user) || possible != Some(false), "{context}");
            if possible != Some(false) && !listed.contains(&user) {
                assert!(set.is_open(), "{context}");
                assert_ne!(set.open_coverage_on_server(server), Coverage::Nobody, "{context}");
            }
            if !candidates.contains(&user) {
                if possible == Some(true) {
                    let coverage = set.open_coverage_in_any_rooms(server);
                    assert_ne!(coverage, Coverage::Nobody, "{context}");
                }
                if possible != Some(false) {
                    let coverage = set.open_coverage_in_some_rooms(server);
                    assert_ne!(coverage, Coverage::Nobody, "{context}");
                }
            }
            let strange = naive(&expression, user, [Some(false); 3]) == Some(true);
            if strange && !candidates.contains(&user) {
                assert_ne!(set.open_coverage_by_strangers(server), Coverage::Nobody, "{context}");
                assert!(set.is_open_to_strangers(), "{context}");
            }
        }
        let free = set.room_conditions().is_empty();
        assert_eq!(set.depends_on_rooms(), !free, "{case}: {expression:?}");
    }
}

#[test]
fn rooms_are_asked_for_last_and_only_if_they_decide() {
    let mates = || room_mates(&conditions_of(0));
    for (expression, asked, value) in [
        (any_of(&[mates(), users(&["@a:x"])]), 0, Some(true)),
        (any_of(&[mates(), users(&["@b:x"])]), 1, None),
        (all_of(&[mates(), users(&["@b:x"])]), 0, Some(false)),
        (all_of(&[mates(), users(&["@a:x"])]), 1, None),
        (minus(mates(), server("x")), 0, Some(false)),
        (minus(server("y"), mates()), 0, Some(false)),
        (minus(server("x"), mates()), 1, None),
        (server("x"), 0, Some(true)),
    ] {
        let count = Cell::new(0);
        let found = set(&expression).contains_if("@a:x", |_| {
            count.set(count.get() + 1);
            None
        });
        assert_eq!((count.get(), found), (asked, value), "{expression:?}");
    }
}

#[test]
fn users_who_depend_on_rooms_are_neither_listed_nor_left_out() {
    let some = users(&["@a:x", "@b:y"]);
    let mates = room_mates(&conditions_of(1));
    for expression in [all_of(&[some.clone(), mates.clone()]), minus(some, mates)] {
        let set = set(&expression);
        assert_eq!(set.listed_users(), Vec::<&str>::new());
        assert_eq!(set.listed_candidates(), ["@a:x", "@b:y"]);
        assert!(set.is_open() && !set.is_everyone() && !set.is_open_to_strangers());
        assert_eq!(set.coverage_on_server("x"), Coverage::Some);
        assert_eq!(set.open_coverage_on_server("x"), Coverage::Some);
        assert_eq!(set.coverage_on_server("z"), Coverage::Nobody);
        assert_eq!(set.open_coverage_by_strangers("x"), Coverage::Nobody);
        assert_eq!(set.room_conditions(), [&conditions_of(1)]);
    }
    assert_eq!(
        SERVERS.map(|on| set(&room_mates(&conditions_of(0))).coverage_on_server(on)),
        [Coverage::Some; 3]
    );
}

#[test]
fn conditions_that_are_not_understood_or_not_stated_are_no_verdict() {
    let hint = Condition::PresenceSharing(RoomPresenceSharing::Unspecified.into());
    for condition in [None, Some(hint), Some(Condition::Space(String::new()))] {
        let mates = RoomMates { all_of: vec![v1::RoomCondition { condition }] };
        let leaf = of(Expression::RoomMates(mates));
        for expression in
            [leaf.clone(), any_of(std::slice::from_ref(&leaf)), minus(everyone(), leaf)]
        {
            assert_eq!(Set::new(Some(&expression)), Err(SetError::UnknownCondition));
        }
    }
    let small = room_mates(&conditions_of(1));
    let needed = conditions_of(1).needed_capabilities();
    assert!(Set::with_capabilities(Some(&small), needed).is_ok());
    for capability in needed.iter() {
        let fewer = needed.iter().filter(|one| *one != capability).collect();
        for read in [Set::with_capabilities, Set::strict_with_capabilities] {
            assert_eq!(read(Some(&small), fewer), Err(SetError::UnstatedCapability));
        }
    }
    let some: RoomCapabilities = RoomCapability::RoomMates.into();
    assert!(Set::with_capabilities(Some(&room_mates(&conditions_of(0))), some).is_ok());
}

#[test]
fn a_set_is_no_larger_for_what_it_remembers_of_rooms() {
    assert_eq!(size_of::<Set>(), 3 * size_of::<usize>());
}
