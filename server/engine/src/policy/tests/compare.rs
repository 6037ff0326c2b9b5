//! The reported differences between two policies.

use std::fmt::Write as _;
use std::io;

use crate::policy::analyse::compare::{RoomChange, compare, room_changes};
use crate::policy::{Files, NoFiles, Policy};

struct List(&'static str);

impl Files for List {
    fn read(&self, _: &str) -> io::Result<Vec<u8>> {
        Ok(self.0.into())
    }
}

#[track_caller]
fn differences(before: &str, after: &str) -> String {
    let load = |text: &str| Policy::load("policy.yaml", text.as_bytes(), &NoFiles).unwrap();
    compare(&load(before), &load(after)).to_string()
}

const BEFORE: &str = "
groups:
  team/a: ['@ann:one.org', { server: one.org }]
  team/b: { any: everyone, except: { group: team/a } }
rules:
  - { name: x, allow: { within: 'team/*' } }
  - { name: y, deny: { from: everyone, to: { group: team/b } } }
";

#[test]
fn places_and_comments_are_no_difference() {
    let after = BEFORE.replace("rules:", "# staff\n\nrules:");
    assert_eq!(differences(BEFORE, &after), "no difference");
    let tests = format!("{BEFORE}tests: [{{ sender: '@ann:one.org', not: '@joe:b.org' }}]\n");
    assert_eq!(differences(BEFORE, &tests), "no difference; 1 test passed");
}

#[test]
fn a_name_says_something_else() {
    for (old, new, want) in [
        ("'@ann:one.org'", "'@joe:one.org'", "groups changed: 1 (`team/a`)"),
        ("server: one.org", "server: '*.org'", "groups changed: 1 (`team/a`)"),
        ("{ server: one.org }", "{ match: '@a:*' }", "groups changed: 1 (`team/a`)"),
        ("{ any: everyone,", "{ any: '@ann:one.org',", "groups changed: 1 (`team/b`)"),
        ("'team/*'", "'team/?'", "rules changed: 1 (`x`)"),
        ("deny:", "allow:", "rules changed: 1 (`y`)"),
        ("deny:", "shadow: true, deny:", "rules changed: 1 (`y`)"),
        ("{ group: team/b }", "{ group: team/a }", "rules changed: 1 (`y`)"),
        (
            "{ within: 'team/*' }",
            "{ within: 'team/*', share_room: true }",
            "rules changed: 1 (`x`)",
        ),
        ("name: y", "name: z", "rules added: 1 (`z`), removed: 1 (`y`)"),
        (
            "groups:",
            "ours: [one.org]\nlocal: false\ngroups:",
            "switches added: 2 (`local: false`, `ours`)",
        ),
    ] {
        let after = BEFORE.replace(old, new);
        assert_ne!(after, BEFORE, "{old}");
        assert_eq!(differences(BEFORE, &after), want);
    }
}

#[test]
fn a_relation_counts() {
    let before =
        "rules: [{ name: x, allow: { share_room: { at_most: 5, rooms: ['!a', '!b'] } } }]\n";
    for (old, new, want) in [
        ("at_most: 5", "at_most: 6", "rules changed: 1 (`x`)"),
        ("at_most: 5", "at_least: 5", "rules changed: 1 (`x`)"),
        ("at_most: 5", "at_most: 5, not_counting: '@bot:a.b'", "rules changed: 1 (`x`)"),
        (", '!b'", "", "rules changed: 1 (`x`)"),
        ("{ at_most: 5, rooms: ['!a', '!b'] }", "true", "rules changed: 1 (`x`)"),
        ("{ at_most: 5, rooms: ['!a', '!b'] }", "false", "rules changed: 1 (`x`)"),
        ("at_most: 5, rooms: ['!a', '!b']", "rooms: ['!b', '!a'], at_most: 5", "no difference"),
        ("share_room", "from: everyone, to: everyone, share_room", "no difference"),
    ] {
        let after = before.replace(old, new);
        assert_ne!(after, before, "{old}");
        assert_eq!(differences(before, &after), want, "{new}");
    }
    let [any, none] = ["true", "false"]
        .map(|value| format!("rules: [{{ name: x, allow: {{ share_room: {value} }} }}]\n"));
    assert_eq!(differences(&any, &none), "rules changed: 1 (`x`)");
}

#[test]
fn the_directory_and_members_files_count() {
    let text = "groups: { a: { members_file: a.txt } }\nrules: []\n";
    let load = |list| Policy::load("policy.yaml", text.as_bytes(), &List(list)).unwrap();
    let (before, after) = (load("@ann:one.org\n"), load("@joe:one.org\n"));
    assert_eq!(compare(&before, &after).groups.changed, ["a"]);
    assert!(compare(&before, &load("# staff\n@ann:one.org\n")).is_empty());
    let listed = "groups: { a: [] }\nrules: []\n";
    let filled = "groups: { a: { directory: true } }\nrules: []\n";
    assert_eq!(differences(listed, filled), "groups changed: 1 (`a`)");
}

#[test]
fn counts_names_after_five() {
    let text = |n: usize| {
        let mut text = "ours: [one.org]\noutbound: false\nrules:\n".to_owned();
        for i in 0..n {
            writeln!(text, "  - {{ name: r{i}, deny: {{ from: [], to: [] }} }}").unwrap();
        }
        text
    };
    let few = text(1).replace("one.org", "two.org");
    assert_eq!(
        differences(&text(8), &few),
        "rules removed: 7 (`r1`, `r2`, `r3`, `r4`, `r5` and 2 more); switches changed: 2 (`ours`, `outbound: false`)"
    );
}

#[test]
fn rules_about_rooms_count() {
    let rooms = "rooms:\n  - { name: a, when: { requester: { server: one.org } }, add: [{ type: t, content: { a: 1 } }] }\n  - { name: b, deny: { message: no } }\n";
    let before = format!("{BEFORE}{rooms}");
    assert_eq!(differences(BEFORE, &before), "rooms added: 2 (`a`, `b`)");
    for (old, new, want) in [
        ("{ server: one.org } }, add", "everyone }, add", "rooms changed: 1 (`a`)"),
        ("requester: { server", "invites: { server", "rooms changed: 1 (`a`)"),
        ("when: { requester", "when: { admin: true, requester", "rooms changed: 1 (`a`)"),
        ("a: 1", "a: 2", "rooms changed: 1 (`a`)"),
        ("{ message: no }", "{ message: no, status: 400 }", "rooms changed: 1 (`b`)"),
        ("deny: { message: no }", "add: [{ type: t, content: {} }]", "rooms changed: 1 (`b`)"),
        ("a: 1", "'a': 1", "no difference"),
    ] {
        let after = before.replace(old, new);
        assert_ne!(after, before, "{old}");
        assert_eq!(differences(&before, &after), want);
    }
}

#[test]
fn says_where_rules_about_rooms_are() {
    let rules = |names: &[(&str, &str)]| {
        let rules = names.iter().map(|(name, message)| {
            format!("  - {{ name: {name}, deny: {{ message: {message} }} }}\n")
        });
        let text = format!("rules: []\nrooms:\n{}", rules.collect::<String>());
        Policy::load("policy.yaml", text.as_bytes(), &NoFiles).unwrap()
    };
    let before = rules(&[("same", "a"), ("gone", "a"), ("other", "a")]);
    let after = rules(&[("other", "b"), ("new", "a"), ("same", "a")]);
    let changes = room_changes(&before, &after).into_iter();
    let changes: Vec<_> = changes
        .map(|RoomChange { name, before, after }| {
            (name, before.map(|position| position.line), after.map(|position| position.line))
        })
        .collect();
    let want = [("gone", Some(4), None), ("new", None, Some(4)), ("other", Some(5), Some(3))];
    assert_eq!(changes, want.map(|(name, before, after)| (name.to_owned(), before, after)));
}
