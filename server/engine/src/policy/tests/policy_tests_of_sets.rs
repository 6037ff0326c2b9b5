//! The policy's own tests about sets, about all listed users, and about hidden fields.

use super::{assert_codes, assert_problems, messages, problems, ruleset};
use crate::policy::{NoFiles, Policy};

const POLICY: &str = r#"
groups:
  staff: ["@ann:one.org", "@joe:one.org", { group: sales }]
  sales: { directory: true }
  partners: { server: [two.org, "two.org:*"] }
  tested: { any: { group: staff }, except: "@joe:one.org" }
rules:
  - name: staff see each other
    allow: { within: staff }
  - name: partners see the staff
    allow: { from: { group: staff }, to: [{ group: partners }, "@pat:two.org"] }
  - name: no status for partners
    hide: { from: everyone, to: { group: partners }, fields: status_msg, unless: { presence: [busy, online] } }
  - name: less of joe
    hide: { from: "@joe:one.org", to: { server: two.org }, fields: [status_msg, last_active_ts], unless: { presence: busy } }
  - name: later
    shadow: true
    hide: { from: everyone, to: everyone, fields: presence }
"#;

fn with(test: &str) -> String {
    format!("{POLICY}tests:\n  - {test}\n")
}

/// The problems of a policy with a test that begins in line 20.
#[track_caller]
fn failures(test: &str) -> String {
    messages(&problems(with(test)))
}

#[test]
fn tests_of_sets_pass_if_they_hold_for_every_member() {
    for test in [
        "{ sender: { group: staff }, reaches: '@ann:one.org', not: '@eve:evil.org' }",
        "{ sender: [{ group: staff }, '@joe:one.org'], reaches: ['@joe:one.org', '@any:two.org'] }",
        "{ recipient: { all_of: [everyone, { match: '@a*:*' }, { group: staff }] }, sees: '@joe:one.org' }",
        "{ recipient: { group: tested }, sees: '@joe:one.org', not: '@joe:two.org' }",
        "{ recipient: { any: { group: staff }, except: { match: '@a*:*' } }, sees: '@ann:one.org', not: '@joe:one.org' }",
        "{ given: { groups: { sales: '@sue:one.org' } }, sender: { group: sales }, reaches: ['@ann:one.org', '@sue:one.org'] }",
        "{ recipient: '@old*:one.org', not: '@joe:one.org' }",
        // `only` lists every listed user of the audience, including members of the subject.
        "{ sender: '@ann:one.org', only: ['@joe:one.org', '@pat:two.org'] }",
        "{ sender: { group: staff }, only: ['@ann:one.org', '@joe:one.org', '@pat:two.org'], not: '@x:one.org' }",
        "{ sender: { group: staff }, only: ['@ann:one.org', '@joe:one.org', '@pat:two.org', '@unlisted:two.org'] }",
        "{ recipient: '@pat:two.org', only: ['@ann:one.org', '@joe:one.org'] }",
        "{ sender: '@pat:two.org', only: [] }",
        "{ sender: '@eve:evil.org', only: [], not: '@pat:two.org' }",
        "{ given: { groups: { sales: '@sue:one.org' } }, sender: '@joe:one.org', only: ['@ann:one.org', '@sue:one.org', '@pat:two.org'] }",
        // Hidden fields of several rules add up.
        "{ sender: '@ann:one.org', reaches: '@joe:one.org', hides: { fields: [] } }",
        "{ sender: '@ann:one.org', reaches: ['@pat:two.org', '@x:two.org:8448'], hides: { fields: status_msg, unless: { presence: [online, busy] } } }",
        "{ sender: '@joe:one.org', reaches: '@pat:two.org', hides: { fields: [last_active_ts, status_msg], unless: { presence: busy } } }",
        "{ recipient: '@pat:two.org', sees: '@joe:one.org', hides: [{ fields: status_msg, unless: { presence: busy } }, { fields: last_active_ts, unless: { presence: busy } }] }",
        "{ recipient: '@pat:two.org:8448', sees: ['@joe:one.org', '@ann:one.org'], hides: { fields: status_msg, unless: { presence: [busy, online] } } }",
        "{ recipient: { group: staff }, only: ['@ann:one.org', '@joe:one.org'], hides: { fields: [] } }",
    ] {
        ruleset(&with(test));
    }
}

#[test]
fn a_failure_names_a_member_and_says_why() {
    let allowed = "allowed by rule `partners see the staff` (line 10)";
    let no_status = "rule `no status for partners` (line 12)";
    for (test, want) in [
        (
            "{ sender: { group: staff }, reaches: ['@ann:one.org', '@eve:evil.org'] }",
            "59: test fails: `@ann:one.org` and 1 more of `sender` do not reach `@eve:evil.org`: no allow rule matches".to_owned(),
        ),
        (
            "{ recipient: [{ group: staff }, '@eve:evil.org'], sees: '@ann:one.org' }",
            "61: test fails: `@eve:evil.org` does not see `@ann:one.org`: no allow rule matches".to_owned(),
        ),
        (
            "{ sender: { group: staff }, not: '@pat:two.org' }",
            format!("38: test fails: `@ann:one.org` and 1 more of `sender` reach `@pat:two.org`: {allowed}"),
        ),
        (
            "{ given: { groups: { sales: [] } }, recipient: { group: sales }, not: '@pat:two.org' }",
            "52: test fails: `recipient` contains no users, so that nothing is tested; give members by `given`, or name a user".to_owned(),
        ),
        (
            "{ sender: '@ann:one.org', only: '@pat:two.org' }",
            "37: test fails: `@ann:one.org` reaches `@joe:one.org`, who is not in `only`: allowed by rule `staff see each other` (line 8)".to_owned(),
        ),
        (
            "{ sender: { group: staff }, only: [] }",
            "39: test fails: `@ann:one.org` and 1 more of `sender` reach `@joe:one.org` and 1 more listed user, who are not in `only`: allowed by rule `staff see each other` (line 8)".to_owned(),
        ),
        (
            "{ recipient: '@joe:one.org', only: ['@ann:one.org', '@pat:two.org'] }",
            "57: test fails: `@joe:one.org` does not see `@pat:two.org`: no allow rule matches".to_owned(),
        ),
        (
            "{ sender: '@ann:one.org', only: ['@ann:one.org', '@joe:one.org', '@pat:two.org'] }",
            "38: test fails: `@ann:one.org` does not reach `@ann:one.org`: rules do not apply to a user's own presence".to_owned(),
        ),
        (
            "{ sender: '@ann:one.org', reaches: ['@joe:one.org', '@pat:two.org'], hides: { fields: [] } }",
            format!("81: test fails: the policy hides `status_msg` (unless `busy`, `online`) of `@ann:one.org` from `@pat:two.org`, but the test expects nothing: hidden by {no_status}"),
        ),
        (
            "{ sender: '@ann:one.org', reaches: '@joe:one.org', hides: { fields: [presence, status_msg] } }",
            "63: test fails: the policy hides nothing of `@ann:one.org` from `@joe:one.org`, but the test expects `presence`, `status_msg`: no hide rule matches".to_owned(),
        ),
        (
            "{ sender: '@ann:one.org', reaches: '@pat:two.org', hides: { fields: status_msg } }",
            format!("63: test fails: the policy hides `status_msg` (unless `busy`, `online`) of `@ann:one.org` from `@pat:two.org`, but the test expects `status_msg`: hidden by {no_status}"),
        ),
        (
            "{ recipient: '@pat:two.org', only: ['@joe:one.org', '@ann:one.org'], hides: { fields: status_msg, unless: { presence: [busy, online] } } }",
            format!("81: test fails: the policy hides `last_active_ts` (unless `busy`), `status_msg` (unless `busy`) of `@joe:one.org` from `@pat:two.org`, but the test expects `status_msg` (unless `busy`, `online`): hidden by {no_status} and rule `less of joe` (line 14)"),
        ),
        (
            "{ given: { groups: { sales: '@sue:one.org' } }, sender: { group: staff }, reaches: '@x:two.org:8448', hides: { fields: [] } }",
            format!("114: test fails: the policy hides `status_msg` (unless `busy`, `online`) of `@ann:one.org` from `@x:two.org:8448`, but the test expects nothing (and 2 more of `sender` fail): hidden by {no_status}"),
        ),
    ] {
        assert_eq!(failures(test), format!("policy.yaml:20:{want}"), "{test}");
    }
}

#[test]
fn an_open_set_is_no_subject() {
    for (test, column) in [
        ("{ sender: everyone, not: '@a:b' }", 15),
        ("{ sender: { group: partners }, not: '@a:b' }", 15),
        ("{ sender: ['@a:b', [{ server: '*' }]], not: '@a:b' }", 15),
        ("{ recipient: { match: '@a:*' }, not: '@a:b' }", 18),
        ("{ recipient: { any: { group: partners }, except: everyone }, not: '@a:b' }", 18),
        ("{ recipient: { all_of: [everyone, { server: a.b }] }, not: '@a:b' }", 18),
    ] {
        let key = if column == 15 { "sender" } else { "recipient" };
        assert_problems(with(test), &format!("20:{column} open-test-subject {key}"));
    }
    // The problem appears beside others, also in a separate file of tests.
    let policy =
        Policy::parse("policy.yaml", with("{ sender: '@a:b', not: '@b:b' }").as_bytes()).unwrap();
    let text = "tests: [{ sender: everyone, not: '@a:b' }, { sender: { group: partner }, not: '@a:b' }, { recipient: { group: staff }, sees: '@x:y' }]";
    assert_codes(
        &policy.run_test_file("t.yaml", text.as_bytes()).unwrap_err().list,
        "1:19 open-test-subject sender\n1:63 unknown-group partner",
        text,
    );
}

/// A test of a long list ends, and a test of too many pairs does not start.
#[test]
fn a_test_has_an_end() {
    let policy = |users: usize, test: &str| {
        let all: Vec<String> = (0..users).map(|user| format!("'@u{user}:one.org'")).collect();
        format!(
            "groups: {{ all: [{}] }}\nrules: [{{ name: x, allow: {{ from: {{ group: all }}, to: '@bob:one.org' }} }}]\ntests:\n  - {test}\n",
            all.join(", ")
        )
    };
    let reaches = "{ sender: { group: all }, reaches: '@bob:one.org', hides: { fields: [] } }";
    ruleset(&policy(20_000, reaches));
    let everybody: Vec<String> = (0..1_001).map(|user| format!("'@u{user}:one.org'")).collect();
    let test = format!("{{ sender: {{ group: all }}, not: [{}] }}", everybody.join(", "));
    assert_problems(policy(1_001, &test), "4:15 test-too-large sender");
}

#[test]
fn a_group_that_only_tests_use_is_used() {
    let policy = |group: &str| {
        let text = format!(
            "groups: {{ board: ['@cleo:one.org'] }}\nrules: []\ntests:\n  - {{ sender: {group}, only: [] }}\n"
        );
        let policy = Policy::load("policy.yaml", text.as_bytes(), &NoFiles).unwrap();
        policy.warnings
    };
    assert_codes(&policy("{ group: board }"), "", "");
    assert_codes(&policy("'@cleo:one.org'"), "1:11 unused-group board", "");
}
