//! Verification: the compared pairs, and the report of a disagreement.

use crate::policy::analyse::verify::{CounterExample, Hides, MAX_PAIRS, Verified, verify};
use crate::policy::{NoFiles, Policy};
use crate::routing::engine::{Edit, Engine};
use crate::routing::model::ruleset::{Fields, Hide};
use crate::routing::model::side::Side;
use presence_router_ids::UserId;

fn policy(text: &str) -> Policy {
    Policy::parse("policy.yaml", text.as_bytes()).unwrap_or_else(|e| panic!("{e}"))
}

const ALLOW: &str = "
groups:
  team: { directory: true }
rules:
  - { name: one, allow: { from: '@a:one.org', to: ['@b:one.org', { match: '@*-bot:one.org' }] } }
  - { name: team, allow: { within: team } }
";

#[test]
fn the_example_agrees_with_itself() {
    let policy = policy(crate::policy::EXAMPLE_POLICY);
    let named = policy.snapshot.users().count() as u64;
    let verified = verify(&policy, &policy.snapshot, MAX_PAIRS, 7);
    assert_eq!(verified.counter_example, None);
    assert!(verified.exhaustive && verified.listed == named, "{verified:?}");
    assert!(verified.pairs > named * (named - 1), "some users are made up: {verified:?}");
}

/// Users of an earlier policy keep their numbers. The verification treats them like made-up
/// users, and does not count them as listed.
#[test]
fn users_of_an_earlier_policy_are_not_listed() {
    let load = |before: Option<&Engine>, text: &str| {
        Policy::load_over(before, "policy.yaml", text.as_bytes(), &NoFiles).unwrap()
    };
    let (_, engine) = load(None, ALLOW);
    let after = "groups: { one: '@c:one.org' }\nrules: []";
    let (policy, _) = load(Some(&engine), after);
    assert_eq!(policy.snapshot.users().count(), 3);
    let Verified { pairs, exhaustive, listed: named, counter_example, .. } =
        verify(&policy, &policy.snapshot, MAX_PAIRS, 7);
    assert_eq!((exhaustive, named, counter_example), (true, 1, None));
    // Including one made-up user on each of two servers.
    assert_eq!(pairs, 5 * 4);
    // The verification includes them: the earlier policy shows one of them to another.
    let (earlier, _) = load(None, ALLOW);
    let found = verify(&earlier, &policy.snapshot, MAX_PAIRS, 7).counter_example.unwrap();
    assert_eq!((found.sender.as_str(), found.recipient.as_str()), ("@a:one.org", "@b:one.org"));
}

#[test]
fn makes_users_up_whom_patterns_fit() {
    let bots =
        policy("rules: [{ name: x, allow: { from: { match: '@*-bot:o?e.org' }, to: everyone } }]");
    let nobody = policy("rules: []");
    let verified = verify(&bots, &nobody.snapshot, MAX_PAIRS, 0);
    let Verified { exhaustive: true, listed: 0, counter_example: Some(found), .. } = verified
    else {
        panic!("{verified:?}")
    };
    assert_eq!((found.visible, found.sender.as_str()), (true, "@made-up-bot:oxe.org"));
}

#[test]
fn says_which_callback_and_which_way() {
    let allows = policy("rules: [{ name: x, allow: { from: '@a:one.org', to: '@b:one.org' } }]");
    let denies = policy("rules: [{ name: x, deny: { from: '@a:one.org', to: '@b:one.org' } }]");
    let [sender, recipient] = ["@a:one.org", "@b:one.org"].map(str::to_owned);
    let found = |of, visible| {
        let (sender, recipient) = (sender.clone(), recipient.clone());
        Some(CounterExample { sender, recipient, of, visible, hides: None })
    };
    let verified = verify(&denies, &allows.snapshot, MAX_PAIRS, 0);
    assert_eq!(verified.counter_example, found(Side::Sender, false));
    let verified = verify(&allows, &denies.snapshot, MAX_PAIRS, 0);
    assert_eq!(verified.counter_example, found(Side::Sender, true));
}

/// A policy in which everybody sees everybody, with further rules.
fn open(rules: &str) -> Policy {
    policy(&format!(
        "rules:\n  - {{ name: all, allow: {{ from: everyone, to: everyone }} }}\n{rules}"
    ))
}

/// A rule that hides a field of ann from everybody.
fn hiding(name: &str, what: &str) -> String {
    format!("  - {{ name: {name}, hide: {{ from: '@a:one.org', to: everyone, {what} }} }}\n")
}

#[test]
fn finds_what_is_hidden_otherwise() {
    let (status, activity) = ("fields: [status_msg]", "fields: [last_active_ts]");
    let busy = "fields: [status_msg], unless: { presence: [busy] }";
    let hide = |fields, unless: &[&str]| Hide {
        fields,
        unless: unless.iter().map(|presence| (*presence).into()).collect(),
    };
    let text = hide(Fields { status_msg: true, ..Fields::default() }, &[]);
    let unless = hide(Fields { status_msg: true, ..Fields::default() }, &["busy"]);
    let active = hide(Fields { last_active_ts: true, ..Fields::default() }, &[]);
    let shadow = hiding("x, shadow: true", status);
    let both = hiding("x", status) + &hiding("y", activity);
    let none = hiding("x, shadow: true", activity);
    for (defined, answered, want) in [
        (hiding("x", status), none.clone(), Some((vec![text.clone()], vec![]))),
        (none, hiding("x", status), Some((vec![], vec![text.clone()]))),
        (hiding("x", status), hiding("x", busy), Some((vec![text.clone()], vec![unless]))),
        (both.clone(), hiding("x", status), Some((vec![active, text.clone()], vec![text]))),
        (both.clone(), both, None),
        (hiding("x", status) + &hiding("y", status), hiding("z", status), None),
        (shadow, hiding("x, shadow: true", busy), None),
    ] {
        let [defined, answered] = [defined, answered].map(|rules| open(&rules));
        let verified = verify(&defined, &answered.snapshot, MAX_PAIRS, 3);
        let found = verified.counter_example.map(|found| {
            assert!(found.of == Side::Sender && found.visible, "{found:?}");
            assert_eq!(found.sender, "@a:one.org");
            let Hides { defined, answered } = found.hides.unwrap();
            (defined, answered)
        });
        assert_eq!(found, want);
    }
}

#[test]
fn nothing_is_hidden_of_what_is_not_visible() {
    let hide = hiding("x", "fields: [status_msg]");
    let policy = policy(&format!(
        "rules:\n{hide}  - {{ name: y, allow: {{ from: everyone, to: '@b:one.org' }} }}\n"
    ));
    let verified = verify(&policy, &policy.snapshot, MAX_PAIRS, 0);
    assert_eq!(verified.counter_example, None);
}

#[test]
fn knows_the_directory() {
    let policy = policy(ALLOW);
    let mut engine = Engine::new(&policy.ruleset).unwrap();
    let empty = engine.snapshot();
    let join = |user| Edit::Join { group: "team", user: UserId::parse(user).unwrap() };
    engine.edit(&[join("@b:one.org"), join("@new:two.org")]).unwrap();
    for (snapshot, named) in [(empty, 2), (engine.snapshot(), 3)] {
        let verified = verify(&policy, &snapshot, MAX_PAIRS, 0);
        assert_eq!((verified.counter_example, verified.listed), (None, named));
    }
}

#[test]
fn draws_by_the_seed_what_is_too_much() {
    let users: Vec<_> = (0..200).map(|i| format!("'@u{i}:one.org'")).collect();
    let text = |users: &[String]| {
        format!(
            "groups: {{ a: [{}] }}\nrules: [{{ name: x, allow: {{ within: a }} }}]",
            users.join(",")
        )
    };
    let all = policy(&text(&users));
    let verified = verify(&all, &all.snapshot, 400, 1);
    assert!(!verified.exhaustive && verified.counter_example.is_none(), "{verified:?}");
    assert!((370..=400).contains(&verified.pairs), "{verified:?}");

    // Half of the users are members, so most random draws find the difference.
    let half = policy(&text(&users[..100]));
    let first = verify(&half, &all.snapshot, 400, 1);
    assert!(first.counter_example.is_some(), "{first:?}");
    assert_eq!(verify(&half, &all.snapshot, 400, 1), first, "the same seed");
    let others = (2..20).map(|seed| verify(&half, &all.snapshot, 400, seed).counter_example);
    assert!(others.into_iter().any(|other| other != first.counter_example), "another seed");

    // A random draw compares hidden fields as well.
    let hide = format!(
        "within: a }} }}, {{ name: y, hide: {{ from: [{}], to: everyone, fields: [status_msg] }} }}]",
        users[..100].join(",")
    );
    let hides = policy(&text(&users).replace("within: a } }]", &hide));
    let found = verify(&hides, &all.snapshot, 400, 1).counter_example.unwrap();
    assert!(found.visible && found.hides.is_some(), "{found:?}");
}

/// Rules with every kind of effect and of relation among ann, bob and a server.
const ROOMS: &str = "
groups: { all: ['@a:one.org', '@b:one.org', { server: two.org }] }
rules:
  - { name: small, allow: { within: all, share_room: { at_most: 9 } } }
  - { name: none, allow: { from: '@a:one.org', to: everyone, share_room: false } }
  - { name: public, deny: { within: all, share_room: { join_rule: public } } }
  - { name: hidden, hide: { within: all, fields: [status_msg], share_room: { at_least: 5 } } }
";

#[test]
fn rooms_are_invented_if_rules_require_them() {
    let rooms = policy(ROOMS);
    for seed in 0..20 {
        let verified = verify(&rooms, &rooms.snapshot, MAX_PAIRS, seed);
        assert!(verified.invented_rooms && verified.counter_example.is_none(), "{verified:?}");
    }
    let none = policy(ALLOW);
    assert!(!verify(&none, &none.snapshot, MAX_PAIRS, 0).invented_rooms);
}

#[test]
fn finds_a_relation_that_an_answer_ignores_or_mistakes() {
    let defined = policy(ROOMS);
    for (rule, written, hides) in [
        (", share_room: { at_most: 9 }", "", false),
        (", share_room: { at_most: 9 }", ", share_room: true", false),
        (", share_room: false", "", false),
        (", share_room: false", ", share_room: true", false),
        (", share_room: { join_rule: public }", "", false),
        (", share_room: { join_rule: public }", ", share_room: { join_rule: invite }", false),
        (", share_room: { at_least: 5 }", "", true),
        (", share_room: { at_least: 5 }", ", share_room: { at_least: 6 }", true),
    ] {
        let answered = policy(&ROOMS.replacen(rule, written, 1));
        let verified = verify(&defined, &answered.snapshot, MAX_PAIRS, 3);
        let found = verified.counter_example.map(|found| found.hides.is_some());
        assert_eq!(found, Some(hides), "{rule} as {written:?}");
    }
}
