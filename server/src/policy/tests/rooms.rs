//! Rules about rooms: what matches, what becomes of a room, and what each mistake
//! is answered with.

use std::collections::HashSet;

use super::problems;
use crate::policy::Policy;
use crate::policy::rooms::{Room, Verdict, decide};
use crate::routing::engine::{Edit, Engine};
use crate::routing::user_id::UserId;

const ANN: &str = "@ann:one.org";

/// A policy with rules about rooms, each with these conditions and an event of its
/// name. They begin at line 5.
fn policy(conditions: &[(&str, &str)]) -> Policy {
    let mut text = "groups: { staff: ['@ann:one.org'], sales: { directory: true } }\nrules:\n  - { name: x, allow: { within: staff } }\nrooms:\n".to_owned();
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

/// Types and contents of the events that a room gets, or the errcode.
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
    // Of two for one place, that of the rule `a`; in the order of the text.
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
    let mut engine = Engine::new(&policy.plan).unwrap();
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
    assert_eq!(with.plan.rules, without.plan.rules);
    assert_eq!(with.plan.groups.len(), without.plan.groups.len() + 2);
    let who = with.snapshot.people().who(UserId::parse("@joe:one.org").unwrap());
    assert!(with.snapshot.sets_of(who).is_empty());
}

#[test]
fn checks_rules_about_rooms() {
    const EVENT: &str = "{ type: t, content: {} }";
    for (rule, want) in [
        (
            "x",
            "5: expected a rule about rooms, a map with `name` and `add` or `deny`, found a text",
        ),
        (&format!("{{ add: [{EVENT}] }}"), "5: a rule about rooms needs a `name`"),
        ("{ name: x }", "5: a rule about rooms needs one of `add` and `deny`"),
        (
            &format!("{{ name: x, add: [{EVENT}], deny: {{ message: no }} }}"),
            "49: a rule about rooms has either `add` or `deny`, not both; make a rule of each",
        ),
        (
            "{ name: x, allow: everyone }",
            "16: unknown key `allow`: rooms are created unless a rule denies it; valid here are `add`, `deny`, `name`, `when`",
        ),
        (
            &format!("{{ name: x, wen: {{ admin: true }}, add: [{EVENT}] }}"),
            "16: unknown key `wen`; valid here are `add`, `deny`, `name`, `when`; did you mean `when`?",
        ),
        ("{ name: x, add: [] }", "21: expected a list of state events, found an empty one"),
        (
            "{ name: x, add: [7] }",
            "22: expected a state event, a map with `type` and `content`, found a number",
        ),
        ("{ name: x, add: [{ type: t }] }", "22: a state event needs `content`"),
        ("{ name: x, add: [{ content: {} }] }", "22: a state event needs `type`"),
        ("{ name: x, add: [{ type: '', content: {} }] }", "30: the type of an event is empty"),
        (
            "{ name: x, add: [{ type: m.room.member, content: {} }] }",
            "30: `m.room.member` is made by the homeserver alone",
        ),
        (
            "{ name: x, add: [{ type: t, content: [] }] }",
            "42: expected the content of an event, a map, found a list",
        ),
        (
            "{ name: x, add: [{ type: t, content: { a: 0.5 } }] }",
            "47: events hold whole numbers from -9007199254740991 to 9007199254740991 only; put another in quotes",
        ),
        (
            "{ name: x, add: [{ type: t, content: { a: { b: 9007199254740992 } } }] }",
            "52: events hold whole numbers from -9007199254740991 to 9007199254740991 only; put another in quotes",
        ),
        (
            "{ name: x, add: [{ type: t, content: { 7: a } }] }",
            "44: expected a key, found a number; put it in quotes",
        ),
        (
            "{ name: x, add: [{ type: t, content: { a: 1, a: 1 } }] }",
            "50: key `a` is already given in line 3",
        ),
        (
            &format!("{{ name: x, add: [{EVENT}, {EVENT}] }}"),
            "48: an event `t` with state key `` is added twice",
        ),
        ("{ name: x, deny: {} }", "22: `deny` needs a `message` for the requester"),
        ("{ name: x, deny: { message: '' } }", "33: a message for the requester is empty"),
        (
            "{ name: x, deny: { message: no, errcode: forbidden } }",
            "46: `forbidden` is not an errcode: they are written as `M_FORBIDDEN` or `ORG.EXAMPLE_NO_ROOMS`",
        ),
        (
            "{ name: x, deny: { message: no, status: 200 } }",
            "45: expected an HTTP status from 400 to 499",
        ),
    ] {
        let text = format!("rules: []\nrooms:\n  - {rule}\n");
        assert_eq!(problems(&text), format!("policy.yaml:3:{want}"), "{rule}");
    }
    let long = "x".repeat(256);
    let text = format!(
        "rules: []\nrooms:\n  - {{ name: x, add: [{{ type: {long}, state_key: {long}, content: {{ a: {} }} }}] }}\n",
        "y".repeat(60_000)
    );
    let found = problems(&text);
    assert!(
        found.contains("3:30: the type of an event has at most 255 bytes, this has 256"),
        "{found}"
    );
    assert!(found.contains("a state key has at most 255 bytes, this has 256"), "{found}");
    assert!(found.contains("a content has at most 60000 bytes as JSON, this has 60008"), "{found}");
}

#[test]
fn checks_conditions() {
    for (when, want) in [
        (
            "7",
            "expected a map with some of `admin`, `invites`, `name`, `preset`, `requester`, `visibility`, found a number",
        ),
        ("{}", "`when` is empty; leave it away for a rule about every room"),
        (
            "{ requester: bob }",
            "`bob` is not a set: write a user id such as `@bob:example.org`, `everyone`, or `{ group: bob }`",
        ),
        ("{ invites: { group: staf } }", "group `staf` is not declared; did you mean `staff`?"),
        (
            "{ preset: public_chta }",
            "unknown preset `public_chta`; valid here are `private_chat`, `public_chat`, `trusted_private_chat`; did you mean `public_chat`?",
        ),
        ("{ preset: [] }", "expected a list of presets, found an empty one"),
        (
            "{ visibility: publik }",
            "unknown visibility `publik`; valid here are `private`, `public`; did you mean `public`?",
        ),
        ("{ name: [''] }", "a glob over names of rooms is empty"),
        ("{ admin: 'yes' }", "expected `true` or `false`, found a text"),
    ] {
        let text = format!(
            "groups: {{ staff: [] }}\nrules: []\nrooms:\n  - {{ name: x, when: {when}, deny: {{ message: no }} }}\n"
        );
        let found = problems(&text);
        assert!(
            found.starts_with("policy.yaml:4:") && found.ends_with(&format!(": {want}")),
            "{when}\n{found}"
        );
        assert_eq!(found.lines().count(), 1, "{found}");
    }
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
            "`org.hint` is not added to the room: it is denied with `M_FORBIDDEN` by rule `no sales` (line 6)",
        ),
        (
            "room: { requester: '@a:b', preset: public_chat }, adds: org.hint",
            "`org.hint` is not added to the room: no rule that matches adds it",
        ),
        (
            "room: { requester: '@a:b' }, not: org.hint",
            "`org.hint` is added to the room by rule `hint` (line 5)",
        ),
    ] {
        let found = problems(format!("{TESTED}  - {{ {test} }}\n"));
        assert!(
            found.ends_with(&format!(": test fails: {want}")) && found.lines().count() == 1,
            "{test}\n{found}"
        );
    }
    for (test, want) in [
        ("room: { requester: '@a:b' }", "5: a `room` needs `adds`, `not` or `denied` beside it"),
        ("room: 7, denied: false", "13: expected a room, a map with `requester`, found a number"),
        ("room: { admin: true }, denied: false", "13: a room needs a `requester`"),
        (
            "room: { requester: '@a:b' }, denied: true",
            "44: expected the errcode that the room is denied with, or `false`, found `true`",
        ),
        (
            "room: { requester: '@a:b', preset: secret }, denied: false",
            "42: unknown preset `secret`; valid here are `private_chat`, `public_chat`, `trusted_private_chat`",
        ),
        (
            "sender: '@a:b', not: '@c:d', room: { requester: '@a:b' }",
            "36: a test has either `sender` or `room`, not both; make two tests of it",
        ),
    ] {
        assert_eq!(
            problems(format!("{TESTED}  - {{ {test} }}\n")),
            format!("policy.yaml:8:{want}"),
            "{test}"
        );
    }
}

#[test]
fn warns_of_rules_that_never_match() {
    let policy = policy(&[
        ("a", "{ requester: [] }"),
        ("b", "{ invites: { all_of: [[], everyone] } }"),
        ("c", "{ requester: { group: sales } }"),
    ]);
    let warnings: Vec<_> =
        policy.warnings.iter().map(|w| (w.place.line, w.message.as_str())).collect();
    assert_eq!(
        warnings,
        [
            (5, "rule `a` about rooms can never match: `requester` holds nobody"),
            (6, "rule `b` about rooms can never match: `invites` holds nobody"),
        ]
    );
}

#[test]
fn the_place_of_a_set_that_is_too_deep_is_its_rule() {
    // Reading has a bound of its own, which a set and a group together reach beyond.
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
    assert_eq!(
        problems(&text),
        "policy.yaml:6:5: its servers and patterns nest 57 levels deep, at most 32 are supported"
    );
}
