//! Explanations of a pair: rules that match both sides or one side, and the path by which
//! each side matches. The random worlds test the verdict itself.

use std::fmt::Write as _;

use crate::policy::Policy;
use crate::policy::analyse::explain::{
    Explanation, PathStep, StepKind, explain as explain_pair, explain_with_rooms,
};
use crate::policy::given_rooms::GivenRooms;
use crate::routing::engine::{Edit, Engine};
use crate::routing::snapshot::Snapshot;
use presence_router_ids::{RoomConditions, UserId};

const POLICY: &str = r#"
groups:
  staff: [{ group: team/helpdesk }, { group: team/sales }]
  team/helpdesk: ["@ann:one.org", "@joe:one.org"]
  team/sales: { directory: true }
  bots: { match: ["@x-*:one.org", "@*-bot:*"] }
  people: { any: { server: [two.org, "*.org"] }, except: [{ group: bots }] }
  both: { all_of: [{ group: staff }, "@ann:one.org"] }
rules:
  - name: teams
    allow: { within: "team/*" }
  - name: one way
    allow: { from: { group: staff }, to: "@new:one.org" }
  - name: people
    shadow: true
    deny: { from: everyone, to: { group: people } }
  - name: both
    hide: { from: { group: both }, to: { group: bots }, fields: [status_msg] }
"#;

fn policy() -> Policy {
    Policy::parse("policy.yaml", POLICY.as_bytes()).unwrap_or_else(|e| panic!("{e}"))
}

fn explain(policy: &Policy, snapshot: &Snapshot, pair: [&str; 2]) -> Explanation {
    let [sender, recipient] = pair.map(|user| UserId::parse(user).unwrap());
    explain_pair(policy, snapshot, sender, recipient)
}

/// A short form of the explanation: one line for each rule.
fn describe(policy: &Policy, explanation: &Explanation) -> String {
    let mut lines = String::new();
    for matched in &explanation.rules {
        let name = &policy.document.rules[matched.rule].name;
        let [from, to] = [&matched.sender, &matched.recipient].map(|way| short(way));
        let pair = if matched.pair { "pair" } else { "side" };
        writeln!(lines, "{name}: {pair}: {from} -> {to}").unwrap();
    }
    lines
}

fn short(way: &[PathStep]) -> String {
    let steps = way.iter().map(|PathStep { depth, kind }| {
        let what = match kind {
            StepKind::Everyone => "everyone".to_owned(),
            StepKind::User(position) => format!("line {}:{}", position.line, position.column),
            StepKind::MembersFile(file, position) => format!("file {file} of {}", position.line),
            StepKind::Server(glob) => format!("server {glob}"),
            StepKind::Match(pattern) => format!("match {pattern}"),
            StepKind::Group(name, position) => format!("{name} of {}", position.line),
            StepKind::Directory(name, position) => format!("directory {name} of {}", position.line),
            StepKind::AllOf => "all".to_owned(),
            StepKind::NotExcepted => "no exception".to_owned(),
        };
        format!("{depth} {what}")
    });
    steps.collect::<Vec<_>>().join(" > ")
}

#[track_caller]
fn check(pair: [&str; 2], reason: &str, rules: &str) {
    let policy = policy();
    let explanation = explain(&policy, &policy.snapshot, pair);
    assert_eq!(describe(&policy, &explanation), rules);
    assert_eq!(explanation.reason(&policy.document, ""), reason);
}

#[test]
fn says_by_which_line_each_side_is_in() {
    check(
        ["@ann:one.org", "@joe:one.org"],
        "allowed by rule `teams` (line 10); rule `people` (line 14) matches, in shadow only",
        "\
teams: pair: 0 team/helpdesk of 4 > 1 line 4:19 -> 0 team/helpdesk of 4 > 1 line 4:35
one way: side: 0 staff of 3 > 1 team/helpdesk of 4 > 2 line 4:19 -> \n\
people: pair: 0 everyone -> 0 people of 7 > 1 no exception > 2 server *.org
both: side: 0 both of 8 > 1 all > 2 staff of 3 > 3 team/helpdesk of 4 > 4 line 4:19 > 2 line 8:38 -> \n",
    );
}

#[test]
fn says_what_matches_one_side_only() {
    check(
        ["@joe:one.org", "@far-bot:away.example"],
        "no allow rule matches",
        "\
teams: side: 0 team/helpdesk of 4 > 1 line 4:35 -> \n\
one way: side: 0 staff of 3 > 1 team/helpdesk of 4 > 2 line 4:35 -> \n\
people: side: 0 everyone -> \n\
both: side:  -> 0 bots of 6 > 1 match @*-bot:*\n",
    );
}

#[test]
fn of_users_whom_nobody_names() {
    check(
        ["@x-y:one.org", "@met:two.org"],
        "no allow rule matches",
        "people: pair: 0 everyone -> 0 people of 7 > 1 no exception > 2 server two.org\n",
    );
}

#[test]
fn of_ones_own_presence() {
    let policy = policy();
    let explanation = explain(&policy, &policy.snapshot, ["@ann:one.org"; 2]);
    assert!(explanation.own && !explanation.visible);
    assert!(explanation.rules[0].pair, "what would match is told all the same");
    assert_eq!(
        explanation.reason(&policy.document, ""),
        "rules do not apply to a user's own presence"
    );
}

#[test]
fn knows_the_directory() {
    let policy = policy();
    let mut engine = Engine::new(&policy.ruleset).unwrap();
    let pair = ["@sam:one.org", "@ann:one.org"];
    assert!(!describe(&policy, &explain(&policy, &engine.snapshot(), pair)).contains("directory"));
    let edits = ["@sam:one.org", "@sue:far.example"]
        .map(|user| Edit::Join { group: "team/sales", user: UserId::parse(user).unwrap() });
    engine.edit(&edits).unwrap();
    // Each of them is in a team, but no team has both.
    let explanation = explain(&policy, &engine.snapshot(), pair);
    assert!(!explanation.visible);
    let teams = "teams: side: 0 directory team/sales of 5 -> 0 team/helpdesk of 4 > 1 line 4:19\n";
    assert!(describe(&policy, &explanation).starts_with(teams), "{explanation:?}");

    let explanation = explain(&policy, &engine.snapshot(), ["@sam:one.org", "@sue:far.example"]);
    assert!(explanation.visible);
    let teams = "teams: pair: 0 directory team/sales of 5 -> 0 directory team/sales of 5\n";
    assert!(describe(&policy, &explanation).starts_with(teams), "{explanation:?}");
}

#[test]
fn follows_a_long_chain_of_groups() {
    let mut text = "groups:\n".to_owned();
    for i in 0..10_000 {
        writeln!(text, "  g{i}: [{{ group: g{} }}]", i + 1).unwrap();
    }
    text.push_str("  g10000: '@a:b'\nrules: [{ name: x, allow: { within: g0 } }]\n");
    let policy = Policy::parse("policy.yaml", text.as_bytes()).unwrap();
    let explanation = explain(&policy, &policy.snapshot, ["@a:b", "@c:d"]);
    assert_eq!(explanation.rules[0].sender.len(), 10_002);
    assert!(explanation.rules[0].recipient.is_empty());
}

const RELATIONS: &str = r#"
rules:
  - name: small
    allow: { to: "@joe:one.org", share_room: { at_most: 3 } }
  - name: encrypted
    allow: { to: "@joe:one.org", share_room: { encrypted: true } }
  - name: staff
    allow: { from: "@ann:one.org", to: "@sue:one.org" }
  - name: not in public
    deny: { to: ["@joe:one.org", "@sue:one.org"], share_room: { join_rule: public } }
  - name: strangers
    allow: { to: "@pat:one.org", share_room: false }
  - name: never
    deny: { from: "@cleo:one.org", to: "@joe:one.org" }
  - name: less
    hide: { to: "@joe:one.org", share_room: true, fields: status_msg }
  - name: later
    shadow: true
    allow: { to: "@new:one.org", share_room: true }
"#;

fn with_relations() -> Policy {
    Policy::parse("policy.yaml", RELATIONS.as_bytes()).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn relations_stay_open_without_rooms() {
    let policy = with_relations();
    for (pair, visible, depends_on_rooms, reason) in [
        (
            ["@ann:one.org", "@joe:one.org"],
            false,
            true,
            "allowed by rule `small` (line 3) if they share a room of at most 3 members, or by rule `encrypted` (line 5) if they share a room that is encrypted, but denied by rule `not in public` (line 9) if they share a room that has the join rule `public`",
        ),
        (
            ["@ann:one.org", "@sue:one.org"],
            false,
            true,
            "allowed by rule `staff` (line 7), but denied by rule `not in public` (line 9) if they share a room that has the join rule `public`",
        ),
        (["@joe:one.org", "@sue:one.org"], false, false, "no allow rule matches"),
        (["@cleo:one.org", "@joe:one.org"], false, false, "denied by rule `never` (line 13)"),
        (
            ["@ann:one.org", "@pat:one.org"],
            false,
            true,
            "allowed by rule `strangers` (line 11) if they share no room",
        ),
        (
            ["@ann:one.org", "@new:one.org"],
            false,
            false,
            "no allow rule matches; rule `later` (line 17) would match if they share a room, but is in shadow",
        ),
    ] {
        let explained = explain(&policy, &policy.snapshot, pair);
        assert_eq!(explained.reason(&policy.document, ""), reason);
        assert_eq!((explained.visible, explained.depends_on_rooms), (visible, depends_on_rooms));
        let [sender, recipient] = pair.map(|user| UserId::parse(user).unwrap());
        let by_routing = policy.snapshot.visible_if(sender, recipient, |_| None);
        assert_eq!(by_routing, (!depends_on_rooms).then_some(visible), "{pair:?}");
    }
    let pair = ["@ann:one.org", "@joe:one.org"];
    assert_eq!(
        explain(&policy, &policy.snapshot, pair).hide_reason(&policy.document, ""),
        "hidden by rule `less` (line 15) if they share a room"
    );
}

#[test]
fn given_rooms_decide() {
    let policy = with_relations();
    let rooms = GivenRooms::parse(
        "rooms.yaml",
        br#"
"!small": { members: ["@ann:one.org", "@joe:one.org"] }
"!big": { members: ["@sam:one.org", "@joe:one.org", "@sue:one.org", "@a:b"], encrypted: false }
"!public": { members: ["@zoe:one.org", "@joe:one.org"], join_rule: public, encrypted: true }
"!partial": { members: ["@ann:one.org", "@pat:one.org"], partial: true }
"!unknown": { members: ["@kim:one.org", "@joe:one.org"], partial: true }
"#,
    );
    let rooms = rooms.unwrap_or_else(|e| panic!("{e}"));
    for (sender, recipient, visible, reason) in [
        ("@ann", "@joe", true, "allowed by rule `small` (line 3; they share `!small`)"),
        (
            "@sam",
            "@joe",
            false,
            "no allow rule matches: rule `small` (line 3) requires that they share a room of at most 3 members, but they share `!big`, which has 4 members; rule `encrypted` (line 5) requires that they share a room that is encrypted, but they share `!big`, which is not encrypted",
        ),
        ("@zoe", "@joe", false, "denied by rule `not in public` (line 9; they share `!public`)"),
        ("@ann", "@sue", true, "allowed by rule `staff` (line 7)"),
        (
            "@ann",
            "@pat",
            false,
            "no allow rule matches: rule `strangers` (line 11) requires that they share no room, but they share `!partial`",
        ),
        ("@joe", "@pat", true, "allowed by rule `strangers` (line 11; they share no room)"),
        (
            "@kim",
            "@joe",
            false,
            "no allow rule matches: rule `small` (line 3) requires that they share a room of at most 3 members, but they share `!unknown`, which has a number of members that the homeserver does not know; rule `encrypted` (line 5) requires that they share a room that is encrypted, but they share `!unknown`, which is not encrypted",
        ),
        (
            "@cleo",
            "@joe",
            false,
            "no allow rule matches, and the pair is denied by rule `never` (line 13)",
        ),
    ] {
        let [sender, recipient] = [sender, recipient].map(|user| format!("{user}:one.org"));
        let [from, to] = [&sender, &recipient].map(|user| UserId::parse(user).unwrap());
        let explained = explain_with_rooms(&policy, &policy.snapshot, &rooms, from, to);
        assert_eq!(explained.reason(&policy.document, ""), reason);
        assert_eq!((explained.visible, explained.depends_on_rooms), (visible, false));
        let share = |conditions: &RoomConditions| rooms.share_room(&sender, &recipient, conditions);
        let by_routing = policy.snapshot.visible_if(from, to, |relation| relation.holds(share));
        assert_eq!(by_routing == Some(true), visible, "{sender} {recipient}");
    }
}

/// A missing fact counts as met in a deny and a hide.
#[test]
fn a_missing_fact_denies_and_hides() {
    let policy = Policy::parse(
        "policy.yaml",
        b"rules:
  - name: room-mates
    allow: { share_room: true }
  - name: not in big rooms
    deny: { to: '@joe:one.org', share_room: { at_least: 9 } }
  - name: less
    hide: { share_room: { at_least: 9 }, fields: presence }
",
    );
    let policy = policy.unwrap_or_else(|e| panic!("{e}"));
    let rooms = b"'!p': { members: ['@ann:a.org', '@joe:one.org', '@sue:one.org'], partial: true }";
    let rooms = GivenRooms::parse("rooms.yaml", rooms).unwrap_or_else(|e| panic!("{e}"));
    let explain = |recipient| {
        let [from, to] = ["@ann:a.org", recipient].map(|user| UserId::parse(user).unwrap());
        let explained = explain_with_rooms(&policy, &policy.snapshot, &rooms, from, to);
        let document = &policy.document;
        (explained.visible, explained.reason(document, ""), explained.hide_reason(document, ""))
    };
    let (visible, reason, _) = explain("@joe:one.org");
    let unknown =
        "they share `!p`, which has a number of members that the homeserver does not know";
    assert_eq!(
        (visible, reason),
        (false, format!("denied by rule `not in big rooms` (line 4; {unknown})"))
    );
    let (visible, reason, hides) = explain("@sue:one.org");
    assert_eq!(
        (visible, reason),
        (true, "allowed by rule `room-mates` (line 2; they share `!p`)".to_owned())
    );
    assert_eq!(hides, format!("hidden by rule `less` (line 6; {unknown})"));
}
