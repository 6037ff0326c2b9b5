//! The switches at the top: the rules they stand for, and each of them wrong in
//! every place. Also `hide` and `shadow`.

use super::{problems, ruleset};
use crate::policy::Policy;
use crate::policy::analyse::explain::explain;
use crate::policy::problem::Position;
use crate::routing::model::ruleset::Effect;
use presence_router_ids::UserId;

/// Which of some pairs each rule of a policy matches, by the rule's name.
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
        // What passes between users of ours is not a matter of this list.
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
    let needs = |key: &str| {
        format!(
            "1:1: `{key}` needs `ours` beside it, the server names that it is about, such as `ours: example.org`"
        )
    };
    for (text, want) in [
        ("local: false", needs("local")),
        ("inbound: true", needs("inbound")),
        ("outbound: false", needs("outbound")),
        ("servers: { deny: '*' }", needs("servers")),
        ("our: [one.org]", format!("1:1: unknown key `our`; valid here are {TOP}; did you mean `ours`?")),
        ("ours: {}", "1:7: expected a list of server names, found a map".to_owned()),
        ("ours: https://a.gov", "1:7: `https://a.gov` is not a server name: a server name has no scheme such as `https://`; leave it out".to_owned()),
        ("ours: []", "1:7: expected a list of server names, found an empty one".to_owned()),
        ("ours: [7]", "1:8: expected a server name, found a number; put it in quotes".to_owned()),
        ("ours: ['*.one.org']", "1:8: `*.one.org` is a glob; `ours` takes whole server names".to_owned()),
        ("ours: [a.b, one_org]", "1:13: `one_org` is not a server name: `_` is not valid in a host name: letters, digits, `-` and `.` are".to_owned()),
        ("ours: [a.b, a.b]", "1:13: server name `a.b` is named twice".to_owned()),
    ] {
        assert_eq!(problems(format!("{text}\nrules: []\n")), format!("policy.yaml:{want}"));
    }
    for (text, want) in [
        ("local: no", "2:8: expected `true` or `false`, found a text"),
        ("inbound:", "2:8: expected `true` or `false`, found nothing"),
        ("outbound: 0", "2:11: expected `true` or `false`, found a number"),
        ("servers: []", "2:10: expected a map with `allow` or `deny`, found a list"),
        ("servers: {}", "2:10: `servers` needs `allow` or `deny`"),
        ("servers: { deny: [] }", "2:18: expected a server glob, found an empty list"),
        ("servers: { deny: 1 }", "2:18: expected a server glob, found a number; put it in quotes"),
        ("servers: { allow: [a_b*] }", "2:20: `a_b*` matches no server: no server name holds `_`"),
        (
            "servers: { deny: a.b }",
            "2:12: `a.b` is one of `ours`; what passes between users of ours is a matter of `local`",
        ),
        (
            "servers: { alow: [] }",
            "2:12: unknown key `alow`; valid here are `allow`, `deny`; did you mean `allow`?",
        ),
    ] {
        let text = format!("ours: [a.b]\n{text}\nrules: []\n");
        assert_eq!(problems(&text), format!("policy.yaml:{want}"), "{text}");
    }
    assert_eq!(
        problems(
            "ours: [a.b]\nlocal: false\nrules: [{ name: 'local: false', deny: { from: [], to: [] } }]\n"
        ),
        "policy.yaml:3:9: rule `local: false` has the name of a switch at the top; give it another"
    );
}

const TOP: &str =
    "`groups`, `inbound`, `local`, `ours`, `outbound`, `rooms`, `rules`, `servers`, `tests`";
const FIELDS: &str = "`currently_active`, `last_active_ts`, `presence`, `status_msg`";

#[test]
fn checks_shadow() {
    for (value, want) in [
        ("yes", "2:11: expected `true` or `false`, found a text"),
        ("", "2:9: expected `true` or `false`, found nothing"),
        ("[true]", "2:11: expected `true` or `false`, found a list"),
    ] {
        let text =
            format!("rules:\n- shadow: {value}\n  name: x\n  deny: {{ from: [], to: [] }}\n");
        assert_eq!(problems(&text), format!("policy.yaml:{want}"));
    }
    let near = problems("rules:\n- { name: x, shadw: true, deny: { from: [], to: [] } }\n");
    assert!(near.ends_with("did you mean `shadow`?"), "{near}");
}

#[test]
fn checks_hides() {
    let pairs = "from: [], to: []";
    for (hide, want) in [
        ("[]".to_owned(), "8: expected a map with `fields`, and either `from` and `to`, or `within`, found a list".to_owned()),
        (format!("{{ {pairs} }}"), format!("8: `hide` needs `fields`, some of {FIELDS}")),
        ("{ fields: [presence] }".to_owned(), "8: `hide` needs either `from` and `to`, or `within`".to_owned()),
        ("{ fields: [presence], from: [] }".to_owned(), "30: `from` needs a `to` beside it".to_owned()),
        (
            "{ fields: [presence], from: [], within: x }".to_owned(),
            "30: `within` stands alone, without `from` and `to`; make two rules of it\npolicy.yaml:3:48: no group has a name that matches `x`; no groups are declared".to_owned(),
        ),
        (format!("{{ fields: [], {pairs} }}"), "18: expected a list of fields, found an empty one".to_owned()),
        (format!("{{ fields: {{}}, {pairs} }}"), "18: expected a list of fields, found a map".to_owned()),
        (format!("{{ fields: avatar, {pairs} }}"), format!("18: unknown field `avatar`; valid here are {FIELDS}")),
        (format!("{{ fields: [1], {pairs} }}"), "19: expected the name of a field, found a number; put it in quotes".to_owned()),
        (
            format!("{{ fields: [presence, status_mgs], {pairs} }}"),
            format!("29: unknown field `status_mgs`; valid here are {FIELDS}; did you mean `status_msg`?"),
        ),
        (format!("{{ fields: [avatar], {pairs} }}"), format!("19: unknown field `avatar`; valid here are {FIELDS}")),
        (format!("{{ fields: [presence, presence], {pairs} }}"), "29: field `presence` is named twice".to_owned()),
        (format!("{{ feilds: [presence], {pairs} }}"), "10: unknown key `feilds`; valid here are `fields`, `from`, `to`, `unless`, `within`; did you mean `fields`?".to_owned()),
        (format!("{{ fields: [presence], unless: online, {pairs} }}"), "38: expected a map with `presence`, found a text".to_owned()),
        (format!("{{ fields: [presence], unless: {{}}, {pairs} }}"), "38: `unless` needs `presence`, one presence value or a list of them".to_owned()),
        (format!("{{ fields: [presence], unless: {{ state: [] }}, {pairs} }}"), "40: unknown key `state`; valid here are `presence`".to_owned()),
        (format!("{{ fields: [presence], unless: {{ presence: [] }}, {pairs} }}"), "50: expected a list of presence values, found an empty one".to_owned()),
        (format!("{{ fields: [presence], unless: {{ presence: 2 }}, {pairs} }}"), "50: expected a list of presence values, found a number".to_owned()),
        (format!("{{ fields: [presence], unless: {{ presence: [''] }}, {pairs} }}"), "51: a presence value is empty".to_owned()),
        (format!("{{ fields: [presence], unless: {{ presence: [2] }}, {pairs} }}"), "51: expected a presence value, found a number; put it in quotes".to_owned()),
        (format!("{{ fields: [presence], unless: {{ presence: [a, b, a] }}, {pairs} }}"), "57: presence value `a` is named twice".to_owned()),
    ] {
        // The value of `hide` begins in column 8.
        let text = format!("rules:\n-\n hide: {hide}\n name: x\n");
        assert_eq!(problems(&text), format!("policy.yaml:3:{want}"), "{hide}");
    }
    assert_eq!(
        problems("rules: [{ name: x, deny: { from: [], to: [], fields: [presence] } }]\n"),
        "policy.yaml:1:46: unknown key `fields`: it belongs to `hide`; valid here are `from`, `to`, `within`"
    );
    ruleset("groups: { a: [] }\nrules: [{ name: x, hide: { within: a, fields: [presence] } }]\n");
}

/// One value stands for a list of one.
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
