//! Warnings, and what Synapse cannot enforce.

use std::fmt::Write as _;
use std::io;

use crate::policy::lint::synapse;
use crate::policy::problem::Problem;
use crate::policy::{Files, Policy};

/// `empty.txt` has nobody.
struct Empty;

impl Files for Empty {
    fn read(&self, _: &str) -> io::Result<Vec<u8>> {
        Ok(b"# exported\n".to_vec())
    }
}

fn policy(text: &str) -> Policy {
    Policy::load("policy.yaml", text.as_bytes(), &Empty).unwrap_or_else(|e| panic!("{text}\n{e}"))
}

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
    assert_eq!(
        lines(&policy.warnings),
        [
            "3:25: the members file `empty.txt` names nobody",
            "5:3: group `unused` is used by no rule, no test and no other group",
            "8:5: rule `a` can never match: `from` holds nobody",
            "9:5: rule `b` can never match: `to` holds nobody",
            "10:5: rule `c` can never match: its groups hold nobody",
            "12:5: rule `e` names the presence value `ofline`, which nobody knows; did you mean `offline`?",
            "13:5: rule `f` can never match: `from` and `to` hold nobody",
        ]
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
    assert_eq!(
        lines(&policy.warnings),
        [
            "7:5: rule `a` can never match: `from` and `to` hold one user, the same",
            "8:5: rule `b` can never match: its groups hold one user at most",
            "9:5: rule `c` can never match: `from` holds nobody",
            "10:5: rule `d` can never match: `to` holds nobody",
            "11:5: rule `e` can never match: `from` and `to` hold one user, the same",
        ]
    );
}

#[test]
fn looks_no_deeper_than_it_has_time_for() {
    // Each twice what the one before is.
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

/// What the warnings for Synapse say, by rule: `local` and `federation`.
fn limits(text: &str) -> Vec<(String, bool, bool)> {
    let warnings = synapse::warnings(&policy(text));
    warnings
        .iter()
        .map(|Problem { message, .. }| {
            let (before, limits) = message.split_once(" in part: ").unwrap();
            let rule = before.strip_prefix("Synapse enforces ").unwrap().to_owned();
            (rule, limits.contains("/sync"), limits.contains("federation"))
        })
        .collect()
}

/// The rows and columns of the table in `mission.md`.
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
    let warnings = synapse::warnings(&policy(
        "ours: [one.org]
rules:
  - { name: a, allow: { from: everyone, to: ['@a:one.org', { server: two.org }] } }
  - { name: b, allow: { from: everyone, to: ['@a:one.org', '@b:two.org'] } }
",
    ));
    assert_eq!(
        lines(&warnings),
        [
            "4:5: Synapse enforces allow rule `b` in part: recipients on other servers are reached by server, which decides by itself whom it shows the presence to"
        ]
    );
}

/// As the module does it; `tests/synapse/test_redact.py` and its neighbours show that.
#[test]
fn says_what_synapse_shows_of_what_is_hidden() {
    let warnings = synapse::warnings(&policy(
        "ours: [one.org]
rules:
  - { name: a, hide: { from: everyone, to: '@a:one.org', fields: [status_msg] } }
  - { name: b, hide: { from: everyone, to: '@b:two.org', fields: [status_msg] } }
",
    ));
    assert_eq!(
        lines(&warnings),
        [
            "3:5: Synapse enforces hide rule `a` in part: on the local `/sync`, recipients who share a room with the sender see all fields, and the module shows others nothing of the sender at all, unless they may see everyone and `all_users` is `auto`",
            "4:5: Synapse enforces hide rule `b` in part: federation may bring all fields to servers that share a room with the sender, and so may its pings to any server if a worker sends them; others get one copy for all of their users, without what is hidden from any recipient there",
        ]
    );
}
