//! The code and the position of each mistake that a person can make in a policy.

use super::{assert_problems, group, problems, ruleset};
use crate::routing::model::ruleset::Ruleset;

#[track_caller]
fn check(table: &[(&str, &str)]) {
    for (text, want) in table {
        assert_problems(text, want);
    }
}

#[track_caller]
fn check_sets(table: &[(&str, &str)]) {
    for (set, want) in table {
        assert_problems(group(set), &format!("2:{want}"));
    }
}

#[test]
fn refuses_what_is_not_one_yaml_document() {
    let empty = "0:0 empty-file";
    check(&[
        ("", empty),
        ("# nothing\n", empty),
        ("---\n", empty),
        ("null\n", empty),
        ("\u{feff}", empty),
        ("rules: []\n---\nrules: []\n", "3:1 second-document"),
        ("groups:\n  a: [\"@ann:exam", "2:7 not-yaml"),
        ("groups:\n  a: [\"@ann:example.org\",", "2:6 not-yaml"),
        ("rules:\n  - name: x\n    allow: { fr", "3:12 not-yaml"),
        ("rules:\n\t- name: x\n", "2:2 not-yaml"),
        ("a: \u{7}\n", r"1:4 not-yaml"),
        ("rules: !rule []\n", "1:14 not-yaml"),
        ("rules: !!int x\n", "1:14 wrong-tag"),
        ("a: &x [*x]\n", "1:8 recursive-alias"),
        ("<<: { rules: [] }\n", "1:1 merge-key"),
        ("groups:\n  a: @ann:example.org\n", "2:6 not-yaml"),
        ("groups:\n  a: { server: *.example.org }\n", "2:16 unknown-alias"),
    ]);
}

#[test]
fn says_where_a_text_stops_being_utf8() {
    let text = b"# \xc3\xa9\nrules: [ \xff ]\n";
    assert_problems(text, "2:10 not-utf8");
    assert_problems(b"\xc3", "1:1 not-utf8");
    assert!(problems(text).list[0].message.ends_with(": the byte 0xff at offset 14"));
}

#[test]
fn a_byte_order_mark_moves_nothing() {
    assert_eq!(ruleset("\u{feff}rules: []\n"), Ruleset::default());
    assert_problems("\u{feff}rules: 1\n", "1:8 wrong-type");
}

#[test]
fn checks_the_top_level() {
    check(&[
        ("[]\n", "1:1 wrong-type"),
        ("groups: {}\n", "1:1 missing-key rules"),
        ("rules:\n", "1:6 wrong-type"),
        ("rules: {}\n", "1:8 wrong-type"),
        ("rules: yes\n", "1:8 wrong-type"),
        ("rules: .inf\n", "1:8 wrong-type"),
        ("rules: []\ngroups: []\n", "2:9 wrong-type"),
        ("rules: []\nrules: []\n", "2:1 duplicate-key rules"),
        ("ruels: []\n", "1:1 unknown-key ruels"),
        (
            "rules: []\n1: x\n? [a]\n: y\n",
            "2:1 wrong-type\n\
             3:3 wrong-type",
        ),
    ]);
}

#[test]
fn checks_the_names_of_groups() {
    for (key, want) in [
        ("''", "empty-text"),
        ("' '", "empty-text"),
        ("2024", "wrong-type"),
        ("null", "wrong-type"),
        ("team/*", "unexpected-glob team/*"),
        (r#""a\e""#, r#"control-character "a\u001b""#),
    ] {
        let text = format!("groups:\n  {key}: everyone\nrules: []\n");
        assert_problems(text, &format!("2:3 {want}"));
    }
    check(&[("groups:\n  a: everyone\n  b: []\n  a: []\nrules: []\n", "4:3 duplicate-group a")]);
}

#[test]
fn checks_rules() {
    check(&[
        ("rules: [x]\n", "1:9 wrong-type"),
        ("rules:\n  - allow: { from: [], to: [] }\n", "2:5 missing-key name"),
        ("rules:\n  - name: ''\n    deny: { from: [], to: [] }\n", "2:11 empty-text"),
        ("rules:\n  - name: 7\n    deny: { from: [], to: [] }\n", "2:11 wrong-type"),
        (
            "rules:\n  - { name: x, deny: { from: [], to: [] } }\n  - { name: x, deny: { from: [], to: [] } }\n",
            "3:13 duplicate-rule x",
        ),
        ("rules:\n  - name: x\n", "2:5 missing-key allow deny hide"),
        (
            "rules:\n  - name: x\n    deny: { from: [], to: [] }\n    allow: { from: [], to: [] }\n",
            "4:5 conflicting-keys",
        ),
        (
            "rules:\n  - name: x\n    alow: { from: 1, to: [] }\n",
            "3:5 unknown-key alow\n\
             3:19 wrong-type",
        ),
        ("rules:\n  - name: x\n    subscriptions: true\n", "3:5 unknown-key subscriptions"),
    ]);
}

#[test]
fn checks_the_pairs_of_a_rule() {
    for (text, want) in [
        ("", "9 wrong-type"),
        ("everyone", "11 wrong-type"),
        ("{}", "11 missing-key deny"),
        ("{ from: everyone }", "13 missing-key from to"),
        ("{ to: everyone }", "13 missing-key to from"),
        (
            "{ to: everyone, within: a }",
            "13 conflicting-keys within from to\n3:35 unmatched-within a",
        ),
        ("{ within: [] }", "21 wrong-type"),
        ("{ within: '' }", "21 empty-text"),
        ("{ subscriptions: true }", "13 unknown-key subscriptions"),
    ] {
        let text = format!("rules:\n  - name: x\n    deny: {text}\n");
        assert_problems(text, &format!("3:{want}"));
    }
}

#[test]
fn checks_sets() {
    check_sets(&[
        ("", "4 wrong-type"),
        ("1", "6 wrong-type"),
        ("true", "6 wrong-type"),
        ("bob", "6 not-a-set bob"),
        ("'@bob'", "6 not-a-user-id"),
        (r#""@\e[31m:under_score""#, r#"6 not-a-user-id "@\u001b[31m:under_score" _"#),
        ("'@a:https://a.gov'", "6 not-a-user-id"),
        ("{ server: 'https://*.gov' }", "16 glob-cannot-match"),
        ("{ server: 'https://a.gov' }", "16 glob-cannot-match"),
        ("'@*-bot:example.org'", "6 unexpected-glob"),
        ("{}", "6 missing-key server any except"),
        ("{ server: a.example, match: '@a:*' }", "6 conflicting-keys"),
        ("{ sever: a.example }", "8 unknown-key sever"),
        ("[{ directory: true }]", "9 unknown-key directory"),
        ("{ any: everyone }", "8 missing-key any except"),
        ("{ except: everyone }", "8 missing-key except any"),
        ("{ all_of: 3 }", "16 wrong-type"),
        ("{ all_of: [] }", "16 empty-list"),
        ("{ group: [b] }", "15 wrong-type"),
        ("{ group: team/* }", "15 unexpected-glob"),
    ]);
}

#[test]
fn checks_globs() {
    let long = format!("{{ server: '{}*' }}", "a".repeat(254));
    check_sets(&[
        ("{ server: [] }", "16 empty-list"),
        ("{ server: 7 }", "16 wrong-type"),
        ("{ server: '' }", "16 glob-cannot-match"),
        ("{ server: '*.a_b' }", "16 glob-cannot-match"),
        ("{ server: [a.example, 'a/b'] }", "28 glob-cannot-match"),
        ("{ server: 'a.example:' }", "16 glob-cannot-match"),
        (&long, "16 glob-cannot-match"),
        ("{ match: [] }", "15 empty-list"),
        ("{ match: '@*' }", "15 not-a-pattern"),
        ("{ match: 'bot:*' }", "15 glob-cannot-match"),
        ("{ match: '@bot:' }", "15 glob-cannot-match"),
        ("{ match: '@bot:a b*' }", "15 glob-cannot-match"),
    ]);
}

#[test]
fn checks_that_groups_are_declared() {
    check(&[
        ("rules:\n  - { name: x, deny: { from: { group: a }, to: [] } }\n", "2:39 unknown-group a"),
        (
            "groups:\n  board: []\n  all: [{ group: baord }, { group: zebras }]\nrules: []\n",
            "3:18 unknown-group baord\n\
             3:36 unknown-group zebras",
        ),
        (
            "groups:\n  board: []\nrules:\n  - { name: x, deny: { within: boards } }\n  - { name: y, deny: { within: team/* } }\n",
            "4:32 unmatched-within boards\n\
             5:32 unmatched-within team/*",
        ),
        ("rules:\n  - { name: x, deny: { within: team/* } }\n", "2:32 unmatched-within team/*"),
    ]);
}

#[test]
fn names_every_cycle_of_groups() {
    check(&[(
        "groups:\n  a: { group: b }\n  b: [{ group: a }, { group: c }]\n  c: { any: everyone, except: { group: c } }\nrules: []\n",
        "2:3 group-cycle a b\n\
         4:3 group-cycle c",
    )]);
}

#[test]
fn reports_all_problems_in_their_order() {
    check(&[(
        "\
groups:
  staff: [bob, { group: teem }, { sever: x_y }]
  team: { any: everyone }
  '': everyone
rules:
  - name: one
    allow: { from: staff, to: '@nobody' }
  - name: one
    deny: { within: [x] }
  - alow: { from: everyone }
extra: 1
",
        "2:11 not-a-set bob\n\
         2:25 unknown-group teem\n\
         2:35 unknown-key sever\n\
         2:42 glob-cannot-match\n\
         3:11 missing-key any except\n\
         4:3 empty-text\n\
         7:20 not-a-set staff\n\
         7:31 not-a-user-id\n\
         8:11 duplicate-rule one\n\
         9:21 wrong-type\n\
         10:5 unknown-key alow\n\
         10:5 missing-key name\n\
         10:13 missing-key from to\n\
         11:1 unknown-key extra",
    )]);
}
