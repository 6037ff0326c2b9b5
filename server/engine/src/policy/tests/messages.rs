//! What each mistake that a person can make is answered with, and where.

use super::{group, problems, ruleset};
use crate::routing::model::ruleset::Ruleset;

/// Compares all messages, one to a line, without the name of the file.
#[track_caller]
fn check(table: &[(&str, &str)]) {
    for (text, want) in table {
        let want: Vec<_> = want.lines().map(|line| format!("policy.yaml:{line}")).collect();
        assert_eq!(problems(text), want.join("\n"), "\n{text}");
    }
}

#[track_caller]
fn check_sets(table: &[(&str, &str)]) {
    for (set, want) in table {
        assert_eq!(problems(group(set)), format!("policy.yaml:2:{want}"), "{set}");
    }
}

#[test]
fn refuses_what_is_not_one_yaml_document() {
    let empty = " the policy is empty; write `rules: []` to show nobody to anybody";
    check(&[
        ("", empty),
        ("# nothing\n", empty),
        ("---\n", empty),
        ("null\n", empty),
        ("\u{feff}", empty),
        ("rules: []\n---\nrules: []\n", "3:1: a second YAML document begins here; a policy is one"),
        ("groups:\n  a: [\"@ann:exam", "2:7: not YAML: unclosed quote"),
        ("groups:\n  a: [\"@ann:example.org\",", "2:6: not YAML: unclosed bracket '['"),
        ("rules:\n  - name: x\n    allow: { fr", "3:12: not YAML: unclosed bracket '{'"),
        (
            "rules:\n\t- name: x\n",
            "2:2: not YAML: tabs disallowed within this context (block indentation)",
        ),
        ("a: \u{7}\n", r"1:4: not YAML: unexpected character: `\u{7}'"),
        ("rules: !rule []\n", "1:14: not YAML: unsupported tag `!rule`"),
        ("rules: !!int x\n", "1:14: this value is not what its tag says"),
        ("a: &x [*x]\n", "1:8: this alias stands inside of what it stands for"),
        (
            "<<: { rules: [] }\n",
            "1:1: merge keys (`<<`) are not supported; declare a group and refer to it",
        ),
        (
            "groups:\n  a: @ann:example.org\n",
            "2:6: not YAML: unexpected character: `@'; put a user id in quotes",
        ),
        (
            "groups:\n  a: { server: *.example.org }\n",
            "2:16: `*` begins an alias, and there is no anchor of its name; put a glob in quotes",
        ),
    ]);
}

#[test]
fn says_where_a_text_stops_being_utf8() {
    let text = b"# \xc3\xa9\nrules: [ \xff ]\n";
    assert_eq!(problems(text), "policy.yaml:2:10: not UTF-8: the byte 0xff at offset 14");
    assert_eq!(problems(b"\xc3"), "policy.yaml:1:1: not UTF-8: the byte 0xc3 at offset 0");
}

#[test]
fn a_byte_order_mark_moves_nothing() {
    assert_eq!(ruleset("\u{feff}rules: []\n"), Ruleset::default());
    assert!(problems("\u{feff}rules: 1\n").starts_with("policy.yaml:1:8: "));
}

#[test]
fn checks_the_top_level() {
    check(&[
        ("[]\n", "1:1: expected a map with `groups` and `rules`, found a list"),
        (
            "groups: {}\n",
            "1:1: a policy needs `rules`; write `rules: []` to show nobody to anybody",
        ),
        (
            "rules:\n",
            "1:6: expected a list of rules, found nothing; write `rules: []` to show nobody to anybody",
        ),
        ("rules: {}\n", "1:8: expected a list of rules, found a map"),
        ("rules: yes\n", "1:8: expected a list of rules, found a text"),
        ("rules: .inf\n", "1:8: expected a list of rules, found a number"),
        ("rules: []\ngroups: []\n", "2:9: expected a map of group names and sets, found a list"),
        ("rules: []\nrules: []\n", "2:1: key `rules` is already given in line 1"),
        (
            "ruels: []\n",
            "1:1: unknown key `ruels`; valid here are `groups`, `inbound`, `local`, `ours`, `outbound`, `rooms`, `rules`, `servers`, `tests`; did you mean `rules`?",
        ),
        (
            "rules: []\n1: x\n? [a]\n: y\n",
            "2:1: expected a key, found a number; valid here are `groups`, `inbound`, `local`, `ours`, `outbound`, `rooms`, `rules`, `servers`, `tests`\n\
             3:3: expected a key, found a list; valid here are `groups`, `inbound`, `local`, `ours`, `outbound`, `rooms`, `rules`, `servers`, `tests`",
        ),
    ]);
}

#[test]
fn checks_the_names_of_groups() {
    let name = |key: &str| problems(format!("groups:\n  {key}: everyone\nrules: []\n"));
    for (key, want) in [
        ("''", "the name of a group is empty"),
        ("' '", "the name of a group is empty"),
        ("2024", "expected the name of a group, found a number; put it in quotes"),
        ("null", "expected the name of a group, found nothing"),
        ("team/*", "`team/*` is not the name of a group: globs are valid in `within` only"),
        (r#""a\e""#, r#"`"a\u001b"` is not the name of a group: it holds a control character"#),
    ] {
        assert_eq!(name(key), format!("policy.yaml:2:3: {want}"));
    }
    check(&[(
        "groups:\n  a: everyone\n  b: []\n  a: []\nrules: []\n",
        "4:3: group `a` is already declared in line 2",
    )]);
}

#[test]
fn checks_rules() {
    check(&[
        (
            "rules: [x]\n",
            "1:9: expected a rule, a map with `name` and `allow`, `deny` or `hide`, found a text",
        ),
        ("rules:\n  - allow: { from: [], to: [] }\n", "2:5: a rule needs a `name`"),
        (
            "rules:\n  - name: ''\n    deny: { from: [], to: [] }\n",
            "2:11: the name of a rule is empty",
        ),
        (
            "rules:\n  - name: 7\n    deny: { from: [], to: [] }\n",
            "2:11: expected the name of a rule, found a number; put it in quotes",
        ),
        (
            "rules:\n  - { name: x, deny: { from: [], to: [] } }\n  - { name: x, deny: { from: [], to: [] } }\n",
            "3:13: there is already a rule `x` in line 2",
        ),
        ("rules:\n  - name: x\n", "2:5: a rule needs one of `allow`, `deny` and `hide`"),
        (
            "rules:\n  - name: x\n    deny: { from: [], to: [] }\n    allow: { from: [], to: [] }\n",
            "4:5: a rule has one of `allow`, `deny` and `hide`, not several; make a rule of each",
        ),
        (
            "rules:\n  - name: x\n    alow: { from: 1, to: [] }\n",
            "3:5: unknown key `alow`; valid here are `allow`, `deny`, `hide`, `name`, `shadow`; did you mean `allow`?\n\
             3:19: expected a set, found a number",
        ),
        (
            "rules:\n  - name: x\n    subscriptions: true\n",
            "3:5: unknown key `subscriptions`: not supported by this version; valid here are `allow`, `deny`, `hide`, `name`, `shadow`",
        ),
    ]);
}

#[test]
fn checks_the_pairs_of_a_rule() {
    let pairs = |text: &str| problems(format!("rules:\n  - name: x\n    deny: {text}\n"));
    for (text, want) in [
        ("", "9: expected a map with either `from` and `to`, or `within`, found nothing"),
        ("everyone", "11: expected a map with either `from` and `to`, or `within`, found a text"),
        ("{}", "11: `deny` needs either `from` and `to`, or `within`"),
        ("{ from: everyone }", "13: `from` needs a `to` beside it"),
        ("{ to: everyone }", "13: `to` needs a `from` beside it"),
        (
            "{ to: everyone, within: a }",
            "13: `within` stands alone, without `from` and `to`; make two rules of it",
        ),
        ("{ within: [] }", "21: expected a glob over the names of groups, found a list"),
        ("{ within: '' }", "21: a glob over the names of groups is empty"),
        (
            "{ subscriptions: true }",
            "13: unknown key `subscriptions`: not supported by this version; valid here are `from`, `to`, `within`",
        ),
    ] {
        let found = pairs(text);
        assert!(found.starts_with(&format!("policy.yaml:3:{want}")), "{text}\n{found}\n{want}");
    }
}

#[test]
fn checks_sets() {
    check_sets(&[
        ("", "4: expected a set, found nothing"),
        ("1", "6: expected a set, found a number"),
        ("true", "6: expected a set, found a boolean"),
        (
            "bob",
            "6: `bob` is not a set: write a user id such as `@bob:example.org`, `everyone`, or `{ group: bob }`",
        ),
        (
            "'@bob'",
            "6: `@bob` is not a user id: the `:` and the server name after the localpart are missing",
        ),
        (
            r#""@\e[31m:under_score""#,
            r#"6: `"@\u001b[31m:under_score"` is not a user id: the server name is not valid: `_` is not valid in a host name: letters, digits, `-` and `.` are"#,
        ),
        (
            "'@a:https://a.gov'",
            "6: `@a:https://a.gov` is not a user id: the server name is not valid: a server name has no scheme such as `https://`; leave it out",
        ),
        (
            "{ server: 'https://*.gov' }",
            "16: `https://*.gov` matches no server: a server name has no scheme such as `https://`; leave it out",
        ),
        (
            "{ server: 'https://a.gov' }",
            "16: `https://a.gov` matches no server: a server name has no scheme such as `https://`; leave it out",
        ),
        (
            "'@*-bot:example.org'",
            "6: `@*-bot:example.org` is a pattern, not a user id: write it as `{ match: .. }`",
        ),
        (
            "{}",
            "6: a set needs one of `server`, `match`, `group`, `members_file`, `all_of`, or `any` with `except`",
        ),
        (
            "{ server: a.example, match: '@a:*' }",
            "6: a set has one form only, `server`, `match`, `group`, `members_file`, `all_of`, or `any` with `except`; make a list of several",
        ),
        (
            "{ sever: a.example }",
            "8: unknown key `sever`; valid here are `all_of`, `any`, `directory`, `except`, `group`, `match`, `members_file`, `server`; did you mean `server`?",
        ),
        (
            "[{ directory: true }]",
            "9: unknown key `directory`: it stands for a whole group, in `groups`, and not for a part of a set; valid here are `all_of`, `any`, `except`, `group`, `match`, `members_file`, `server`",
        ),
        ("{ any: everyone }", "8: `any` needs an `except` beside it"),
        ("{ except: everyone }", "8: `except` needs an `any` beside it"),
        ("{ all_of: 3 }", "16: expected a list of sets, found a number"),
        ("{ all_of: [] }", "16: expected at least one set, found an empty list"),
        ("{ group: [b] }", "15: expected the name of a group, found a list"),
        (
            "{ group: team/* }",
            "15: `team/*` is not the name of a group: globs are valid in `within` only",
        ),
    ]);
}

#[test]
fn checks_globs() {
    let long = format!("{{ server: '{}*' }}", "a".repeat(254));
    let long_text = format!("`{}*`", "a".repeat(254));
    let long_want =
        format!("16: {long_text} matches no server: server names have at most 253 bytes");
    check_sets(&[
        ("{ server: [] }", "16: expected a server glob, found an empty list"),
        ("{ server: 7 }", "16: expected a server glob, found a number; put it in quotes"),
        ("{ server: '' }", "16: `` matches no server: it is empty"),
        ("{ server: '*.a_b' }", "16: `*.a_b` matches no server: no server name holds `_`"),
        (
            "{ server: [a.example, 'a/b'] }",
            "28: `a/b` matches no server: `/` is not valid in a host name: letters, digits, `-` and `.` are",
        ),
        (
            "{ server: 'a.example:' }",
            "16: `a.example:` matches no server: the port is not 1 to 5 digits",
        ),
        (&long, &long_want),
        ("{ match: [] }", "15: expected a pattern, found an empty list"),
        ("{ match: '@*' }", "15: `@*` is not a pattern: it has no `:`, as in `@*-bot:example.org`"),
        ("{ match: 'bot:*' }", "15: `bot:*` matches no user: user ids begin with `@`"),
        ("{ match: '@bot:' }", "15: `@bot:` matches no user: in its part for servers, it is empty"),
        (
            "{ match: '@bot:a b*' }",
            "15: `@bot:a b*` matches no user: in its part for servers, no server name holds ` `",
        ),
    ]);
}

#[test]
fn checks_that_groups_are_declared() {
    check(&[
        (
            "rules:\n  - { name: x, deny: { from: { group: a }, to: [] } }\n",
            "2:39: group `a` is not declared; no groups are declared",
        ),
        (
            "groups:\n  board: []\n  all: [{ group: baord }, { group: zebras }]\nrules: []\n",
            "3:18: group `baord` is not declared; did you mean `board`?\n\
             3:36: group `zebras` is not declared",
        ),
        (
            "groups:\n  board: []\nrules:\n  - { name: x, deny: { within: boards } }\n  - { name: y, deny: { within: team/* } }\n",
            "4:32: no group has a name that matches `boards`; did you mean `board`?\n\
             5:32: no group has a name that matches `team/*`",
        ),
        (
            "rules:\n  - { name: x, deny: { within: team/* } }\n",
            "2:32: no group has a name that matches `team/*`; no groups are declared",
        ),
    ]);
}

#[test]
fn names_every_cycle_of_groups() {
    check(&[(
        "groups:\n  a: { group: b }\n  b: [{ group: a }, { group: c }]\n  c: { any: everyone, except: { group: c } }\nrules: []\n",
        "2:3: group `a` contains itself: `a` -> `b` -> `a`\n\
         4:3: group `c` contains itself: `c` -> `c`",
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
        "2:11: `bob` is not a set: write a user id such as `@bob:example.org`, `everyone`, or `{ group: bob }`\n\
         2:25: group `teem` is not declared; did you mean `team`?\n\
         2:35: unknown key `sever`; valid here are `all_of`, `any`, `except`, `group`, `match`, `members_file`, `server`; did you mean `server`?\n\
         2:42: `x_y` matches no server: `_` is not valid in a host name: letters, digits, `-` and `.` are\n\
         3:11: `any` needs an `except` beside it\n\
         4:3: the name of a group is empty\n\
         7:20: `staff` is not a set: write a user id such as `@bob:example.org`, `everyone`, or `{ group: staff }`\n\
         7:31: `@nobody` is not a user id: the `:` and the server name after the localpart are missing\n\
         8:11: there is already a rule `one` in line 6\n\
         9:21: expected a glob over the names of groups, found a list\n\
         10:5: unknown key `alow`; valid here are `allow`, `deny`, `hide`, `name`, `shadow`; did you mean `allow`?\n\
         10:5: a rule needs a `name`\n\
         10:13: `from` needs a `to` beside it\n\
         11:1: unknown key `extra`; valid here are `groups`, `inbound`, `local`, `ours`, `outbound`, `rooms`, `rules`, `servers`, `tests`",
    )]);
}
