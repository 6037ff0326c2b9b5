//! Warnings, including rules that Synapse cannot enforce.

use std::fmt::Write as _;
use std::io;

use super::assert_codes;
use crate::policy::lint::synapse;
use crate::policy::problem::Problem;
use crate::policy::{Files, Policy};

/// Every members file lists nobody.
struct Empty;

impl Files for Empty {
    fn read(&self, _: &str) -> io::Result<Vec<u8>> {
        Ok(b"# exported\n".to_vec())
    }
}

fn policy(text: &str) -> Policy {
    Policy::load("policy.yaml", text.as_bytes(), &Empty).unwrap_or_else(|e| panic!("{text}\n{e}"))
}

/// The warnings as lines without their codes, for tests of the wording itself.
fn lines(warnings: &[Problem]) -> Vec<String> {
    warnings
        .iter()
        .map(|w| format!("{}:{}: {}", w.position.line, w.position.column, w.message))
        .collect()
}

#[test]
fn warns_of_what_is_probably_not_meant() {
    let policy = policy(
        "groups:
  none: []
  file: { members_file: empty.txt }
  sales: { directory: true }
  unused: everyone
  not-ours: { any: everyone, except: { match: '@*:*' } }
rules:
  - { name: a, allow: { from: { group: none }, to: everyone } }
  - { name: b, deny: { from: everyone, to: { all_of: [everyone, { group: file }] } } }
  - { name: c, allow: { within: none } }
  - { name: d, allow: { within: sales } }
  - { name: e, hide: { from: everyone, to: '@a:b', fields: [presence], unless: { presence: [ofline, busy, 'x.new'] } } }
  - { name: f, allow: { from: { group: not-ours }, to: { group: none } } }
",
    );
    assert_codes(
        &policy.warnings,
        "3:25 empty-members-file empty.txt\n\
         5:3 unused-group unused\n\
         8:5 rule-never-matches a from\n\
         9:5 rule-never-matches b to\n\
         10:5 rule-never-matches c\n\
         12:5 unknown-presence e ofline\n\
         13:5 rule-never-matches f from to",
        "",
    );
}

#[test]
fn warns_of_rules_whose_names_never_meet() {
    let policy = policy(
        "groups:
  ann: ['@a:b.c']
  one: { any: [{ group: ann }, '@x:other.org'], except: { server: other.org } }
  later: { directory: true }
  two: ['@a:b.c', '@b:b.c']
rules:
  - { name: a, allow: { from: '@a:b.c', to: ['@a:b.c', { group: ann }] } }
  - { name: b, allow: { within: ann } }
  - { name: c, allow: { from: { all_of: ['@a:b.c', { server: other.org }] }, to: everyone } }
  - { name: d, deny: { from: everyone, to: { any: { group: two }, except: { match: '@?:*' } } } }
  - { name: e, allow: { from: { group: one }, to: { group: ann } } }
  - { name: f, allow: { from: { all_of: ['@a:b.c', { group: later }] }, to: { any: { group: two }, except: { group: later } } } }
  - { name: g, allow: { from: { group: ann }, to: { group: two } } }
  - { name: h, allow: { within: 't*' } }
",
    );
    assert_codes(
        &policy.warnings,
        "7:5 rule-never-matches a from to\n\
         8:5 rule-never-matches b\n\
         9:5 rule-never-matches c from\n\
         10:5 rule-never-matches d to\n\
         11:5 rule-never-matches e from to",
        "",
    );
}

#[test]
fn looks_no_deeper_than_it_has_time_for() {
    // Each group refers twice to the one before.
    let mut text = "groups:\n  g0: ['@a:b.c', '@b:b.c']\n".to_owned();
    for number in 1..60 {
        let before = number - 1;
        let sets = format!("[{{ group: g{before} }}, {{ group: g{before} }}]");
        writeln!(text, "  g{number}: {{ any: {{ group: g0 }}, except: {{ all_of: {sets} }} }}")
            .unwrap();
    }
    text += "rules: [{ name: x, allow: { from: { group: g59 }, to: everyone } }]";
    policy(&text);
}

#[test]
fn counts_warnings_after_twenty() {
    let mut text = "rules: []\ngroups:\n".to_owned();
    (0..30).for_each(|i| writeln!(text, "  g{i}: []").unwrap());
    let warnings = lines(&policy(&text).warnings);
    assert_eq!(warnings.len(), 21);
    assert_eq!(warnings[20], "23:3: from here on, 10 more warnings of this kind");
}

#[test]
fn the_example_gives_no_warning() {
    let policy = policy(crate::policy::EXAMPLE_POLICY);
    assert_eq!(lines(&policy.warnings), [""; 0]);
}

/// The warnings for Synapse by rule: true if they mention the local `/sync`, and federation.
fn limits(text: &str) -> Vec<(String, bool, bool)> {
    let warnings = synapse::warnings(&policy(text), synapse::Mode::Add);
    warnings
        .iter()
        .map(|Problem { message, .. }| {
            let (before, limits) = message.split_once(" in part: ").unwrap();
            let rule = before.strip_prefix("Synapse enforces ").unwrap().to_owned();
            (rule, limits.contains("/sync"), limits.contains("federation"))
        })
        .collect()
}

/// The rows and columns of the table in `docs/policy.md`.
#[test]
fn warns_of_what_synapse_cannot_enforce() {
    let rules = |ours: &str| {
        format!(
            "{ours}
rules:
  - {{ name: a, allow: {{ from: everyone, to: everyone }} }}
  - {{ name: d, deny: {{ from: everyone, to: everyone }} }}
  - {{ name: d-here, deny: {{ from: everyone, to: {{ server: one.org }} }} }}
  - {{ name: d-away, deny: {{ from: everyone, to: {{ any: everyone, except: {{ server: one.org }} }} }} }}
  - {{ name: h-here, hide: {{ from: everyone, to: '@a:one.org', fields: [presence] }} }}
  - {{ name: h-away, hide: {{ from: everyone, to: {{ match: '@a:two.*' }}, fields: [presence] }} }}
  - {{ name: shadow, shadow: true, deny: {{ from: everyone, to: everyone }} }}
"
        )
    };
    let warned = |rule: &str, local, federation| (rule.to_owned(), local, federation);
    assert_eq!(
        limits(&rules("ours: [one.org]\nlocal: false\noutbound: false\ninbound: false")),
        [
            warned("deny rule `d`", true, true),
            warned("deny rule `d-here`", true, false),
            warned("deny rule `d-away`", false, true),
            warned("hide rule `h-here`", true, false),
            warned("hide rule `h-away`", false, true),
            warned("deny rule `inbound: false`", true, false),
            warned("deny rule `local: false`", true, false),
            warned("deny rule `outbound: false`", false, true),
        ]
    );
    // Without `ours`, recipients may be anywhere.
    let warned = limits(&rules(""));
    assert_eq!(warned.len(), 5);
    assert!(warned.iter().all(|(_, local, federation)| *local && *federation));
}

#[test]
fn says_that_synapse_reaches_servers_and_not_users() {
    let policy = policy(
        "ours: [one.org]
rules:
  - { name: a, allow: { from: everyone, to: ['@a:one.org', { server: two.org }] } }
  - { name: b, allow: { from: everyone, to: ['@a:one.org', '@b:two.org'] } }
",
    );
    for mode in [synapse::Mode::Add, synapse::Mode::Exact] {
        assert_eq!(
            lines(&synapse::warnings(&policy, mode)),
            [
                "4:5: Synapse enforces allow rule `b` in part: Synapse sends presence to whole servers, and each other server decides by itself which of its users see it"
            ]
        );
    }
}

#[test]
fn synapse_enforces_everything_but_within_other_servers_if_the_policy_alone_decides() {
    let policy = policy(
        "ours: [one.org]
rules:
  - { name: all, allow: { share_room: true } }
  - { name: here, deny: { to: '@a:one.org', share_room: { at_least: 9 } } }
  - { name: server, deny: { from: everyone, to: { server: two.org } } }
  - { name: user, deny: { from: everyone, to: '@b:two.org' } }
  - { name: rooms, deny: { to: { server: two.org }, share_room: { at_least: 9 } } }
  - { name: hide-here, hide: { from: everyone, to: '@a:one.org', fields: presence } }
  - { name: hide-away, hide: { from: everyone, to: '@b:two.org', fields: presence } }
  - { name: shadow, shadow: true, deny: { from: everyone, to: '@b:two.org' } }
",
    );
    let decides = "Synapse sends presence to whole servers, and each other server decides by itself which of its users see it";
    assert_eq!(
        lines(&synapse::warnings(&policy, synapse::Mode::Exact)),
        [
            format!("6:5: Synapse enforces deny rule `user` in part: {decides}"),
            format!("7:5: Synapse enforces deny rule `rooms` in part: {decides}"),
            "9:5: Synapse enforces hide rule `hide-away` in part: another server gets one copy for all of its users, without the fields that are hidden from any recipient there".to_owned(),
        ]
    );
}

/// `tests/synapse/test_redact.py` and its neighbours test the behaviour behind these texts.
#[test]
fn says_what_synapse_shows_of_what_is_hidden() {
    let policy = policy(
        "ours: [one.org]
rules:
  - { name: a, hide: { from: everyone, to: '@a:one.org', fields: [last_active_ts] } }
  - { name: b, hide: { from: everyone, to: '@b:two.org', fields: [last_active_ts] } }
",
    );
    assert_eq!(
        lines(&synapse::warnings(&policy, synapse::Mode::Add)),
        [
            "3:5: Synapse enforces hide rule `a` in part: on the local `/sync`, recipients who share a room with the sender see all fields; the module shows the sender to no other recipients, except to recipients who may see everyone if `all_users` is `auto`",
            "4:5: Synapse enforces hide rule `b` in part: federation may send all fields to servers that share a room with the sender; other servers get one copy for all of their users, without the fields that are hidden from any recipient there; if a worker sends federation, its pings, which say that the user is still online, may have all fields",
        ]
    );
}

#[test]
fn conditions_that_exclude_everything_never_hold() {
    for (conditions, why) in [
        ("not_rooms: '*'", "`not_rooms` excludes every room"),
        ("not_rooms: ['!a', '!*']", "`not_rooms` excludes every room"),
        (
            "at_least: 1, not_counting: '@*:*'",
            "`not_counting` contains everybody, so that no room has a member who counts",
        ),
    ] {
        let text = format!("rules: [{{ name: x, allow: {{ share_room: {{ {conditions} }} }} }}]\n");
        let policy = Policy::parse("policy.yaml", text.as_bytes()).unwrap();
        let found: Vec<_> = policy.warnings.iter().map(|warning| warning.message.clone()).collect();
        assert_eq!(found, [format!("rule `x` can never match: {why}")], "{conditions}");
    }
}
