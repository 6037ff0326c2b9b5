//! The code and the position of each mistake in a rule about rooms.

use crate::policy::tests::{assert_problems, problems};

#[test]
fn checks_rules_about_rooms() {
    const EVENT: &str = "{ type: t, content: {} }";
    for (rule, want) in [
        ("x", "5 wrong-type"),
        (&format!("{{ add: [{EVENT}] }}"), "5 missing-key name"),
        ("{ name: x }", "5 missing-key add deny"),
        (
            &format!("{{ name: x, add: [{EVENT}], deny: {{ message: no }} }}"),
            "49 conflicting-keys add deny",
        ),
        ("{ name: x, allow: everyone }", "16 unknown-key allow"),
        (&format!("{{ name: x, wen: {{ admin: true }}, add: [{EVENT}] }}"), "16 unknown-key wen"),
        ("{ name: x, add: [] }", "21 empty-list"),
        ("{ name: x, add: [7] }", "22 wrong-type"),
        ("{ name: x, add: [{ type: t }] }", "22 missing-key content"),
        ("{ name: x, add: [{ content: {} }] }", "22 missing-key type"),
        ("{ name: x, add: [{ type: '', content: {} }] }", "30 empty-text"),
        (
            "{ name: x, add: [{ type: m.room.member, content: {} }] }",
            "30 homeserver-event m.room.member",
        ),
        ("{ name: x, add: [{ type: t, content: [] }] }", "42 wrong-type"),
        ("{ name: x, add: [{ type: t, content: { a: 0.5 } }] }", "47 number-out-of-range"),
        (
            "{ name: x, add: [{ type: t, content: { a: { b: 9007199254740992 } } }] }",
            "52 number-out-of-range",
        ),
        ("{ name: x, add: [{ type: t, content: { 7: a } }] }", "44 wrong-type"),
        ("{ name: x, add: [{ type: t, content: { a: 1, a: 1 } }] }", "50 duplicate-key a"),
        (&format!("{{ name: x, add: [{EVENT}, {EVENT}] }}"), "48 duplicate-event t"),
        ("{ name: x, deny: {} }", "22 missing-key deny message"),
        ("{ name: x, deny: { message: '' } }", "33 empty-text"),
        ("{ name: x, deny: { message: no, errcode: forbidden } }", "46 not-an-errcode forbidden"),
        ("{ name: x, deny: { message: no, status: 200 } }", "45 number-out-of-range"),
    ] {
        let text = format!("rules: []\nrooms:\n  - {rule}\n");
        assert_problems(&text, &format!("3:{want}"));
    }
    let long = "x".repeat(256);
    let text = format!(
        "rules: []\nrooms:\n  - {{ name: x, add: [{{ type: {long}, state_key: {long}, content: {{ a: {} }} }}] }}\n",
        "y".repeat(60_000)
    );
    let want = "3:30 value-too-long\n3:299 value-too-long\n3:566 value-too-long";
    assert_problems(&text, want);
    for (problem, bytes) in
        problems(&text).list.iter().zip([[255, 256], [255, 256], [60_000, 60_008]])
    {
        let has = |number: &u64| problem.message.contains(&number.to_string());
        assert!(bytes.iter().all(has), "{problem:?}");
    }
}

#[test]
fn checks_conditions() {
    for (when, want) in [
        ("7", "22 wrong-type"),
        ("{}", "22 empty-condition when"),
        ("{ requester: bob }", "35 not-a-set bob"),
        ("{ invites: { group: staf } }", "42 unknown-group staf"),
        ("{ preset: public_chta }", "32 unknown-value public_chta"),
        ("{ preset: [] }", "32 empty-list"),
        ("{ visibility: publik }", "36 unknown-value publik"),
        ("{ name: [''] }", "31 empty-text"),
        ("{ admin: 'yes' }", "31 wrong-type"),
    ] {
        let text = format!(
            "groups: {{ staff: [] }}\nrules: []\nrooms:\n  - {{ name: x, when: {when}, deny: {{ message: no }} }}\n"
        );
        assert_problems(&text, &format!("4:{want}"));
    }
}
