//! The second step, with random answers and facts, beside an evaluator that asks for everything.

use std::cell::RefCell;
use std::collections::HashSet;

use presence_router_proto::ids::Coverage;
use presence_router_proto::v1::{PresenceField, SetExpression};

use super::{
    destinations::Destinations,
    pairs::FilterQuestion,
    pairs::PairQuestion,
    server::{RoomMates, ServerQuestion},
    source::Answer,
};
use crate::sets::tests::random::{Random, USERS, conditions_of, naive, number_of};
use crate::{Basis, Fields, Hide, Set, Verdict, VisibleSender, v1};

const FACTS: [Option<bool>; 3] = [Some(true), Some(false), None];

/// A random answer, as expressions and for evaluation.
struct World {
    counterparts: SetExpression,
    hides: Vec<v1::Hide>,
    answer: Answer,
}

// === impl World ===

impl World {
    fn random(random: &mut Random) -> Self {
        let counterparts = random.expression(3);
        let hides: Vec<_> = (0..random.below(3))
            .map(|number| v1::Hide {
                users: Some(random.expression(2)),
                fields: vec![
                    [PresenceField::StatusMsg, PresenceField::LastActiveTs][number].into(),
                ],
                unless_presence: vec!["busy".to_owned(); random.below(2)],
            })
            .collect();
        let converted = hides.iter().map(|hide| Hide::from_message(hide).unwrap()).collect();
        let answer = Answer::current(Set::new(Some(&counterparts)).unwrap(), converted);
        Self { counterparts, hides, answer }
    }

    /// The fields hidden of, or from, a visible user. `None`: not visible.
    fn hidden(&self, other: &str, presence: &str, facts: [Option<bool>; 3]) -> Option<Fields> {
        if naive(&self.counterparts, other, facts) != Some(true) {
            return None;
        }
        let mut hidden = Fields::default();
        for hide in &self.hides {
            let shown = hide.unless_presence.iter().any(|one| one == presence);
            let users = hide.users.as_ref().unwrap();
            if !shown && naive(users, other, facts) != Some(false) {
                let status = hide.fields[0] == i32::from(PresenceField::StatusMsg);
                hidden.status_msg |= status;
                hidden.last_active_ts |= !status;
            }
        }
        Some(hidden)
    }
}

/// Facts about each user of `USERS` and another one, by conditions. A user who shares no
/// room shares none that meets conditions.
fn random_facts(random: &mut Random) -> [[Option<bool>; 3]; 6] {
    [(); 6].map(|()| match FACTS[random.below(3)] {
        Some(false) => [Some(false); 3],
        any_room => [any_room, FACTS[random.below(3)], FACTS[random.below(3)]],
    })
}

fn index_of(user: &str) -> usize {
    USERS.iter().position(|one| *one == user).unwrap()
}

#[test]
fn verdicts_about_pairs_agree_with_the_definition_and_need_no_unlisted_fact() {
    let mut random = Random(9);
    let mut needless = 0;
    for case in 0..3000 {
        let world = World::random(&mut random);
        let facts = random_facts(&mut random);
        let recipient = USERS[random.below(6)];
        let senders = USERS.map(|user| (user, ["online", "busy"][random.below(2)]));
        let question = FilterQuestion::new(recipient, &senders, world.answer.clone());
        let needed: HashSet<(&str, usize)> = question
            .needed_facts()
            .inspect(|facts| assert_eq!(facts.one, recipient))
            .flat_map(|facts| {
                facts.conditions.into_iter().map(move |one| (facts.other, number_of(one)))
            })
            .collect();
        assert!(question.depends_on_rooms() || needed.is_empty());
        let conditions: HashSet<_> =
            question.needed_conditions().into_iter().map(number_of).collect();
        assert!(needed.iter().all(|(_, condition)| conditions.contains(condition)));
        assert_eq!(question.depends_on_rooms(), !conditions.is_empty());
        let decided = question.decide(|one, other, conditions| {
            assert_eq!(one, recipient);
            // The others do not matter.
            let fact = facts[index_of(other)][number_of(conditions)];
            fact.filter(|_| needed.contains(&(other, number_of(conditions))))
        });
        let expected: Vec<_> = (0..)
            .zip(senders)
            .filter(|(_, (sender, _))| *sender != recipient)
            .filter_map(|(index, (sender, presence))| {
                let hidden = world.hidden(sender, presence, facts[index_of(sender)])?;
                Some(VisibleSender { index, hidden })
            })
            .collect();
        assert_eq!(decided.visible, expected, "{case}: {:?}", world.counterparts);
        assert_eq!(decided.basis, Basis::Current);
        for (index, (sender, presence)) in senders.into_iter().enumerate() {
            let question = PairQuestion::new(recipient, sender, presence, world.answer.clone());
            let facts = |_: &str, other: &str, conditions: &_| {
                facts[index_of(other)][number_of(conditions)]
            };
            let one = expected.iter().find(|one| one.index == index);
            let verdict = Verdict::new(one.map(|one| one.hidden), Basis::Current);
            assert_eq!(question.decide(facts), verdict, "{case}: {sender}");
            assert_eq!(verdict.hidden == Fields::ALL, !verdict.visible);
            needless += usize::from(question.needed_facts().is_none());
        }
    }
    assert!((5000..15_000).contains(&needless), "{needless}");
}

#[test]
fn the_verdict_about_a_server_is_the_union_of_those_about_its_users() {
    let mut random = Random(10);
    let (mut exact, mut seen) = (0, 0);
    for case in 0..5000 {
        let world = World::random(&mut random);
        let facts = random_facts(&mut random);
        let sender = USERS[random.below(6)];
        let presence = ["online", "busy"][random.below(2)];
        let destination = ["x", "y", "z"][random.below(3)];
        let mates = USERS.iter().filter(|user| facts[index_of(user)][0] != Some(false));
        let mates: Vec<&str> = mates.copied().collect();

        let complete = random.below(2) == 0;
        let room_mates = mates.iter().copied();
        let room_mates = match complete {
            true => RoomMates::complete(room_mates),
            false => RoomMates::incomplete(room_mates),
        };
        let facts_about = |user: &str| match facts[index_of(user)] {
            [Some(false), ..] if !complete => [None; 3],
            facts => facts,
        };
        let question = ServerQuestion::new(destination, sender, presence, world.answer.clone());
        let needed: Vec<_> = question.needed_conditions().into_iter().map(number_of).collect();
        let asked = RefCell::new(false);
        let verdict = question.decide(room_mates, |one, other, conditions| {
            *asked.borrow_mut() = true;
            assert_eq!(one, sender);
            assert!(mates.contains(&other) && needed.contains(&number_of(conditions)));
            facts[index_of(other)][number_of(conditions)]
        });
        assert!(question.depends_on_rooms() || !*asked.borrow());

        let on_server = |user: &&&str| user.ends_with(&format!(":{destination}"));
        let users = USERS.iter().filter(on_server).filter(|user| **user != sender);
        let each = users.filter_map(|user| world.hidden(user, presence, facts_about(user)));
        let expected = each.reduce(Fields::union);
        let open = |expression: Option<&SetExpression>| {
            let set = Set::new(expression).unwrap();
            let coverage = match complete {
                true => set.open_coverage_by_strangers(destination),
                false => set.open_coverage_in_any_rooms(destination),
            };
            coverage != Coverage::Nobody
        };
        let context = format!("{case}: {sender} to {destination} {expected:?} {verdict:?}");
        if open(Some(&world.counterparts)) {
            // The server may have users whom no list contains.
            assert!(verdict.visible, "{context}");
            assert_eq!(verdict.hidden.union(expected.unwrap_or_default()), verdict.hidden);
        } else {
            assert_eq!(verdict, Verdict::new(expected, Basis::Current), "{context}");
            exact += 1;
            seen += usize::from(expected.is_some());
        }
    }
    assert!(exact > 1000 && seen > 300, "{exact} {seen}");
}

#[test]
fn users_whose_rooms_are_unknown_are_denied_and_hidden_from() {
    use crate::sets::tests::random::room_mates;
    use crate::sets::tests::{everyone, minus, users};
    let mates = || room_mates(&conditions_of(0));
    let listed = || users(&["@a:x"]);
    let set = |expression: SetExpression| Set::new(Some(&expression)).unwrap();
    let hide = |expression: SetExpression| {
        let fields = vec![PresenceField::StatusMsg.into()];
        let hide = v1::Hide { users: Some(expression), fields, unless_presence: Vec::new() };
        vec![Hide::from_message(&hide).unwrap()]
    };
    for (counterparts, hides, of_complete, of_incomplete) in [
        // A deny between room-mates, and an allow for those who share none.
        (minus(everyone(), mates()), vec![], (true, false), (false, false)),
        (minus(listed(), mates()), vec![], (true, false), (false, false)),
        (mates(), vec![], (false, false), (false, false)),
        (everyone(), vec![], (true, false), (true, false)),
        (everyone(), hide(mates()), (true, false), (true, true)),
        (listed(), hide(mates()), (true, false), (true, true)),
        (listed(), hide(minus(everyone(), mates())), (true, true), (true, true)),
    ] {
        let answer = Answer::current(set(counterparts.clone()), hides);
        let question = ServerQuestion::new("x", "@s:y", "online", answer);
        let decide = |room_mates| {
            let verdict = question.decide(room_mates, |_, _, _| unreachable!());
            (verdict.visible, verdict.visible && verdict.hidden.status_msg)
        };
        assert_eq!(decide(RoomMates::complete([])), of_complete, "{counterparts:?}");
        assert_eq!(decide(RoomMates::incomplete([])), of_incomplete, "{counterparts:?}");
    }
}

#[test]
fn a_server_is_decided_about_by_its_first_recipient_without_hides() {
    let counterparts = crate::sets::tests::random::room_mates(&conditions_of(0));
    let set = Set::new(Some(&counterparts)).unwrap();
    let question = ServerQuestion::new("x", "@s:y", "online", Answer::current(set, Vec::new()));
    let asked = RefCell::new(Vec::new());
    let room_mates = RoomMates::complete(["@p:z", "@a:x", "@b:x", "@c:x"]);
    let verdict = question.decide(room_mates, |_, other, _| {
        asked.borrow_mut().push(other.to_owned());
        Some(other != "@a:x")
    });
    assert!(verdict.visible);
    assert_eq!(asked.into_inner(), ["@a:x", "@b:x"], "nobody of another server, nor a third");
}

#[test]
fn destinations_include_those_of_listed_users_who_depend_on_rooms() {
    use crate::sets::tests::{all_of, users};
    let mates = crate::sets::tests::random::room_mates(&conditions_of(0));
    let listed = all_of(&[users(&["@a:x", "@s:y"]), mates]);
    let set = Set::new(Some(&listed)).unwrap();
    let destinations = Destinations::collect("@s:y", &Answer::current(set, Vec::new()), None);
    assert_eq!(destinations.servers, ["x"]);
    assert!(destinations.is_open);
}

#[test]
fn facts_may_change_between_the_steps() {
    let counterparts = crate::sets::tests::random::room_mates(&conditions_of(0));
    let set = Set::new(Some(&counterparts)).unwrap();
    let answer = Answer::current(set, Vec::new());
    let question = PairQuestion::new(USERS[0], USERS[1], "online", answer);
    let facts = question.needed_facts().unwrap();
    assert_eq!((facts.one, facts.other), (USERS[0], USERS[1]));
    assert_eq!(facts.conditions, [&conditions_of(0)]);
    // One question, asked again after each join and leave.
    for (fact, visible) in [(Some(true), true), (Some(false), false), (None, false)] {
        assert_eq!(question.decide(|_, _, _| fact).visible, visible);
    }
}
