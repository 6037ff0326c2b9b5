//! Replaces every value of a policy with all constructs by an invalid one, and adds an
//! unknown key to every map. Each mistake has a problem at its position.

use serde_json::{Value, json};

use crate::policy::Policy;
use crate::policy::problem::Problem;

/// Placeholder for the invalid value.
const HERE: &str = "here!";

fn policy() -> Value {
    json!({
        "ours": ["one.org"],
        "local": true,
        "inbound": false,
        "outbound": false,
        "servers": { "allow": ["*.org"], "deny": "two.org" },
        "groups": {
            "list": ["@ann:one.org", { "server": ["a.org", "*.b.org"] }],
            "pattern": { "match": "@*-bot:one.org" },
            "both": { "all_of": [{ "group": "list" }, "everyone"] },
            "some": { "any": { "server": "c.org" }, "except": { "match": ["@a:*", "@b:*"] } },
            "later": { "directory": true },
        },
        "rules": [
            { "name": "a", "allow": { "from": "everyone", "to": { "group": "some" } } },
            { "name": "b", "shadow": true, "deny": { "within": "l*" } },
            { "name": "c", "hide": {
                "from": ["@ann:one.org"],
                "to": "everyone",
                "fields": ["status_msg", "presence"],
                "unless": { "presence": ["busy"] },
            } },
            { "name": "d", "shadow": true, "allow": { "from": "everyone", "share_room": {
                "at_most": 50,
                "at_least": 2,
                "not_counting": ["@*-bot:*"],
                "encrypted": true,
                "join_rule": ["invite", "knock"],
                "history_visibility": "shared",
                "rooms": ["!a*"],
                "not_rooms": "!ab",
                "space": "!c:one.org",
                "presence_sharing": "suggest",
            } } },
        ],
        "rooms": [
            { "name": "a", "when": {
                "requester": { "group": "list" },
                "preset": ["private_chat", "public_chat"],
                "visibility": "private",
                "invites": [{ "server": "c.org" }],
                "name": ["team-*"],
                "admin": false,
            }, "add": [
                { "type": "org.one", "state_key": "x", "content": { "a": [1, null] } },
            ] },
            { "name": "b", "when": { "preset": "trusted_private_chat", "name": "x*" }, "deny": {
                "errcode": "ONE.ORG_NO",
                "message": "no",
                "status": 400,
            } },
        ],
        "tests": [
            {
                "room": {
                    "requester": "@ann:one.org",
                    "preset": "private_chat",
                    "visibility": "private",
                    "invites": ["@x:c.org"],
                    "name": "team-x",
                    "admin": false,
                },
                "adds": ["org.one"],
                "not": "org.two",
                "denied": false,
            },
            {
                "given": { "groups": { "later": ["@sue:one.org"] } },
                "room": { "requester": "@sue:one.org", "preset": "trusted_private_chat", "name": "x" },
                "denied": "ONE.ORG_NO",
            },
            { "sender": "@y:c.org", "reaches": "@x:c.org", "not": ["@b:c.org"] },
            {
                "given": { "groups": { "later": ["@sue:one.org"] } },
                "recipient": "@b:c.org",
                "not": "@sue:one.org",
            },
        ],
    })
}

/// JSON pointers to all values; true: the value is a map.
fn pointers(value: &Value, at: String, found: &mut Vec<(String, bool)>) {
    match value {
        Value::Array(items) => {
            (0..)
                .zip(items)
                .for_each(|(i, item): (usize, _)| pointers(item, format!("{at}/{i}"), found));
        }
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| pointers(value, format!("{at}/{key}"), found));
        }
        _ => {}
    }
    found.push((at, value.is_object()));
}

/// Replaces the placeholder by a text, expects a problem in its line, and returns all
/// problems.
#[track_caller]
fn refused(policy: &Value, at: &str, instead: &str) -> String {
    let text = serde_json::to_string_pretty(policy).unwrap();
    let here = format!("\"{HERE}\"");
    let (line, row) = (1..).zip(text.lines()).find(|(_, row)| row.contains(&here)).unwrap();
    let columns = row.find(&here).unwrap() as u64 + 1..;
    let text = text.replace(&here, instead);
    let Err(problems) = Policy::parse("policy.yaml", text.as_bytes()) else {
        panic!("{at}: {instead} is valid\n{text}")
    };
    let there = |problem: &Problem| {
        problem.position.line == line && columns.contains(&problem.position.column)
    };
    assert!(problems.list.iter().any(there), "{at}: {instead} in line {line}\n{problems}\n{text}");
    problems.to_string()
}

#[test]
fn every_value_may_be_wrong_and_every_map_have_a_key_too_many() {
    let policy = policy();
    Policy::parse("policy.yaml", policy.to_string().as_bytes()).unwrap();
    let mut found = Vec::new();
    pointers(&policy, String::new(), &mut found);
    assert!(found.len() > 60, "{}", found.len());
    // The content of an event may have any keys and values.
    found.retain(|(at, _)| !at.contains("/content"));
    for (at, is_map) in found {
        if !at.is_empty() {
            let mut policy = policy.clone();
            let is_number = policy.pointer(&at).unwrap().is_number();
            *policy.pointer_mut(&at).unwrap() = json!(HERE);
            let number = if is_number { "0" } else { "7" };
            for instead in [number, "null", "[[7]]", "{ \"zzz\": 7 }"] {
                refused(&policy, &at, instead);
            }
        }
        if is_map {
            let mut policy = policy.clone();
            policy.pointer_mut(&at).unwrap()[HERE] = json!(7);
            let told = refused(&policy, &at, "\"x\\ny\"");
            assert!(told.contains(r#"`"x\ny"`"#) || told.contains("control"), "{at}: {told}");
        }
    }
}
