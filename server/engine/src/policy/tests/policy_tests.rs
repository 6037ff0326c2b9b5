//! The policy's own tests: what passes, what each failure says, and every key
//! wrong in every place.

use super::{messages, problems, ruleset};
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

/// The problems of a policy with this test, at line 19, column 5.
#[track_caller]
fn failures(test: &str) -> String {
    problems(format!("{POLICY}tests:\n  - {test}\n"))
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
    const KEYS: &str =
        "`given`, `hides`, `not`, `only`, `reaches`, `recipient`, `room`, `sees`, `sender`";
    const FORMS: &str = "either `sender` with `reaches`, `only` or `not`, or `recipient` with `sees`, `only` or `not`, or `room`";
    const FIELDS: &str = "`currently_active`, `last_active_ts`, `presence`, `status_msg`";
    for (test, want) in [
        ("x", format!("5: expected a test, a map with {FORMS}, found a text")),
        ("{}", format!("5: a test needs {FORMS}")),
        ("{ sender: '@a:b' }", "5: a `sender` needs `reaches`, `only` or `not` beside it".to_owned()),
        ("{ recipient: '@a:b' }", "5: a `recipient` needs `sees`, `only` or `not` beside it".to_owned()),
        (
            "{ sender: '@a:b', recipient: '@a:b', not: [] }",
            "23: a test has either `sender` or `recipient`, not both; make two tests of it\npolicy.yaml:19:47: expected a list of user ids, found an empty one".to_owned(),
        ),
        ("{ sender: '@a:b', sees: '@b:b' }", "23: a `sender` has `reaches`, `only`, `not` and `hides` beside it".to_owned()),
        ("{ recipient: '@a:b', reaches: '@b:b' }", "26: a `recipient` has `sees`, `only`, `not` and `hides` beside it".to_owned()),
        ("{ sendr: '@a:b', not: '@b:b' }", format!("7: unknown key `sendr`; valid here are {KEYS}; did you mean `sender`?")),
        ("{ sender: a, not: '@b:b' }", "15: `a` is not a set: write a user id such as `@bob:example.org`, `everyone`, or `{ group: a }`".to_owned()),
        ("{ sender: '@a', not: '@b:b' }", "15: `@a` is not a user id: the `:` and the server name after the localpart are missing".to_owned()),
        ("{ sender: 7, not: '@b:b' }", "15: expected a set, found a number".to_owned()),
        ("{ sender: [], not: '@b:b' }", "15: test fails: `sender` contains no users, so that nothing is tested".to_owned()),
        ("{ sender: { group: bord }, not: '@b:b' }", "24: group `bord` is not declared; did you mean `board`?".to_owned()),
        ("{ recipient: [{ groop: board }], not: '@b:b' }", "21: unknown key `groop`; valid here are `all_of`, `any`, `except`, `group`, `match`, `members_file`, `server`; did you mean `group`?".to_owned()),
        (
            "{ sender: '@a:b', reaches: '@b:b', only: [] }",
            "40: `only` stands in place of `reaches`: it names all of them".to_owned(),
        ),
        ("{ sender: '@a:b', only: 7 }", "29: expected a list of user ids, found a number".to_owned()),
        (
            "{ recipient: '@a:b', not: '@b:b', hides: { fields: [] } }",
            "39: `hides` needs `sees` or `only` beside it, the pairs that it is about".to_owned(),
        ),
        (
            "{ sender: '@a:b', only: '@b:b', hides: status_msg }",
            "44: expected a map with `fields`, and `unless` or not, or a list of them, found a text".to_owned(),
        ),
        (
            "{ sender: '@a:b', only: '@b:b', hides: [] }",
            "44: expected a map with `fields`, and `unless` or not, or a list of them, found a list".to_owned(),
        ),
        (
            "{ sender: '@a:b', only: '@b:b', hides: [presence] }",
            "45: expected a map with `fields`, and `unless` or not, found a text".to_owned(),
        ),
        (
            "{ sender: '@a:b', only: '@b:b', hides: {} }",
            format!("44: `hides` needs `fields`, some of {FIELDS}, or `[]` if nothing is hidden"),
        ),
        (
            "{ sender: '@a:b', only: '@b:b', hides: { fields: presnce } }",
            format!("54: unknown field `presnce`; valid here are {FIELDS}; did you mean `presence`?"),
        ),
        (
            "{ sender: '@a:b', only: '@b:b', hides: { fields: presence, unless: { presence: [] } } }",
            "84: expected a list of presence values, found an empty one".to_owned(),
        ),
        ("{ sender: '@a:b', not: 7 }", "28: expected a list of user ids, found a number".to_owned()),
        ("{ sender: '@a:b', not: ['@b'] }", "29: `@b` is not a user id: the `:` and the server name after the localpart are missing".to_owned()),
        ("{ given: [], sender: '@a:b', not: '@b:b' }", "14: expected a map with `groups`, found a list".to_owned()),
        ("{ given: {}, sender: '@a:b', not: '@b:b' }", "14: `given` needs `groups`".to_owned()),
        (
            "{ given: { subscriptions: [] }, sender: '@a:b', not: '@b:b' }",
            "16: unknown key `subscriptions`: not supported by this version; valid here are `groups`".to_owned(),
        ),
        ("{ given: { groups: [] }, sender: '@a:b', not: '@b:b' }", "24: expected a map of group names and user ids, found a list".to_owned()),
        ("{ given: { groups: { sales: x } }, sender: '@a:b', not: '@b:b' }", "33: `x` is not a user id: the first character is not `@`".to_owned()),
        (
            "{ given: { groups: { sales: [], sales: [] } }, sender: '@a:b', not: '@b:b' }",
            "37: group `sales` is given twice".to_owned(),
        ),
        (
            "{ given: { groups: { slaes: [] } }, sender: '@a:b', not: '@b:b' }",
            "26: group `slaes` is not declared; did you mean `sales`?".to_owned(),
        ),
        (
            "{ given: { groups: { board: [] } }, sender: '@a:b', not: '@b:b' }",
            "26: group `board` has its members from the policy, in line 4; `given` is for groups of `directory: true`".to_owned(),
        ),
    ] {
        assert_eq!(failures(test), format!("policy.yaml:19:{want}"), "{test}");
    }
    assert_eq!(
        problems("rules: []\ntests: {}\n"),
        "policy.yaml:2:8: expected a list of tests, found a map"
    );
}

#[test]
fn a_file_of_tests_is_one_of_its_own() {
    let policy = Policy::parse("policy.yaml", POLICY.as_bytes()).unwrap();
    let run = |text: &str| {
        policy.run_test_file("t.yaml", text.as_bytes()).map_err(|problems| messages(&problems))
    };
    assert_eq!(run("tests:\n  - { sender: '@a:b', reaches: '@joe:one.org' }\n"), Ok(1));
    assert_eq!(run("tests: []\n"), Ok(0));
    for (text, want) in [
        ("[]\n", "t.yaml:1:1: expected a map with `tests`, found a list"),
        ("{}\n", "t.yaml:1:1: a file of tests needs `tests`"),
        (
            "test: []\n",
            "t.yaml:1:1: unknown key `test`; valid here are `tests`; did you mean `tests`?",
        ),
        ("tests: [x", "t.yaml:1:8: not YAML: unclosed bracket '['"),
        ("rules: []\n", "t.yaml:1:1: unknown key `rules`; valid here are `tests`"),
        (
            "tests: [{ given: { groups: { sale: [] } }, sender: '@a:b', not: '@b:b' }]\n",
            "t.yaml:1:30: group `sale` is not declared; did you mean `sales`?",
        ),
        (
            "tests:\n  - { sender: '@cleo:one.org', reaches: '@joe:one.org' }\n",
            "t.yaml:2:41: test fails: `@cleo:one.org` does not reach `@joe:one.org`: denied by rule `the board stays private` (line 10 of the policy)",
        ),
    ] {
        assert_eq!(run(text), Err(want.to_owned()), "{text}");
    }
}
