//! Warnings about names of servers, and the summary, which lists servers.

use std::fmt::Write as _;
use std::io;

use crate::policy::problem::ProblemCode;
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
fn warnings(text: &str) -> Vec<String> {
    let of_servers = [
        ProblemCode::PortNotMatched,
        ProblemCode::ServerNameCapitals,
        ProblemCode::ServerNameNearOurs,
    ];
    let all = load(text).warnings.into_iter().filter(|w| of_servers.contains(&w.code));
    all.map(|w| format!("{}:{}: {}", w.position.line, w.position.column, w.message)).collect()
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
    let no_port = |what: &str, names: &str, name: &str, written: &str| {
        [format!(
            "7:5: {what} {names}, but not with a port: `{name}:8448` is another server name; write `[\"{written}\", \"{written}:*\"]`"
        )]
    };
    let evil = |what| no_port(what, "`evil.org`", "evil.org", "evil.org");
    let denies = "rule `bans` denies";
    for sides in [
        "from: { server: evil.org }, to: everyone",
        "from: everyone, to: { server: evil.org }",
        "from: everyone, to: ['@a:b.c', { server: [evil.org, 'evil.org:8449'] }]",
        "from: everyone, to: { all_of: [{ server: evil.org }, { match: '@*-bot:*' }] }",
        "from: everyone, to: { any: { server: evil.org }, except: '@a:evil.org' }",
    ] {
        assert_eq!(warnings(&open(&format!("deny: {{ {sides} }}"))), evil(denies), "{sides}");
    }
    let both = no_port(denies, "`bad.org`, `evil.org`", "bad.org", "bad.org");
    for group in ["from: everyone, to: { group: nested }", "within: banned"] {
        assert_eq!(warnings(&open(&format!("deny: {{ {group} }}"))), both, "{group}");
    }
    let many = "deny: { from: everyone, to: { server: [a.b, b.b, c.b, d.b, '[::1]'] } }";
    let names = "`[::1]`, `a.b`, `b.b` and 2 more";
    assert_eq!(warnings(&open(many)), no_port(denies, names, "[::1]", "[::1]"));
    let pattern = "deny: { from: everyone, to: { match: '@*-bot:evil.org' } }";
    let written = "@*-bot:evil.org";
    assert_eq!(warnings(&open(pattern)), no_port(denies, "`evil.org`", "evil.org", written));

    let hide = "hide: { from: everyone, to: { server: evil.org }, fields: presence }";
    assert_eq!(warnings(&open(hide)), evil("rule `bans` hides something for"));
    let shadow = "shadow: true, deny: { from: everyone, to: { server: evil.org } }";
    assert_eq!(warnings(&open(shadow)), evil(denies));
    let except = "allow: { from: everyone, to: { any: everyone, except: [{ server: evil.org }, '@a:b.c'] } }";
    assert_eq!(warnings(&open(except)), evil("rule `bans` leaves out"));

    let servers = format!("{}ours: a.b\nservers: {{ deny: [evil.org, '*.bad'] }}\n", open(hide));
    let lines = warnings(&servers);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[1].starts_with("9:12: `servers.deny` names `evil.org`, but not with"),
        "{lines:?}"
    );

    let rooms = "rules: []\nrooms:\n  - { name: x, when: { invites: { server: evil.org } }, deny: { message: no } }\n  - { name: y, when: { invites: { server: evil.org } }, add: [{ type: a.b, content: {} }] }\n  - { name: z, when: { requester: { server: evil.org } }, deny: { message: no } }";
    let lines = warnings(rooms);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("3:5: rule `x` about rooms denies `evil.org`, but"), "{lines:?}");
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
        // They are named, with a port.
        "deny: { from: everyone, to: { server: ['evil.org:8448', '[::1]:8448'] } }",
        // More is denied for that, or less is allowed.
        "deny: { from: everyone, to: { any: everyone, except: { server: evil.org } } }",
        "allow: { from: everyone, to: { server: evil.org } }",
        "allow: { from: everyone, to: { any: { server: '*.org' }, except: { server: evil.org } } }",
        "allow: { from: everyone, to: { any: everyone, except: [{ server: evil.org }, { server: '*:*' }] } }",
        // A user, and a glob, are no names of servers.
        "deny: { from: everyone, to: ['@a:evil.org', { server: '*.evil.org' }] }",
    ] {
        assert_eq!(warnings(&open(more)), [""; 0], "{more}");
    }
    // Nothing allows what has a port, or it is ours.
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
        assert_eq!(warnings(text), [""; 0], "{text}");
    }
}

/// Neither long lists of servers, nor groups that double each other, nor a long chain
/// of groups take long.
#[test]
fn looks_at_long_lists_within_its_budget() {
    let names: Vec<String> = (0..3_000).map(|number| format!("s{number}.bad")).collect();
    let banned = names.join(", ");
    let covered: Vec<String> = names.iter().map(|name| format!("'{name}:*'")).collect();
    let list = |names: &str| format!("deny: {{ from: everyone, to: {{ server: [{names}] }} }}");
    let lines = warnings(&open(&list(&banned)));
    assert!(lines.len() == 1 && lines[0].contains(" and 2997 more, but not"), "{lines:?}");
    assert_eq!(warnings(&open(&list(&format!("{banned}, {}", covered.join(", "))))), [""; 0]);

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
    let capitals = |at: &str, what: &str, lower: &str, file: &str| {
        format!(
            "{at}: {what} has capital letters, and does not match `{lower}`: server names are compared byte by byte{file}"
        )
    };
    assert_eq!(
        warnings(text),
        [
            capitals("1:7", "server name `My.org`", "my.org", ""),
            capitals(
                "4:26",
                "server name `Example.org`",
                "example.org",
                " (in the members file `staff.txt`, as in `@sue:Example.org`)"
            ),
            capitals("5:20", "server name `Two.org`", "two.org", ""),
            capitals("7:5", "server glob `*.Partner.org`", "*.partner.org", ""),
            capitals("8:5", "server name `B.org`", "b.org", ""),
            capitals("10:15", "server name `@ann:Three.org`", "three.org", "").replace("@ann:", ""),
        ]
    );
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
    let near = |at: &str, what: &str, file: &str| {
        format!(
            "{at}: {what} is nearly `example.org`, which is one of `ours`; did you mean that?{file}"
        )
    };
    let found: Vec<String> =
        warnings(text).into_iter().filter(|line| line.contains("nearly")).collect();
    assert_eq!(
        found,
        [
            near(
                "3:26",
                "server name `exmaple.org`",
                " (in the members file `staff.txt`, as in `@joe:exmaple.org`)"
            ),
            near("4:10", "server name `exampl.org`", ""),
            near("7:5", "server glob `*.exampel.org`", ""),
            near("8:12", "server name `examplle.ogr`", ""),
        ]
    );
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
