//! What each mistake in a rule about rooms is answered with.

use crate::policy::tests::problems;

#[test]
fn checks_rules_about_rooms() {
    const EVENT: &str = "{ type: t, content: {} }";
    for (rule, want) in [
        (
            "x",
            "5: expected a rule about rooms, a map with `name` and `add` or `deny`, found a text",
        ),
        (&format!("{{ add: [{EVENT}] }}"), "5: a rule about rooms needs a `name`"),
        ("{ name: x }", "5: a rule about rooms needs one of `add` and `deny`"),
        (
            &format!("{{ name: x, add: [{EVENT}], deny: {{ message: no }} }}"),
            "49: a rule about rooms has either `add` or `deny`, not both; make a rule of each",
        ),
        (
            "{ name: x, allow: everyone }",
            "16: unknown key `allow`: rooms are created unless a rule denies it; valid here are `add`, `deny`, `name`, `when`",
        ),
        (
            &format!("{{ name: x, wen: {{ admin: true }}, add: [{EVENT}] }}"),
            "16: unknown key `wen`; valid here are `add`, `deny`, `name`, `when`; did you mean `when`?",
        ),
        ("{ name: x, add: [] }", "21: expected a list of state events, found an empty one"),
        (
            "{ name: x, add: [7] }",
            "22: expected a state event, a map with `type` and `content`, found a number",
        ),
        ("{ name: x, add: [{ type: t }] }", "22: a state event needs `content`"),
        ("{ name: x, add: [{ content: {} }] }", "22: a state event needs `type`"),
        ("{ name: x, add: [{ type: '', content: {} }] }", "30: the type of an event is empty"),
        (
            "{ name: x, add: [{ type: m.room.member, content: {} }] }",
            "30: `m.room.member` is made by the homeserver alone",
        ),
        (
            "{ name: x, add: [{ type: t, content: [] }] }",
            "42: expected the content of an event, a map, found a list",
        ),
        (
            "{ name: x, add: [{ type: t, content: { a: 0.5 } }] }",
            "47: events hold whole numbers from -9007199254740991 to 9007199254740991 only; put another in quotes",
        ),
        (
            "{ name: x, add: [{ type: t, content: { a: { b: 9007199254740992 } } }] }",
            "52: events hold whole numbers from -9007199254740991 to 9007199254740991 only; put another in quotes",
        ),
        (
            "{ name: x, add: [{ type: t, content: { 7: a } }] }",
            "44: expected a key, found a number; put it in quotes",
        ),
        (
            "{ name: x, add: [{ type: t, content: { a: 1, a: 1 } }] }",
            "50: key `a` is already given in line 3",
        ),
        (
            &format!("{{ name: x, add: [{EVENT}, {EVENT}] }}"),
            "48: an event `t` with state key `` is added twice",
        ),
        ("{ name: x, deny: {} }", "22: `deny` needs a `message` for the requester"),
        ("{ name: x, deny: { message: '' } }", "33: a message for the requester is empty"),
        (
            "{ name: x, deny: { message: no, errcode: forbidden } }",
            "46: `forbidden` is not an errcode: they are written as `M_FORBIDDEN` or `ORG.EXAMPLE_NO_ROOMS`",
        ),
        (
            "{ name: x, deny: { message: no, status: 200 } }",
            "45: expected an HTTP status from 400 to 499",
        ),
    ] {
        let text = format!("rules: []\nrooms:\n  - {rule}\n");
        assert_eq!(problems(&text), format!("policy.yaml:3:{want}"), "{rule}");
    }
    let long = "x".repeat(256);
    let text = format!(
        "rules: []\nrooms:\n  - {{ name: x, add: [{{ type: {long}, state_key: {long}, content: {{ a: {} }} }}] }}\n",
        "y".repeat(60_000)
    );
    let found = problems(&text);
    assert!(
        found.contains("3:30: the type of an event has at most 255 bytes, this has 256"),
        "{found}"
    );
    assert!(found.contains("a state key has at most 255 bytes, this has 256"), "{found}");
    assert!(found.contains("a content has at most 60000 bytes as JSON, this has 60008"), "{found}");
}

#[test]
fn checks_conditions() {
    for (when, want) in [
        (
            "7",
            "expected a map with some of `admin`, `invites`, `name`, `preset`, `requester`, `visibility`, found a number",
        ),
        ("{}", "`when` is empty; leave it away for a rule about every room"),
        (
            "{ requester: bob }",
            "`bob` is not a set: write a user id such as `@bob:example.org`, `everyone`, or `{ group: bob }`",
        ),
        ("{ invites: { group: staf } }", "group `staf` is not declared; did you mean `staff`?"),
        (
            "{ preset: public_chta }",
            "unknown preset `public_chta`; valid here are `private_chat`, `public_chat`, `trusted_private_chat`; did you mean `public_chat`?",
        ),
        ("{ preset: [] }", "expected a list of presets, found an empty one"),
        (
            "{ visibility: publik }",
            "unknown visibility `publik`; valid here are `private`, `public`; did you mean `public`?",
        ),
        ("{ name: [''] }", "a glob over names of rooms is empty"),
        ("{ admin: 'yes' }", "expected `true` or `false`, found a text"),
    ] {
        let text = format!(
            "groups: {{ staff: [] }}\nrules: []\nrooms:\n  - {{ name: x, when: {when}, deny: {{ message: no }} }}\n"
        );
        let found = problems(&text);
        assert!(
            found.starts_with("policy.yaml:4:") && found.ends_with(&format!(": {want}")),
            "{when}\n{found}"
        );
        assert_eq!(found.lines().count(), 1, "{found}");
    }
}
