//! The policy's own tests: passing tests, the message of each failure, and the mistakes in
//! each key.

use super::{assert_codes, assert_problems, messages, problems, ruleset};
use crate::policy::Policy;

const POLICY: &str = r#"
groups:
  sales: { directory: true }
  board: ["@cleo:one.org"]
rules:
  - name: sales see each other
    allow: { within: sales }
  - name: joe sees everyone
    allow: { from: everyone, to: "@joe:one.org" }
  - name: the board stays private
    deny: { from: { group: board }, to: everyone }
  - name: later
    shadow: true
    allow: { from: everyone, to: "@new:one.org" }
  - name: joe sees less
    shadow: true
    deny: { from: "@ann:one.org", to: "@joe:one.org" }
"#;

/// The problems of a policy with a test at line 19, column 5.
#[track_caller]
fn failures(test: &str) -> String {
    messages(&problems(format!("{POLICY}tests:\n  - {test}\n")))
}

#[test]
fn tests_that_hold_pass() {
    ruleset(&format!(
        "{POLICY}tests:
  - sender: '@ann:one.org'
    reaches: '@joe:one.org'
    not: ['@ann:one.org', '@sue:one.org', '@new:one.org', '@cleo:one.org']
  - recipient: '@sue:one.org'
    not: ['@sam:one.org']
  - given: {{ groups: {{ sales: ['@sam:one.org', '@sue:one.org', '@cleo:one.org'] }} }}
    recipient: '@sue:one.org'
    sees: ['@sam:one.org']
    not: ['@cleo:one.org', '@ann:one.org']
  - given: {{ groups: {{ sales: [] }} }}
    recipient: '@sue:one.org'
    not: ['@sam:one.org']
  - sender: '@far:away.example'
    reaches: ['@joe:one.org']
"
    ));
}

#[test]
fn a_failure_says_why() {
    for (test, want) in [
        (
            "{ sender: '@ann:one.org', reaches: '@sue:one.org' }",
            "40: test fails: `@ann:one.org` does not reach `@sue:one.org`: no allow rule matches",
        ),
        (
            "{ sender: '@cleo:one.org', reaches: ['@joe:one.org'] }",
            "42: test fails: `@cleo:one.org` does not reach `@joe:one.org`: denied by rule `the board stays private` (line 10)",
        ),
        (
            "{ recipient: '@ann:one.org', sees: '@cleo:one.org' }",
            "40: test fails: `@ann:one.org` does not see `@cleo:one.org`: no allow rule matches, and the pair is denied by rule `the board stays private` (line 10)",
        ),
        (
            "{ recipient: '@joe:one.org', not: ['@ann:one.org'] }",
            "40: test fails: `@joe:one.org` sees `@ann:one.org`: allowed by rule `joe sees everyone` (line 8); rule `joe sees less` (line 15) matches, in shadow only",
        ),
        (
            "{ sender: '@ann:one.org', reaches: ['@new:one.org'] }",
            "41: test fails: `@ann:one.org` does not reach `@new:one.org`: no allow rule matches; rule `later` (line 12) matches, in shadow only",
        ),
        (
            "{ sender: '@ann:one.org', reaches: ['@ann:one.org'] }",
            "41: test fails: `@ann:one.org` does not reach `@ann:one.org`: rules do not apply to a user's own presence",
        ),
        (
            "{ given: { groups: { sales: ['@sam:one.org', '@joe:one.org'] } }, sender: '@sam:one.org', not: '@joe:one.org' }",
            "100: test fails: `@sam:one.org` reaches `@joe:one.org`: allowed by rule `sales see each other` (line 6) and rule `joe sees everyone` (line 8)",
        ),
    ] {
        assert_eq!(failures(test), format!("policy.yaml:19:{want}"), "{test}");
    }
}

#[test]
fn checks_tests() {
    for (test, want) in [
        ("x", "5 wrong-type"),
        ("{}", "5 missing-key sender"),
        ("{ sender: '@a:b' }", "5 missing-key sender reaches"),
        ("{ recipient: '@a:b' }", "5 missing-key recipient sees"),
        (
            "{ sender: '@a:b', recipient: '@a:b', not: [] }",
            "23 conflicting-keys sender recipient\n19:47 empty-list",
        ),
        ("{ sender: '@a:b', sees: '@b:b' }", "23 conflicting-keys sees sender"),
        ("{ recipient: '@a:b', reaches: '@b:b' }", "26 conflicting-keys reaches recipient"),
        ("{ sendr: '@a:b', not: '@b:b' }", "7 unknown-key sendr"),
        ("{ sender: a, not: '@b:b' }", "15 not-a-set a"),
        ("{ sender: '@a', not: '@b:b' }", "15 not-a-user-id"),
        ("{ sender: 7, not: '@b:b' }", "15 wrong-type"),
        ("{ sender: [], not: '@b:b' }", "15 empty-test-subject sender"),
        ("{ sender: { group: bord }, not: '@b:b' }", "24 unknown-group bord"),
        ("{ recipient: [{ groop: board }], not: '@b:b' }", "21 unknown-key groop"),
        ("{ sender: '@a:b', reaches: '@b:b', only: [] }", "40 conflicting-keys only reaches"),
        ("{ sender: '@a:b', only: 7 }", "29 wrong-type"),
        ("{ recipient: '@a:b', not: '@b:b', hides: { fields: [] } }", "39 missing-key hides sees"),
        ("{ sender: '@a:b', only: '@b:b', hides: status_msg }", "44 wrong-type"),
        ("{ sender: '@a:b', only: '@b:b', hides: [] }", "44 wrong-type"),
        ("{ sender: '@a:b', only: '@b:b', hides: [presence] }", "45 wrong-type"),
        ("{ sender: '@a:b', only: '@b:b', hides: {} }", "44 missing-key hides fields"),
        (
            "{ sender: '@a:b', only: '@b:b', hides: { fields: presnce } }",
            "54 unknown-value presnce",
        ),
        (
            "{ sender: '@a:b', only: '@b:b', hides: { fields: presence, unless: { presence: [] } } }",
            "84 empty-list",
        ),
        ("{ sender: '@a:b', not: 7 }", "28 wrong-type"),
        ("{ sender: '@a:b', not: ['@b'] }", "29 not-a-user-id"),
        ("{ given: [], sender: '@a:b', not: '@b:b' }", "14 wrong-type"),
        ("{ given: {}, sender: '@a:b', not: '@b:b' }", "14 missing-key given groups rooms"),
        (
            "{ given: { subscriptions: [] }, sender: '@a:b', not: '@b:b' }",
            "16 unknown-key subscriptions",
        ),
        ("{ given: { groups: [] }, sender: '@a:b', not: '@b:b' }", "24 wrong-type"),
        ("{ given: { groups: { sales: x } }, sender: '@a:b', not: '@b:b' }", "33 not-a-user-id"),
        (
            "{ given: { groups: { sales: [], sales: [] } }, sender: '@a:b', not: '@b:b' }",
            "37 duplicate-value sales",
        ),
        (
            "{ given: { groups: { slaes: [] } }, sender: '@a:b', not: '@b:b' }",
            "26 unknown-group slaes",
        ),
        (
            "{ given: { groups: { board: [] } }, sender: '@a:b', not: '@b:b' }",
            "26 given-listed-group board",
        ),
    ] {
        assert_problems(format!("{POLICY}tests:\n  - {test}\n"), &format!("19:{want}"));
    }
    assert_problems("rules: []\ntests: {}\n", "2:8 wrong-type");
}

#[test]
fn a_file_of_tests_is_one_of_its_own() {
    let policy = Policy::parse("policy.yaml", POLICY.as_bytes()).unwrap();
    let run = |text: &str| policy.run_test_file("t.yaml", text.as_bytes());
    assert_eq!(run("tests:\n  - { sender: '@a:b', reaches: '@joe:one.org' }\n"), Ok(1));
    assert_eq!(run("tests: []\n"), Ok(0));
    for (text, want) in [
        ("[]\n", "1:1 wrong-type"),
        ("{}\n", "1:1 missing-key tests"),
        ("test: []\n", "1:1 unknown-key test"),
        ("tests: [x", "1:8 not-yaml"),
        ("rules: []\n", "1:1 unknown-key rules"),
        (
            "tests: [{ given: { groups: { sale: [] } }, sender: '@a:b', not: '@b:b' }]\n",
            "1:30 unknown-group sale",
        ),
        (
            "tests:\n  - { sender: '@cleo:one.org', reaches: '@joe:one.org' }\n",
            "2:41 test-failed @cleo:one.org @joe:one.org",
        ),
    ] {
        let found = run(text).unwrap_err();
        assert_eq!(found.file, "t.yaml");
        assert_codes(&found.list, want, text);
        assert!(want.contains("2:41") == found.to_string().contains("(line 10 of the policy)"));
    }
}
