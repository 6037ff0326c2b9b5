//! Warnings about server names, and the servers in the summary.

use std::fmt::Write as _;
use std::io;

use super::assert_codes;
use crate::policy::problem::{Problem, ProblemCode};
use crate::policy::{Files, Policy};

/// Every file lists the same users.
struct List;

impl Files for List {
    fn read(&self, _: &str) -> io::Result<Vec<u8>> {
        Ok(b"@ann:example.org\n@joe:exmaple.org\n@sue:Example.org\n".to_vec())
    }
}

fn load(text: &str) -> Policy {
    Policy::load("policy.yaml", text.as_bytes(), &List).unwrap_or_else(|e| panic!("{text}\n{e}"))
}

/// The warnings about servers, without those of other kinds.
fn warnings(text: &str) -> Vec<Problem> {
    let of_servers = [
        ProblemCode::PortNotMatched,
        ProblemCode::ServerNameCapitals,
        ProblemCode::ServerNameNearOurs,
    ];
    let all = load(text).warnings.into_iter();
    all.filter(|warning| of_servers.contains(&warning.code)).collect()
}

/// Compares the warnings about servers as [`assert_codes`] does.
#[track_caller]
fn assert_warnings(text: &str, want: &str) {
    assert_codes(&warnings(text), want, text);
}

/// A policy in which everybody sees everybody, with one more rule or switch.
fn open(more: &str) -> String {
    format!(
        "groups:
  banned: [{{ server: [evil.org, bad.org] }}, '@eve:other.org']
  covered: [{{ server: evil.org }}, {{ match: '@*:evil.org:*' }}]
  nested: {{ any: [{{ group: banned }}], except: '@a:evil.org' }}
rules:
  - {{ name: all, allow: {{ from: everyone, to: {{ server: '*' }} }} }}
  - {{ name: bans, {more} }}
"
    )
}

#[test]
fn warns_of_a_ban_without_ports() {
    for sides in [
        "from: { server: evil.org }, to: everyone",
        "from: everyone, to: { server: evil.org }",
        "from: everyone, to: ['@a:b.c', { server: [evil.org, 'evil.org:8449'] }]",
        "from: everyone, to: { all_of: [{ server: evil.org }, { match: '@*-bot:*' }] }",
        "from: everyone, to: { any: { server: evil.org }, except: '@a:evil.org' }",
    ] {
        let text = open(&format!("deny: {{ {sides} }}"));
        assert_warnings(&text, "7:5 port-not-matched bans evil.org evil.org:8448");
    }
    for group in ["from: everyone, to: { group: nested }", "within: banned"] {
        let text = open(&format!("deny: {{ {group} }}"));
        assert_warnings(&text, "7:5 port-not-matched bans bad.org evil.org bad.org:8448");
    }
    let many = "deny: { from: everyone, to: { server: [a.b, b.b, c.b, d.b, '[::1]'] } }";
    assert_warnings(&open(many), "7:5 port-not-matched bans [::1] a.b b.b [::1]:8448");
    assert!(warnings(&open(many))[0].message.contains("`b.b` and 2 more, but not with a port"));
    for (rule, verb, written) in [
        ("deny: { from: everyone, to: { match: '@*-bot:evil.org' } }", "denies", "@*-bot:evil.org"),
        (
            "hide: { from: everyone, to: { server: evil.org }, fields: presence }",
            "hides something for",
            "evil.org",
        ),
        ("shadow: true, deny: { from: everyone, to: { server: evil.org } }", "denies", "evil.org"),
        (
            "allow: { from: everyone, to: { any: everyone, except: [{ server: evil.org }, '@a:b.c'] } }",
            "leaves out",
            "evil.org",
        ),
    ] {
        let text = open(rule);
        assert_warnings(&text, "7:5 port-not-matched bans evil.org evil.org:8448");
        let Problem { message, help, .. } = &warnings(&text)[0];
        assert!(message.starts_with(&format!("rule `bans` {verb} `evil.org`, but")), "{message}");
        assert_eq!(*help, format!("write `[\"{written}\", \"{written}:*\"]`"));
    }

    let hide = "hide: { from: everyone, to: { server: evil.org }, fields: presence }";
    let servers = format!("{}ours: a.b\nservers: {{ deny: [evil.org, '*.bad'] }}\n", open(hide));
    assert_warnings(
        &servers,
        "7:5 port-not-matched bans evil.org\n9:12 port-not-matched servers.deny evil.org",
    );

    let rooms = "rules: []\nrooms:\n  - { name: x, when: { invites: { server: evil.org } }, deny: { message: no } }\n  - { name: y, when: { invites: { server: evil.org } }, add: [{ type: a.b, content: {} }] }\n  - { name: z, when: { requester: { server: evil.org } }, deny: { message: no } }";
    assert_warnings(rooms, "3:5 port-not-matched x evil.org");
}

#[test]
fn is_silent_where_no_port_is_missing() {
    for more in [
        // The ports are covered.
        "deny: { from: everyone, to: { server: [evil.org, 'evil.org:*'] } }",
        "deny: { from: everyone, to: { server: [evil.org, 'evil.org*'] } }",
        "deny: { from: everyone, to: [{ server: evil.org }, { server: '*:*' }] }",
        "deny: { from: everyone, to: { group: covered } }",
        "deny: { from: everyone, to: [{ match: '@b*:evil.org' }, { match: '@b*:evil.org:*' }] }",
        "deny: { from: everyone, to: [{ group: banned }, everyone] }",
        // The rule names servers with a port.
        "deny: { from: everyone, to: { server: ['evil.org:8448', '[::1]:8448'] } }",
        // The missing port denies more, or allows less.
        "deny: { from: everyone, to: { any: everyone, except: { server: evil.org } } }",
        "allow: { from: everyone, to: { server: evil.org } }",
        "allow: { from: everyone, to: { any: { server: '*.org' }, except: { server: evil.org } } }",
        "allow: { from: everyone, to: { any: everyone, except: [{ server: evil.org }, { server: '*:*' }] } }",
        // A user and a glob are not server names.
        "deny: { from: everyone, to: ['@a:evil.org', { server: '*.evil.org' }] }",
    ] {
        assert_warnings(&open(more), "");
    }
    // No rule allows the name with a port, or the name is ours.
    for text in [
        "groups: { partners: { server: [p.org, '*.p.org'] } }
rules:
  - { name: a, allow: { from: everyone, to: { group: partners } } }
  - { name: d, deny: { from: '@joe:a.b', to: { group: partners } } }",
        "ours: a.b
local: false
rules:
  - { name: a, allow: { from: everyone, to: everyone } }
  - { name: d, deny: { from: { server: a.b }, to: everyone } }",
    ] {
        assert_warnings(text, "");
    }
}

/// Long lists of servers, groups that double each other, and a long chain of groups cost
/// little.
#[test]
fn looks_at_long_lists_within_its_budget() {
    let names: Vec<String> = (0..3_000).map(|number| format!("s{number}.bad")).collect();
    let banned = names.join(", ");
    let covered: Vec<String> = names.iter().map(|name| format!("'{name}:*'")).collect();
    let list = |names: &str| format!("deny: {{ from: everyone, to: {{ server: [{names}] }} }}");
    let [warning] = warnings(&open(&list(&banned))).try_into().unwrap();
    assert!(warning.message.contains(" and 2997 more, but not"), "{warning:?}");
    assert_warnings(&open(&list(&format!("{banned}, {}", covered.join(", ")))), "");

    let mut text = "groups:\n  g0: { server: evil.org }\n".to_owned();
    for number in 1..60 {
        let before = number - 1;
        writeln!(text, "  g{number}: [{{ group: g{before} }}, {{ group: g{before} }}]").unwrap();
    }
    text += "rules:\n  - { name: a, allow: { from: everyone, to: everyone } }\n  - { name: x, deny: { from: { group: g59 }, to: everyone } }";
    load(&text);
    let mut text = "groups:\n  g0: { server: evil.org }\n".to_owned();
    (1..20_000).for_each(|n| writeln!(text, "  g{n}: {{ group: g{} }}", n - 1).unwrap());
    text += "rules:\n  - { name: a, allow: { from: everyone, to: everyone } }\n  - { name: x, deny: { from: { group: g19999 }, to: everyone } }";
    load(&text);
}

#[test]
fn warns_of_capital_letters() {
    let text = "ours: [a.b, My.org]
local: false
groups:
  staff: { members_file: staff.txt }
  more: ['@x:a.b', '@x:Two.org', '@y:Two.org']
rules:
  - { name: a, allow: { from: { group: staff }, to: { server: ['*.Partner.org', x.y] } } }
  - { name: b, allow: { from: { group: more }, to: { match: '@A*:B.org' } } }
tests:
  - { sender: '@ann:Three.org', not: '@Joe:a.b' }
";
    assert_warnings(
        text,
        "1:7 server-name-capitals My.org my.org\n\
         4:26 server-name-capitals Example.org example.org staff.txt @sue:Example.org\n\
         5:20 server-name-capitals Two.org two.org\n\
         7:5 server-name-capitals *.Partner.org *.partner.org\n\
         8:5 server-name-capitals B.org b.org\n\
         10:15 server-name-capitals Three.org three.org",
    );
    let found = warnings(text);
    assert!(found[3].message.starts_with("server glob "), "{found:?}");
    assert!(found[4].message.starts_with("server name "), "{found:?}");
    assert_eq!(found[3].help, "write `*.partner.org`");
}

#[test]
fn warns_of_names_that_are_nearly_ours() {
    let text = "ours: [example.org, hs1.example.org]
groups:
  staff: { members_file: staff.txt }
  more: ['@x:exampl.org', '@x:hs2.example.org', '@y:exampl.org']
rules:
  - { name: a, allow: { from: { group: staff }, to: { group: more } } }
  - { name: b, deny: { from: everyone, to: { server: ['*.exampel.org', '*.example.org'] } } }
servers: { deny: [examplle.ogr, other.org] }
";
    let near: Vec<Problem> = warnings(text)
        .into_iter()
        .filter(|warning| warning.code == ProblemCode::ServerNameNearOurs)
        .collect();
    assert_codes(
        &near,
        "3:26 server-name-near-ours exmaple.org example.org staff.txt @joe:exmaple.org\n\
         4:10 server-name-near-ours exampl.org example.org\n\
         7:5 server-name-near-ours *.exampel.org example.org\n\
         8:12 server-name-near-ours examplle.ogr example.org",
        text,
    );
    assert!(near.iter().all(|warning| warning.help == "did you mean `example.org`?"), "{near:?}");
}

#[test]
fn names_of_other_servers_are_not_nearly_ours() {
    for (ours, other, is_near) in [
        ("example.org", "exmaple.org", true),
        ("example.org", "example.og", true),
        ("example.com", "example.co", true),
        ("example.org", "exampleorg", true),
        ("example.org:8448", "exampl.org:8448", true),
        ("matrix.ministry.example", "matrix.ministri.example", true),
        ("chat.example.org", "chta.example.org", true),
        // Three edits.
        ("example.org", "xemaples.org", false),
        ("example.org", "example.net", false),
        // Another country, another short name, a subdomain, another number, another port.
        ("example.de", "example.dk", false),
        ("one.org", "ode.org", false),
        ("a.org", "b.org", false),
        ("a.example.org", "b.example.org", false),
        ("chat.example.org", "chap.example.org", false),
        ("example.org", "m.example.org", false),
        ("node9.example.org", "node10.example.org", false),
        ("example.org:8448", "example.org:8449", false),
        ("example.org", "example.org:8448", false),
        ("[2001:db8::1]", "[2001:db8::2]", false),
    ] {
        let text = format!(
            "ours: ['{ours}']\nrules: [{{ name: x, allow: {{ from: '@a:{other}', to: everyone }} }}]"
        );
        assert_eq!(!warnings(&text).is_empty(), is_near, "{ours} {other}");
    }
}

#[test]
fn the_summary_lists_servers() {
    let summary = |text: &str| load(text).summary();
    assert_eq!(summary("rules: []"), "valid: 0 rules, 0 groups, 0 users listed on 0 servers");
    let few = "groups: { a: ['@a:b.org', '@b:b.org', '@a:a.org', '@a:c.org'] }
rules: [{ name: x, deny: { from: { group: a }, to: [{ server: [evl.org, b.org] }, { server: '*.x' }] } }]";
    assert_eq!(
        summary(few),
        "valid: 1 rule, 1 group, 4 users listed on 3 servers: b.org (2), a.org (1), c.org (1); servers without listed users: evl.org"
    );
    let many: String = (10..25).map(|n| format!("'@a:s{n}.org', ")).collect();
    let named: String = (10..25).map(|n| format!("t{n}.org, ")).collect();
    let many =
        format!("groups: {{ a: [{many} '@b:s20.org'], b: {{ server: [{named}] }} }}\nrules: []");
    assert_eq!(
        summary(&many),
        "valid: 0 rules, 2 groups, 16 users listed on 15 servers: s20.org (2), s10.org (1), s11.org (1), s12.org (1), s13.org (1), s14.org (1), s15.org (1), s16.org (1), s17.org (1), s18.org (1) and 5 more; servers without listed users: t10.org, t11.org, t12.org, t13.org, t14.org, t15.org, t16.org, t17.org, t18.org, t19.org and 5 more"
    );
}
