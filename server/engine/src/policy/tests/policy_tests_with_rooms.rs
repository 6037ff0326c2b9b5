//! Tests of a policy that give rooms: each condition, in an allow, a deny and a hide.

use std::fmt::Write as _;

use super::{messages, problems, ruleset};

/// A condition, a room of Ann and Joe that meets it, and rooms that do not.
const CONDITIONS: &[(&str, &str, &[&str])] = &[
    ("true", "", &[]),
    ("{ at_most: 3 }", "", &["members: ['@ann:one.org', '@joe:one.org', '@a:b', '@b:b']"]),
    (
        "{ at_most: 2, not_counting: '@*-bot:*' }",
        "members: ['@ann:one.org', '@joe:one.org', '@irc-bot:b', '@xmpp-bot:b']",
        &["members: ['@ann:one.org', '@joe:one.org', '@irc-boat:b']"],
    ),
    ("{ at_least: 3 }", "", &["members: ['@ann:one.org', '@joe:one.org']"]),
    ("{ encrypted: true }", "encrypted: true", &["encrypted: false", ""]),
    ("{ encrypted: false }", "", &["encrypted: true"]),
    ("{ join_rule: [invite, knock] }", "join_rule: knock", &["join_rule: public"]),
    ("{ join_rule: invite }", "", &["join_rule: restricted"]),
    (
        "{ history_visibility: [shared, joined] }",
        "",
        &["history_visibility: world_readable", "history_visibility: invited"],
    ),
    ("{ space: '!s:one.org' }", "spaces: ['!o', '!s:one.org']", &["spaces: ['!o']", ""]),
    (
        "{ presence_sharing: suggest }",
        "presence_sharing: suggest",
        &["presence_sharing: forbid", ""],
    ),
    (
        "{ encrypted: true, at_most: 3 }",
        "encrypted: true",
        &["", "encrypted: true, members: ['@ann:one.org', '@joe:one.org', '@a:b', '@b:b']"],
    ),
];

/// Given rooms with one room, of three members unless the facts have others.
fn given(facts: &str) -> String {
    let members = "members: ['@ann:one.org', '@joe:one.org', '@sue:two.org']";
    let facts = match facts {
        "" => members.to_owned(),
        facts if facts.contains("members:") => facts.to_owned(),
        facts => format!("{facts}, {members}"),
    };
    format!("given: {{ rooms: {{ '!room': {{ {facts} }} }} }}")
}

/// A policy with an allow, a deny and a hide that have a relation. Each recipient is in one of
/// them, and the tests say for whom the relation holds.
fn policy(relation: &str, tests: &[(String, bool)]) -> String {
    let mut text = format!(
        "rules:
  - name: allow
    allow: {{ from: '@ann:one.org', to: '@joe:one.org', share_room: {relation} }}
  - name: all
    allow: {{ from: '@joe:one.org', to: '@ann:one.org' }}
  - name: deny
    deny: {{ from: '@joe:one.org', to: '@ann:one.org', share_room: {relation} }}
  - name: all of sue
    allow: {{ from: '@sue:two.org', to: everyone }}
  - name: hide
    hide: {{ from: '@sue:two.org', to: everyone, share_room: {relation}, fields: presence }}
tests:
"
    );
    for (given, holds) in tests {
        let (claim, other) = if *holds { ("reaches", "not") } else { ("not", "reaches") };
        let _ = write!(
            text,
            "  - {{ {given}, sender: '@ann:one.org', {claim}: '@joe:one.org' }}
  - {{ {given}, sender: '@joe:one.org', {other}: '@ann:one.org' }}
  - {{ {given}, recipient: '@ann:one.org', {other_sees}: '@joe:one.org' }}
",
            other_sees = if *holds { "not" } else { "sees" },
        );
    }
    text
}

#[test]
fn each_condition_is_evaluated() {
    for (relation, met, unmet) in CONDITIONS {
        let mut tests = vec![(given(met), true), ("given: { rooms: {} }".to_owned(), false)];
        tests.extend(unmet.iter().map(|facts| (given(facts), false)));
        ruleset(&policy(relation, &tests));
        // The opposite of each claim fails.
        let wrong: Vec<_> = tests.into_iter().map(|(given, holds)| (given, !holds)).collect();
        let failures = problems(policy(relation, &wrong)).list.len();
        assert_eq!(failures, 3 * wrong.len(), "{relation}");
    }
}

#[test]
fn room_ids_are_matched() {
    let other = given("").replace("!room", "!x");
    ruleset(&policy("{ rooms: ['!r*'] }", &[(given(""), true), (other.clone(), false)]));
    ruleset(&policy("{ not_rooms: ['!r*'] }", &[(given(""), false), (other, true)]));
}

#[test]
fn to_share_no_room_is_the_opposite() {
    ruleset(&policy(
        "false",
        &[
            (given(""), false),
            (given("partial: true"), false),
            ("given: { rooms: {} }".to_owned(), true),
            (given("members: ['@ann:one.org', '@sue:two.org']"), true),
        ],
    ));
}

/// A missing fact counts as not met in an allow, and as met in a deny and a hide.
#[test]
fn a_missing_fact_shows_nothing() {
    let text = policy("{ at_most: 3 }", &[]);
    let given = given("partial: true");
    ruleset(&format!(
        "{text}  - {{ {given}, sender: '@ann:one.org', not: '@joe:one.org' }}
  - {{ {given}, sender: '@joe:one.org', not: '@ann:one.org' }}
  - {{ {given}, sender: '@sue:two.org', reaches: '@joe:one.org', hides: {{ fields: presence }} }}
"
    ));
}

#[test]
fn hides_follow_the_rooms() {
    let text = policy("{ encrypted: true }", &[]);
    ruleset(&format!(
        "{text}  - {{ {}, sender: '@sue:two.org', reaches: '@joe:one.org', hides: {{ fields: presence }} }}
  - {{ {}, sender: '@sue:two.org', reaches: '@joe:one.org', hides: {{ fields: [] }} }}
  - {{ sender: '@sue:two.org', reaches: ['@joe:one.org', '@far:away.org'], hides: {{ fields: [] }} }}
",
        given("encrypted: true"),
        given("encrypted: false"),
    ));
}

const GROUPS: &str = r#"
groups:
  staff: ["@ann:one.org", "@joe:one.org", "@sue:one.org"]
  boss: ["@cleo:one.org"]
rules:
  - name: room-mates
    allow: { share_room: true }
  - name: strangers
    allow: { from: "@sue:one.org", to: { group: boss }, share_room: false }
  - name: not in big rooms
    deny: { share_room: { at_least: 4 } }
  - name: less
    hide: { share_room: { encrypted: false }, fields: status_msg }
  - name: pat is seen
    allow: { from: "@pat:two.org", to: "@joe:one.org" }
  - name: pat is seen by room-mates only
    deny: { from: "@pat:two.org", to: "@joe:one.org", share_room: false }
"#;

#[test]
fn members_of_a_set_share_different_rooms() {
    let rooms = "given: { rooms: {
        '!a': { members: ['@ann:one.org', '@joe:one.org'], encrypted: true },
        '!b': { members: ['@ann:one.org', '@sue:one.org', '@pat:two.org'] },
        '!big': { members: ['@joe:one.org', '@sue:one.org', '@cleo:one.org', '@x:two.org'] } } }";
    ruleset(&format!(
        "{GROUPS}tests:
  - {{ {rooms}, sender: '@ann:one.org', only: ['@joe:one.org', '@sue:one.org', '@pat:two.org'] }}
  - {{ {rooms}, sender: '@joe:one.org', only: '@ann:one.org', not: ['@cleo:one.org', '@x:two.org'] }}
  - {{ {rooms}, sender: '@sue:one.org', only: ['@ann:one.org', '@pat:two.org'] }}
  - {{ {rooms}, recipient: '@pat:two.org', only: ['@ann:one.org', '@sue:one.org'] }}
  - {{ {rooms}, sender: '@pat:two.org', reaches: '@ann:one.org', hides: {{ fields: status_msg }} }}
  - {{ {rooms}, sender: {{ group: boss }}, only: [] }}
  - sender: '@sue:one.org'
    only: '@cleo:one.org'
  - sender: '@pat:two.org'
    only: []
  - {{ sender: {{ group: staff }}, not: ['@ann:one.org', '@joe:one.org', '@sue:one.org'] }}
"
    ));
}

#[test]
fn a_failure_names_the_rooms() {
    let rooms = "given: { rooms: { '!a': { members: ['@ann:one.org', '@joe:one.org'] }, '!big': { members: ['@ann:one.org', '@sue:one.org', '@x:y', '@z:y'] } } }";
    for (test, want) in [
        (
            "sender: '@ann:one.org', reaches: '@joe:one.org'".to_owned(),
            "does not reach `@joe:one.org`: no allow rule matches: rule `room-mates` (line 6) requires that they share a room, but they share no room",
        ),
        (
            format!("{rooms}, sender: '@ann:one.org', not: '@joe:one.org'"),
            "reaches `@joe:one.org`: allowed by rule `room-mates` (line 6; they share `!a`)",
        ),
        (
            format!("{rooms}, sender: '@ann:one.org', reaches: '@sue:one.org'"),
            "does not reach `@sue:one.org`: denied by rule `not in big rooms` (line 10; they share `!big`)",
        ),
        (
            format!("{rooms}, sender: {{ group: staff }}, reaches: '@sue:one.org'"),
            "`@ann:one.org` and 1 more of `sender` do not reach `@sue:one.org`: denied by rule `not in big rooms` (line 10; they share `!big`)",
        ),
        (
            "given: { rooms: { '!b': { members: ['@ann:one.org', '@pat:two.org'] } } }, sender: { group: staff }, reaches: '@pat:two.org'".to_owned(),
            "`@joe:one.org` and 1 more of `sender` do not reach `@pat:two.org`: no allow rule matches: rule `room-mates` (line 6) requires that they share a room, but they share no room",
        ),
        (
            "sender: '@sue:one.org', only: []".to_owned(),
            "reaches `@cleo:one.org`, who is not in `only`: allowed by rule `strangers` (line 8; they share no room)",
        ),
        (
            format!("{rooms}, sender: '@joe:one.org', only: []"),
            "reaches `@ann:one.org`, who is not in `only`: allowed by rule `room-mates` (line 6; they share `!a`)",
        ),
        // Members of given rooms whom nothing else names count as listed.
        (
            "given: { rooms: { '!t': { members: ['@ann:one.org', '@joe:one.org', '@abe:y.org'] }, '!u': { members: ['@ann:one.org', '@zed:y.org'] } } }, sender: '@ann:one.org', only: '@joe:one.org'".to_owned(),
            "reaches `@abe:y.org` and 1 more listed user, who are not in `only`: allowed by rule `room-mates` (line 6; they share `!t`)",
        ),
        (
            "given: { rooms: { '!t': { members: ['@ann:one.org', '@zed:y.org'] } } }, recipient: '@zed:y.org', only: []".to_owned(),
            "`@zed:y.org` sees `@ann:one.org`, who is not in `only`: allowed by rule `room-mates` (line 6; they share `!t`)",
        ),
        (
            format!(
                "{rooms}, sender: '@ann:one.org', reaches: '@joe:one.org', hides: {{ fields: [] }}"
            ),
            "the policy hides `status_msg` of `@ann:one.org` from `@joe:one.org`, but the test expects nothing: hidden by rule `less` (line 12; they share `!a`)",
        ),
        (
            format!(
                "{}, sender: '@ann:one.org', reaches: '@joe:one.org', hides: {{ fields: status_msg }}",
                rooms.replace("'@joe:one.org']", "'@joe:one.org'], encrypted: true")
            ),
            "the policy hides nothing of `@ann:one.org` from `@joe:one.org`, but the test expects `status_msg`: no hide rule matches: rule `less` (line 12) requires that they share a room that is not encrypted, but they share `!a`, which is encrypted",
        ),
    ] {
        let found = messages(&problems(format!("{GROUPS}tests:\n  - {{ {test} }}\n")));
        assert!(found.ends_with(want), "{test}\n{found}");
    }
}

/// Every pair of 300 users, who are all in 100 rooms.
#[test]
fn many_pairs_in_many_rooms_cost_little() {
    let users: Vec<String> = (0..300).map(|user| format!("'@u{user}:one.org'")).collect();
    let users = users.join(", ");
    let mut text = format!(
        "groups: {{ all: [{users}] }}
rules: [{{ name: x, allow: {{ share_room: {{ at_most: 10, not_counting: '@*-bot:*' }} }} }}]
tests:
  - sender: {{ group: all }}
    not: [{users}]
    given:
      rooms:\n"
    );
    for room in 0..100 {
        let _ = writeln!(text, "        '!{room}': {{ members: [{users}] }}");
    }
    ruleset(&text);
}
