pub(in crate::routing) mod worlds;

use fastrand::Rng;
use presence_router_ids::{RoomCapabilities, RoomCapability, RoomConditions, any_of};

use self::worlds::{
    Facts, GROUPS, USERS, World, all_facts, caller, encrypted, hide_status, holds, list, relations,
    rule, snapshot, user,
};
use super::parts::{Part, Role};
use super::visibility::{CallerView, Signature};
use crate::routing::engine::Edit;
use crate::routing::model::caller::Caller;
use crate::routing::model::ruleset::{Effect, Relation, Set};
use crate::routing::model::side::Side;
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::user_table::UserRef;

const SIDES: [Side; 2] = [Side::Sender, Side::Recipient];

fn capabilities() -> [RoomCapabilities; 3] {
    [RoomCapabilities::NONE, RoomCapability::RoomMates.into(), RoomCapabilities::ALL]
}

/// Evaluates the roles of parts, as a stream's client does.
fn is_in_parts(
    (snapshot, view): (&Snapshot, &CallerView),
    parts: &[(Role, Option<Part>)],
    who: UserRef<'_>,
    facts: Facts,
) -> Option<bool> {
    let applies = |relation, part: &Option<Part>| {
        let is_in = |part| snapshot.members_of_part(part, view).contains(who);
        let relation = snapshot.relation(relation).unwrap();
        if part.as_ref().is_none_or(is_in) { holds(relation, facts) } else { Some(false) }
    };
    let allowed = any_of(parts.iter().map(|(role, part)| match role {
        Role::Always => Some(snapshot.members_of_part(part.as_ref().unwrap(), view).contains(who)),
        Role::Required(relation) => applies(*relation, part),
        Role::Excluded(_) => Some(false),
    }));
    let denied = any_of(parts.iter().map(|(role, part)| match role {
        Role::Excluded(relation) => applies(*relation, part),
        Role::Always | Role::Required(_) => Some(false),
    }));
    presence_router_ids::all_of([allowed, denied.map(|denied| !denied)])
}

fn pair_of<'u>(side: Side, own: &'u str, other: &'u str) -> [&'u str; 2] {
    match side {
        Side::Sender => [own, other],
        Side::Recipient => [other, own],
    }
}

#[test]
fn every_answer_equals_the_definition_rule_by_rule() {
    let mut random = Rng::with_seed(1);
    let (mut unknown, mut excluded, mut hidden) = (0, 0, 0);
    for _ in 0..120 {
        let world = World::random(&mut random);
        let snapshot = world.engine().snapshot();
        for capabilities in capabilities() {
            let caller = caller(&["x"], capabilities);
            let view = CallerView::new(caller.clone());
            for (own, side) in USERS.into_iter().flat_map(|own| SIDES.map(|side| (own, side))) {
                let signature = snapshot.signature(user(own), side, &caller);
                let counterparts = snapshot.counterparts(&signature, &view);
                let parts = snapshot.parts(&signature);
                let hides = snapshot.hides(&signature, &counterparts.at_most());
                for (other, facts) in
                    USERS.into_iter().flat_map(|o| all_facts().map(move |f| (o, f)))
                {
                    let pair = pair_of(side, own, other);
                    if own == other {
                        continue;
                    }
                    let concerns = pair.iter().any(|id| caller.is_local(user(id)));
                    let expected = world.is_visible(pair, capabilities, facts);
                    let expected = if concerns { expected } else { Some(false) };
                    let who = snapshot.users().user_ref(user(other));
                    let says =
                        || format!("{pair:?} {capabilities:?} {facts:?} {:?}", world.ruleset);
                    let is = counterparts.contains(who, |relation| holds(relation, facts));
                    assert_eq!(is, expected, "{}", says());
                    let is = is_in_parts((&snapshot, &view), &parts, who, facts);
                    assert_eq!(is, expected, "{}", says());
                    if capabilities == RoomCapabilities::ALL && concerns {
                        let [sender, recipient] = pair.map(user);
                        let is = snapshot
                            .visible_if(sender, recipient, |relation| holds(relation, facts));
                        assert_eq!(is, expected, "{}", says());
                    }
                    assert!(expected == Some(false) || counterparts.at_most().contains(who));
                    assert!(expected == Some(true) || !counterparts.at_least().contains(who));
                    unknown += usize::from(expected.is_none());
                    excluded += usize::from(!counterparts.excluded().is_empty());
                    if expected == Some(false) {
                        continue;
                    }
                    let applied = hides.iter().filter(|applied| {
                        let holds = |relation| holds(relation, facts) != Some(false);
                        applied.users.contains(who) && applied.relation.is_none_or(holds)
                    });
                    let mut applied: Vec<_> = applied.map(|applied| applied.hide).collect();
                    applied.sort_unstable();
                    applied.dedup();
                    assert_eq!(applied, world.hides(pair, capabilities, facts), "{}", says());
                    hidden += applied.len();
                }
            }
        }
    }
    assert!(unknown > 1000 && excluded > 1000 && hidden > 1000, "{unknown} {excluded} {hidden}");
}

#[test]
fn counterparts_for_all_callers_equal_those_of_a_caller() {
    let mut random = Rng::with_seed(2);
    for _ in 0..100 {
        let world = World::random(&mut random);
        let snapshot = world.engine().snapshot();
        for (capabilities, side) in capabilities().into_iter().flat_map(|c| SIDES.map(|s| (c, s))) {
            let caller = caller(&["x", "y", "z"], capabilities);
            for own in USERS {
                let sets = snapshot.sets_of(snapshot.users().user_ref(user(own)));
                let all = snapshot.counterparts_of(&sets, side, capabilities);
                let signature = snapshot.signature(user(own), side, &caller);
                let view = CallerView::new(caller.clone());
                let counterparts = snapshot.counterparts(&signature, &view);
                for (other, facts) in
                    USERS.into_iter().flat_map(|o| all_facts().map(move |f| (o, f)))
                {
                    let who = snapshot.users().user_ref(user(other));
                    let holds = |relation: &Relation| holds(relation, facts);
                    let expected = counterparts.contains(who, holds);
                    assert_eq!(all.contains(who, holds), expected, "{:?}", world.ruleset);
                }
            }
        }
    }
}

/// An answer says nothing about users who are counterparts for no rooms.
#[test]
fn exceptions_name_nobody_but_counterparts() {
    let mut random = Rng::with_seed(3);
    for _ in 0..500 {
        let world = World::random(&mut random);
        let snapshot = world.engine().snapshot();
        let caller = caller(&["x"], RoomCapabilities::ALL);
        let view = CallerView::new(caller.clone());
        for (own, side) in USERS.into_iter().flat_map(|own| SIDES.map(|side| (own, side))) {
            let signature = snapshot.signature(user(own), side, &caller);
            let counterparts = snapshot.counterparts(&signature, &view);
            let sets = snapshot.sets_of(snapshot.users().user_ref(user(own)));
            let all = snapshot.counterparts_of(&sets, side, RoomCapabilities::ALL);
            for counterparts in [counterparts, all] {
                for (_, excluded) in counterparts.excluded() {
                    let names_more = !excluded.named().is_subset(counterparts.at_most().named());
                    assert!(!names_more || excluded.is_everyone(), "{:?}", world.ruleset);
                }
            }
        }
    }
}

/// A stream keeps an answer after an edit of the directory unless one of its parts changes in a
/// way that the delta reports.
#[test]
fn an_edit_that_changes_the_parts_of_an_unmoved_user_is_reported() {
    let mut random = Rng::with_seed(4);
    let mut restructured = 0;
    for _ in 0..2000 {
        let world = World::random(&mut random);
        let mut engine = world.engine();
        let old = engine.snapshot();
        let (group, moved) = (GROUPS[random.usize(0..2)], USERS[random.usize(0..5)]);
        let user_moved = user(moved);
        let edit = if random.bool() {
            Edit::Join { group, user: user_moved }
        } else {
            Edit::Leave { group, user: user_moved }
        };
        engine.edit(&[edit]).unwrap();
        let new = engine.snapshot();
        let delta = new.membership_delta_since(&old).unwrap();
        let caller = caller(&["x", "y"], RoomCapabilities::ALL);
        let views = [(); 2].map(|()| CallerView::new(caller.clone()));
        for (own, side) in USERS.into_iter().flat_map(|own| SIDES.map(|side| (own, side))) {
            let signature = |snapshot: &Snapshot| snapshot.signature(user(own), side, &caller);
            let (before, after): (Signature, Signature) = (signature(&old), signature(&new));
            if before != after || delta.signatures(side, &caller).contains(&before) {
                continue;
            }
            let parts = old.parts(&before);
            let old_parts = || parts.iter().filter_map(|(_, part)| part.as_ref());
            if old_parts().any(|part| delta.may_restructure(part)) {
                restructured += 1;
                continue;
            }
            assert_eq!(parts, new.parts(&after), "{edit:?} {:?}", world.ruleset);
            for part in old_parts().filter(|part| !delta.may_change(part)) {
                let members = |snapshot: &Snapshot, view| {
                    let members = snapshot.members_of_part(part, view);
                    USERS.map(|id| members.contains(snapshot.users().user_ref(user(id))))
                };
                let (is, was) = (members(&new, &views[1]), members(&old, &views[0]));
                assert_eq!(is, was, "{part:?} {edit:?} {:?}", world.ruleset);
            }
        }
    }
    assert!(restructured > 50, "{restructured}");
}

#[test]
fn a_rule_beyond_the_capabilities_shrinks_what_is_shown() {
    let [ann, bob] = ["@ann:x", "@bob:x"];
    let pair = || [list(&[ann]), list(&[bob])];
    let everyone = || rule(Effect::Allow, [Set::Everyone, Set::Everyone], None);
    let audience = |rules, capabilities| {
        let snapshot = snapshot(rules);
        let caller = caller(&["x"], capabilities);
        let signature = snapshot.signature(user(ann), Side::Sender, &caller);
        let counterparts = snapshot.counterparts(&signature, &CallerView::new(caller));
        let who = snapshot.users().user_ref(user(bob));
        let holds =
            |any: bool| counterparts.contains(who, |one| holds(one, [Some(any), Some(any)]));
        [holds(false), holds(true)].map(Option::unwrap)
    };
    let share_no_room = || Some(Relation::ShareNoRoom);
    let in_encrypted = || Some(Relation::ShareRoom(encrypted()));
    let [none, mates, all] = capabilities();
    // The outcome without a shared room, and with one.
    for (capabilities, outcome) in [(none, [false; 2]), (mates, [false; 2]), (all, [false, true])] {
        let allow = rule(Effect::Allow, pair(), in_encrypted());
        assert_eq!(audience(vec![allow], capabilities), outcome, "{capabilities:?}");
    }
    for (capabilities, outcome) in [(none, [false; 2]), (mates, [true, false])] {
        let allow = rule(Effect::Allow, pair(), share_no_room());
        assert_eq!(audience(vec![allow], capabilities), outcome, "{capabilities:?}");
    }
    for (capabilities, outcome) in [(none, [false; 2]), (mates, [false; 2]), (all, [true, false])] {
        let deny = rule(Effect::Deny, pair(), in_encrypted());
        assert_eq!(audience(vec![everyone(), deny], capabilities), outcome, "{capabilities:?}");
    }
    for (capabilities, outcome) in [(none, [false; 2]), (mates, [false, true])] {
        let deny = rule(Effect::Deny, pair(), share_no_room());
        assert_eq!(audience(vec![everyone(), deny], capabilities), outcome, "{capabilities:?}");
    }
}

#[test]
fn callers_that_differ_in_needless_capabilities_share_answers() {
    let of = |snapshot: &Snapshot, capabilities| {
        let caller: Caller = caller(&["x"], capabilities);
        snapshot.signature(user("@ann:x"), Side::Sender, &caller)
    };
    let allow =
        |relation| snapshot(vec![rule(Effect::Allow, [Set::Everyone, Set::Everyone], relation)]);
    let [none, mates, all] = capabilities();
    let without = allow(None);
    assert_eq!(of(&without, none), of(&without, all));
    let any_room = allow(Some(Relation::ShareRoom(RoomConditions::default())));
    assert_ne!(of(&any_room, none), of(&any_room, mates));
    assert_eq!(of(&any_room, mates), of(&any_room, all));
    let in_encrypted = allow(Some(Relation::ShareRoom(encrypted())));
    assert_ne!(of(&in_encrypted, mates), of(&in_encrypted, all));
}

#[test]
fn a_deny_over_everyone_is_no_list_and_a_relation_does_not_split_a_group() {
    let [any, ..] = relations();
    let team = || list(&["@ann:x", "@bob:x", "@joe:y"]);
    let snapshot = snapshot(vec![
        rule(Effect::Allow, [team(), team()], None),
        rule(Effect::Allow, [list(&["@ron:z"]), team()], Some(any.clone())),
        rule(Effect::Deny, [Set::Everyone, Set::Everyone], Some(Relation::ShareRoom(encrypted()))),
    ]);
    let caller = caller(&["x", "z"], RoomCapabilities::ALL);
    let parts = |id| snapshot.parts(&snapshot.signature(user(id), Side::Sender, &caller));
    let [ann, ron] = [parts("@ann:x"), parts("@ron:z")];
    let roles = |parts: &[(Role, Option<Part>)]| -> Vec<_> {
        parts.iter().map(|(role, part)| (*role, part.is_some())).collect()
    };
    let [Role::Required(first), Role::Excluded(second)] = [ron[0].0, ron[1].0] else { panic!() };
    assert_eq!(roles(&ann), [(Role::Always, true), (Role::Excluded(second), false)]);
    assert_eq!(roles(&ron), [(Role::Required(first), true), (Role::Excluded(second), false)]);
    assert_eq!(ann[0].1, ron[0].1, "one group is one part");
    assert_eq!(**snapshot.relation(first).unwrap(), any);
}

#[test]
fn exceptions_grow_with_the_allow_rules_and_not_with_the_denies() {
    let [any, ..] = relations();
    let all: Vec<String> = (0..40).map(|number| format!("@u{number}:x")).collect();
    // Each of 20 sets allows, and each of 20 denies; all of them meet.
    let some = |from: usize| list(&all.iter().skip(from).map(|id| &**id).collect::<Vec<_>>());
    let allow = (0..20).map(|n| rule(Effect::Allow, [Set::Everyone, some(n)], None));
    let deny =
        (0..20).map(|n| rule(Effect::Deny, [Set::Everyone, some(19 - n)], Some(any.clone())));
    let snapshot = snapshot(allow.chain(deny).collect());
    let caller = caller(&["x"], RoomCapabilities::ALL);
    let signature = snapshot.signature(user("@ann:x"), Side::Sender, &caller);
    let parts = snapshot.parts(&signature);
    let excluded = parts.iter().filter(|(role, _)| matches!(role, Role::Excluded(_))).count();
    assert_eq!((parts.len(), excluded), (40, 20));
    let view = CallerView::new(caller);
    let counterparts = snapshot.counterparts(&signature, &view);
    let denied = |relation: Option<bool>| {
        let who = snapshot.users().user_ref(user("@u39:x"));
        counterparts.contains(who, |_| relation)
    };
    assert_eq!([Some(true), Some(false), None].map(denied), [Some(false), Some(true), None]);
}

#[test]
fn a_shadow_rule_counts_its_relation_as_met() {
    let [ann, bob] = ["@ann:x", "@bob:x"];
    let pair = || [list(&[ann]), list(&[bob])];
    let shadowed = |live: Vec<_>, effect, relation| {
        let mut rules = live;
        rules.push(rule(effect, pair(), Some(relation)));
        rules.last_mut().unwrap().shadow = true;
        let snapshot = snapshot(rules);
        let caller = caller(&["x"], RoomCapabilities::ALL);
        let signature = snapshot.signature(user(ann), Side::Sender, &caller);
        !snapshot.shadowed(&signature, &CallerView::new(caller)).is_empty()
    };
    for relation in relations() {
        let allowed = || rule(Effect::Allow, pair(), None);
        let allowed_if = || rule(Effect::Allow, pair(), Some(relation.clone()));
        let hide = || Effect::Hide(hide_status());
        for (live, effect, changes) in [
            (vec![], Effect::Allow, true),
            (vec![allowed()], Effect::Allow, false),
            (vec![allowed_if()], Effect::Allow, true),
            (vec![rule(Effect::Deny, pair(), None)], Effect::Allow, false),
            (vec![rule(Effect::Deny, pair(), Some(relation.clone()))], Effect::Allow, true),
            (vec![], Effect::Deny, false),
            (vec![allowed_if()], Effect::Deny, true),
            (vec![allowed_if()], hide(), true),
            (vec![allowed(), rule(hide(), pair(), None)], hide(), false),
            (vec![allowed(), rule(hide(), pair(), Some(relation.clone()))], hide(), true),
        ] {
            let says = format!("{live:?} {effect:?} {relation:?}");
            assert_eq!(shadowed(live, effect, relation.clone()), changes, "{says}");
        }
    }
}
