//! Rules about rooms: their matches, and the outcome for a room. `mistakes` tests invalid
//! rules.

mod mistakes;

use std::collections::HashSet;

use super::{assert_codes, assert_problems, problems};
use crate::policy::Policy;
use crate::policy::problem::ProblemCode;
use crate::policy::rooms::{Room, Verdict, decide};
use crate::routing::engine::{Edit, Engine};
use presence_router_ids::UserId;

const ANN: &str = "@ann:one.org";

/// A policy with rules about rooms, from line 5 on. Each rule has a condition, and adds an
/// event whose type is the rule's name.
fn policy(conditions: &[(&str, &str)]) -> Policy {
    let mut text = "groups: { staff: ['@ann:one.org', '@second:one.org'], sales: { directory: true } }\nrules:\n  - { name: x, allow: { within: staff } }\nrooms:\n".to_owned();
    for (name, when) in conditions {
        text += &format!(
            "  - {{ name: {name}, when: {when}, add: [{{ type: {name}, content: {{}} }}] }}\n"
        );
    }
    load(&text)
}

fn load(text: &str) -> Policy {
    Policy::parse("policy.yaml", text.as_bytes()).unwrap_or_else(|p| panic!("{text}\n{p}"))
}

fn room(requester: &str) -> Room<'_> {
    Room {
        requester: UserId::parse(requester).unwrap(),
        is_admin: false,
        preset: None,
        visibility: None,
        invites: Vec::new(),
        name: None,
        initial_state: HashSet::new(),
    }
}

/// Types and contents of the added events, or the errcode of the denial.
fn verdict(policy: &Policy, room: &Room<'_>) -> Vec<String> {
    match decide(policy, &policy.snapshot, room) {
        Verdict::Denied { rule, denial } => vec![format!("{} by {rule}", denial.errcode)],
        Verdict::Created(events) => events
            .iter()
            .map(|(_, event)| format!("{}{}", event.event_type, event.content))
            .collect(),
    }
}

/// Names of the rules that match.
fn matching(policy: &Policy, room: &Room<'_>) -> Vec<String> {
    verdict(policy, room).iter().map(|event| event.replace("{}", "")).collect()
}

#[test]
fn every_condition_must_hold() {
    let policy = policy(&[
        ("requester", "{ requester: { group: staff } }"),
        ("server", "{ requester: [{ server: one.org }, '@joe:two.org'] }"),
        ("preset", "{ preset: [public_chat, trusted_private_chat] }"),
        ("visibility", "{ visibility: public }"),
        ("invites", "{ invites: { any: everyone, except: { server: one.org } } }"),
        ("name", "{ name: ['team-*', '?'] }"),
        ("admin", "{ admin: true }"),
        ("nonadmin", "{ admin: false, requester: everyone }"),
        ("both", "{ requester: { group: staff }, name: team-* }"),
    ]);
    let check =
        |room: &Room<'_>, want: &[&str]| assert_eq!(matching(&policy, room), want, "{room:?}");
    check(&room(ANN), &["requester", "server", "nonadmin"]);
    check(&room("@joe:one.org"), &["server", "nonadmin"]);
    check(&room("@joe:two.org"), &["server", "nonadmin"]);
    let other = "@other:two.org";
    check(&room(other), &["nonadmin"]);
    check(&Room { is_admin: true, ..room(other) }, &["admin"]);
    check(
        &Room { name: Some("team-x"), ..room(ANN) },
        &["requester", "server", "name", "nonadmin", "both"],
    );
    check(&Room { name: Some(""), ..room(other) }, &["nonadmin"]);
    check(&Room { name: Some("x"), ..room(other) }, &["name", "nonadmin"]);
    let invites = |ids: &[&'static str]| ids.iter().map(|id| UserId::parse(id).unwrap()).collect();
    check(&Room { invites: invites(&["@x:one.org"]), ..room(other) }, &["nonadmin"]);
    check(
        &Room { invites: invites(&["@x:one.org", "@x:far.org"]), ..room(other) },
        &["invites", "nonadmin"],
    );
}

#[test]
fn a_room_without_a_preset_has_that_of_its_visibility() {
    let policy = policy(&[
        ("private", "{ preset: private_chat }"),
        ("public", "{ preset: public_chat }"),
        ("trusted", "{ preset: trusted_private_chat }"),
        ("listed", "{ visibility: public }"),
        ("unlisted", "{ visibility: private }"),
    ]);
    for (preset, visibility, want) in [
        (None, None, &["private", "unlisted"][..]),
        (None, Some("private"), &["private", "unlisted"]),
        (None, Some("public"), &["public", "listed"]),
        (None, Some("PUBLIC"), &["public"]),
        (Some("public_chat"), None, &["public", "unlisted"]),
        (Some("trusted_private_chat"), Some("public"), &["trusted", "listed"]),
        (Some("secret_chat"), None, &["unlisted"]),
        (Some(""), Some(""), &[]),
    ] {
        let room = Room { preset, visibility, ..room(ANN) };
        assert_eq!(matching(&policy, &room), want, "{preset:?} {visibility:?}");
    }
}

#[test]
fn a_deny_wins_and_what_is_there_stays() {
    let text = "
rules: []
rooms:
  - { name: b, when: { name: '*' }, add: [{ type: t, content: { by: b } }, { type: u, content: {} }] }
  - { name: a, add: [{ type: t, content: { by: a } }, { type: t, state_key: k, content: { n: [1, -2, null, yes, 'x', { y: false }] } }] }
  - { name: z, when: { admin: true }, deny: { message: no } }
  - { name: y, when: { name: secret, admin: true }, deny: { message: no, errcode: ONE.ORG_NO, status: 400 } }
";
    let policy = load(text);
    let one = Room { name: Some("secret"), ..room(ANN) };
    // Rule `a` wins if two rules add one event. The events are in the order of the text.
    let k = r#"t{"n":[1,-2,null,"yes","x",{"y":false}]}"#;
    assert_eq!(verdict(&policy, &one), ["u{}", r#"t{"by":"a"}"#, k]);
    assert_eq!(verdict(&policy, &room(ANN)), [r#"t{"by":"a"}"#, k]);
    let there = Room { initial_state: HashSet::from([("t", ""), ("u", "k")]), ..one.clone() };
    assert_eq!(verdict(&policy, &there), ["u{}", k]);
    assert_eq!(verdict(&policy, &Room { is_admin: true, ..room(ANN) }), ["M_FORBIDDEN by z"]);
    assert_eq!(verdict(&policy, &Room { is_admin: true, ..one.clone() }), ["ONE.ORG_NO by y"]);
    let lines: Vec<_> = text.lines().collect();
    let turned = [&lines[..3], &[lines[6], lines[5], lines[4], lines[3]]].concat().join("\n");
    let turned = load(&turned);
    assert_eq!(verdict(&turned, &one), [r#"t{"by":"a"}"#, k, "u{}"], "another order, and no more");
    assert_eq!(verdict(&turned, &Room { is_admin: true, ..one }), ["ONE.ORG_NO by y"]);
}

#[test]
fn sets_follow_the_directory() {
    let policy = policy(&[
        ("sales", "{ requester: { group: sales } }"),
        ("others", "{ requester: { any: { server: one.org }, except: { group: sales } } }"),
    ]);
    let mut engine = Engine::new(&policy.ruleset).unwrap();
    let of = |engine: &Engine, who| {
        let snapshot = engine.snapshot();
        let room = room(who);
        let Verdict::Created(events) = decide(&policy, &snapshot, &room) else { panic!() };
        events.iter().map(|(rule, _)| (*rule).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of(&engine, "@sue:one.org"), ["others"]);
    let user = UserId::parse("@sue:one.org").unwrap();
    engine.edit(&[Edit::Join { group: "sales", user }]).unwrap();
    assert_eq!(of(&engine, "@sue:one.org"), ["sales"]);
    engine.edit(&[Edit::Leave { group: "sales", user }]).unwrap();
    assert_eq!(of(&engine, "@sue:one.org"), ["others"]);
}

#[test]
fn rules_about_rooms_show_nobody_to_anybody() {
    let with = policy(&[("a", "{ requester: everyone, invites: { server: one.org } }")]);
    let without = policy(&[("a", "{ admin: true }")]);
    assert_eq!(with.ruleset.rules, without.ruleset.rules);
    assert_eq!(with.ruleset.groups.len(), without.ruleset.groups.len() + 2);
    let who = with.snapshot.users().user_ref(UserId::parse("@joe:one.org").unwrap());
    assert!(with.snapshot.sets_of(who).is_empty());
}

const TESTED: &str = "
groups: { sales: { directory: true } }
rules: []
rooms:
  - { name: hint, when: { preset: private_chat }, add: [{ type: org.hint, content: {} }] }
  - { name: no sales, when: { requester: { group: sales } }, deny: { message: no } }
tests:
";

#[test]
fn tests_of_rooms_run() {
    load(&format!("{TESTED}
  - {{ room: {{ requester: '@a:b' }}, adds: org.hint, not: [org.other], denied: false }}
  - {{ room: {{ requester: '@a:b', visibility: public, name: x, invites: ['@x:y'], admin: true }}, not: org.hint }}
  - {{ given: {{ groups: {{ sales: '@a:b' }} }}, room: {{ requester: '@a:b' }}, not: org.hint, denied: M_FORBIDDEN }}
"));
    for (test, want) in [
        (
            "room: { requester: '@a:b' }, denied: M_X",
            "the room is not denied with `M_X`: no rule denies it",
        ),
        (
            "given: { groups: { sales: '@a:b' } }, room: { requester: '@a:b' }, denied: M_X",
            "the room is denied with `M_FORBIDDEN` by rule `no sales` (line 6), not with `M_X`",
        ),
        (
            "given: { groups: { sales: '@a:b' } }, room: { requester: '@a:b' }, denied: false",
            "the room is denied with `M_FORBIDDEN` by rule `no sales` (line 6)",
        ),
        (
            "given: { groups: { sales: '@a:b' } }, room: { requester: '@a:b' }, adds: org.hint",
            "`org.hint` is not added to the room: the room is denied with `M_FORBIDDEN` by rule `no sales` (line 6)",
        ),
        (
            "room: { requester: '@a:b', preset: public_chat }, adds: org.hint",
            "`org.hint` is not added to the room: no matching rule adds it",
        ),
        (
            "room: { requester: '@a:b' }, not: org.hint",
            "`org.hint` is added to the room by rule `hint` (line 5)",
        ),
    ] {
        let found = problems(format!("{TESTED}  - {{ {test} }}\n"));
        let messages: Vec<&str> = found.list.iter().map(|found| found.message.as_str()).collect();
        assert_eq!(messages, [format!("test fails: {want}")], "{test}");
        assert_eq!(found.list[0].code, ProblemCode::TestFailed);
    }
    for (test, want) in [
        ("room: { requester: '@a:b' }", "5 missing-key room adds"),
        ("room: 7, denied: false", "13 wrong-type"),
        ("room: { admin: true }, denied: false", "13 missing-key requester"),
        ("room: { requester: '@a:b' }, denied: true", "44 wrong-type"),
        ("room: { requester: '@a:b', preset: secret }, denied: false", "42 unknown-value secret"),
        (
            "sender: '@a:b', not: '@c:d', room: { requester: '@a:b' }",
            "36 conflicting-keys sender room",
        ),
    ] {
        assert_problems(format!("{TESTED}  - {{ {test} }}\n"), &format!("8:{want}"));
    }
}

#[test]
fn warns_of_rules_that_never_match() {
    let policy = policy(&[
        ("a", "{ requester: [] }"),
        ("b", "{ invites: { all_of: [[], everyone] } }"),
        ("c", "{ requester: { group: sales } }"),
    ]);
    assert_codes(
        &policy.warnings,
        "5:5 rule-never-matches a requester\n6:5 rule-never-matches b invites",
        "",
    );
}

#[test]
fn the_place_of_a_set_that_is_too_deep_is_its_rule() {
    // Each part is within the bound of the reader; together they exceed the bound of the engine.
    let half = |from: usize, inner: &str| {
        let (mut open, mut close) = (String::new(), String::new());
        for level in from..from + 14 {
            open += &format!("{{ all_of: [{{ server: 'a{level}*' }}, [{{ server: 'b{level}*' }}, ");
            close += "]] }";
        }
        format!("{open}{inner}{close}")
    };
    let text = format!(
        "groups:\n  g: {}\nrules: []\nrooms:\n  - {{ name: x, deny: {{ message: no }} }}\n  - {{ name: y, when: {{ requester: {} }}, deny: {{ message: no }} }}\n",
        half(0, "{ server: '*c' }"),
        half(20, "{ group: g }"),
    );
    assert_problems(&text, "6:5 too-deep");
}
