//! The switches at the top: the rules that they add, and the mistakes in each. Also
//! mistakes in `hide` and `shadow`.

use super::{assert_problems, ruleset};
use crate::policy::Policy;
use crate::policy::analyse::explain::explain;
use crate::policy::problem::Position;
use crate::routing::model::ruleset::Effect;
use presence_router_ids::UserId;

/// For each rule of a policy, its name and the indices of the pairs that it matches.
fn matching(text: &str, pairs: &[(&str, &str)]) -> Vec<(String, Vec<usize>)> {
    let policy = Policy::parse("policy.yaml", text.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
    let rules = policy.document.rules.iter().enumerate();
    rules
        .map(|(rule, written)| {
            assert_eq!(written.effect, Effect::Deny);
            let matches = |(from, to): &(&str, &str)| {
                let [from, to] = [from, to].map(|user| UserId::parse(user).unwrap());
                let explained = explain(&policy, &policy.snapshot, from, to);
                explained.rules.iter().any(|matched| matched.rule == rule && matched.pair)
            };
            let positions = (0..pairs.len()).filter(|position| matches(&pairs[*position]));
            (written.name.clone(), positions.collect())
        })
        .collect()
}

#[test]
fn every_switch_is_a_rule() {
    const PAIRS: [(&str, &str); 6] = [
        ("@a:one.org", "@b:two.org"),
        ("@a:one.org", "@x:far.example"),
        ("@x:far.example", "@a:one.org"),
        ("@a:two.org", "@y:friend.example"),
        ("@y:friend.example", "@a:two.org"),
        ("@x:far.example", "@y:friend.example"),
    ];
    for (switch, want) in [
        ("local: false", vec![("local: false", vec![0])]),
        ("inbound: false", vec![("inbound: false", vec![2, 4])]),
        ("outbound: false", vec![("outbound: false", vec![1, 3])]),
        ("local: true", vec![]),
        (
            "servers: { allow: ['friend.*'] }",
            vec![("servers.allow, inbound", vec![2]), ("servers.allow, outbound", vec![1])],
        ),
        (
            "servers: { allow: [] }",
            vec![("servers.allow, inbound", vec![2, 4]), ("servers.allow, outbound", vec![1, 3])],
        ),
        (
            "servers: { deny: 'far.*' }",
            vec![("servers.deny, inbound", vec![2]), ("servers.deny, outbound", vec![1])],
        ),
        // The list does not affect pairs within `ours`.
        (
            "servers: { deny: ['*'] }",
            vec![("servers.deny, inbound", vec![2, 4]), ("servers.deny, outbound", vec![1, 3])],
        ),
    ] {
        let text = format!("ours: [one.org, two.org]\n{switch}\nrules: []\n");
        let want: Vec<_> = want.into_iter().map(|(name, p)| (name.to_owned(), p)).collect();
        assert_eq!(matching(&text, &PAIRS), want, "{switch}");
    }
}

#[test]
fn rules_of_switches_come_last_and_know_their_places() {
    let text = "ours: [one.org]\nservers:\n  deny: far.example\n  allow: []\noutbound: false\nrules:\n  - { name: x, deny: { from: [], to: [] } }\n";
    let document = Policy::parse("policy.yaml", text.as_bytes()).unwrap().document;
    let rules = document.rules.iter().map(|rule| {
        let Position { line, column } = rule.position;
        (rule.name.as_str(), rule.switch, line, column)
    });
    let want = [
        ("x", false, 7, 5),
        ("outbound: false", true, 5, 1),
        ("servers.allow, inbound", true, 4, 3),
        ("servers.allow, outbound", true, 4, 3),
        ("servers.deny, inbound", true, 3, 3),
        ("servers.deny, outbound", true, 3, 3),
    ];
    assert!(rules.eq(want));
}

#[test]
fn checks_switches() {
    let needs = |key: &str| format!("1:1 missing-key {key} ours");
    for (text, want) in [
        ("local: false", needs("local")),
        ("inbound: true", needs("inbound")),
        ("outbound: false", needs("outbound")),
        ("servers: { deny: '*' }", needs("servers")),
        ("our: [one.org]", "1:1 unknown-key our".to_owned()),
        ("ours: {}", "1:7 wrong-type".to_owned()),
        ("ours: https://a.gov", "1:7 not-a-server-name".to_owned()),
        ("ours: []", "1:7 empty-list".to_owned()),
        ("ours: [7]", "1:8 wrong-type".to_owned()),
        ("ours: ['*.one.org']", "1:8 unexpected-glob".to_owned()),
        ("ours: [a.b, one_org]", "1:13 not-a-server-name".to_owned()),
        ("ours: [a.b, a.b]", "1:13 duplicate-value a.b".to_owned()),
    ] {
        assert_problems(format!("{text}\nrules: []\n"), &want);
    }
    for (text, want) in [
        ("local: no", "2:8 wrong-type"),
        ("inbound:", "2:8 wrong-type"),
        ("outbound: 0", "2:11 wrong-type"),
        ("servers: []", "2:10 wrong-type"),
        ("servers: {}", "2:10 missing-key servers allow deny"),
        ("servers: { deny: [] }", "2:18 empty-list"),
        ("servers: { deny: 1 }", "2:18 wrong-type"),
        ("servers: { allow: [a_b*] }", "2:20 glob-cannot-match"),
        ("servers: { deny: a.b }", "2:12 denied-own-server a.b"),
        ("servers: { alow: [] }", "2:12 unknown-key alow"),
    ] {
        let text = format!("ours: [a.b]\n{text}\nrules: []\n");
        assert_problems(&text, want);
    }
    assert_problems(
        "ours: [a.b]\nlocal: false\nrules: [{ name: 'local: false', deny: { from: [], to: [] } }]\n",
        "3:9 reserved-name",
    );
}

#[test]
fn checks_shadow() {
    for (value, want) in
        [("yes", "2:11 wrong-type"), ("", "2:9 wrong-type"), ("[true]", "2:11 wrong-type")]
    {
        let text =
            format!("rules:\n- shadow: {value}\n  name: x\n  deny: {{ from: [], to: [] }}\n");
        assert_problems(&text, want);
    }
}

#[test]
fn checks_hides() {
    let pairs = "from: [], to: []";
    for (hide, want) in [
        ("[]".to_owned(), "8 wrong-type"),
        (format!("{{ {pairs} }}"), "8 missing-key hide fields"),
        ("{ fields: [presence] }".to_owned(), "8 missing-key hide from"),
        ("{ fields: [presence], from: [] }".to_owned(), "30 missing-key from to"),
        (
            "{ fields: [presence], from: [], within: x }".to_owned(),
            "30 conflicting-keys within\n3:48 unmatched-within x",
        ),
        (format!("{{ fields: [], {pairs} }}"), "18 empty-list"),
        (format!("{{ fields: {{}}, {pairs} }}"), "18 wrong-type"),
        (format!("{{ fields: avatar, {pairs} }}"), "18 unknown-value avatar"),
        (format!("{{ fields: [1], {pairs} }}"), "19 wrong-type"),
        (format!("{{ fields: [presence, status_mgs], {pairs} }}"), "29 unknown-value status_mgs"),
        (format!("{{ fields: [avatar], {pairs} }}"), "19 unknown-value avatar"),
        (format!("{{ fields: [presence, presence], {pairs} }}"), "29 duplicate-value presence"),
        (format!("{{ feilds: [presence], {pairs} }}"), "10 unknown-key feilds"),
        (format!("{{ fields: [presence], unless: online, {pairs} }}"), "38 wrong-type"),
        (
            format!("{{ fields: [presence], unless: {{}}, {pairs} }}"),
            "38 missing-key unless presence",
        ),
        (
            format!("{{ fields: [presence], unless: {{ state: [] }}, {pairs} }}"),
            "40 unknown-key state",
        ),
        (format!("{{ fields: [presence], unless: {{ presence: [] }}, {pairs} }}"), "50 empty-list"),
        (format!("{{ fields: [presence], unless: {{ presence: 2 }}, {pairs} }}"), "50 wrong-type"),
        (
            format!("{{ fields: [presence], unless: {{ presence: [''] }}, {pairs} }}"),
            "51 empty-text",
        ),
        (
            format!("{{ fields: [presence], unless: {{ presence: [2] }}, {pairs} }}"),
            "51 wrong-type",
        ),
        (
            format!("{{ fields: [presence], unless: {{ presence: [a, b, a] }}, {pairs} }}"),
            "57 duplicate-value a",
        ),
    ] {
        // The value of `hide` begins in column 8.
        let text = format!("rules:\n-\n hide: {hide}\n name: x\n");
        assert_problems(&text, &format!("3:{want}"));
    }
    assert_problems(
        "rules: [{ name: x, deny: { from: [], to: [], fields: [presence] } }]\n",
        "1:46 unknown-key fields",
    );
    ruleset("groups: { a: [] }\nrules: [{ name: x, hide: { within: a, fields: [presence] } }]\n");
}

/// One value equals a list of one value.
#[test]
fn takes_one_value_or_a_list() {
    let rules = |fields, presence, ours| {
        format!(
            "ours: {ours}\nlocal: false\nrules: [{{ name: x, hide: {{ from: everyone, to: everyone, fields: {fields}, unless: {{ presence: {presence} }} }} }}]\n"
        )
    };
    assert_eq!(
        ruleset(&rules("status_msg", "busy", "a.org")),
        ruleset(&rules("[status_msg]", "[busy]", "[a.org]"))
    );
}
