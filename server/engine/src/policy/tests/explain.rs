//! Explanations of a pair: rules that match both sides or one side, and the path by which
//! each side matches. The random worlds test the verdict itself.

use std::fmt::Write as _;

use crate::policy::Policy;
use crate::policy::analyse::explain::{Explanation, PathStep, StepKind, explain as explain_pair};
use crate::routing::engine::{Edit, Engine};
use crate::routing::snapshot::Snapshot;
use presence_router_ids::UserId;

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
