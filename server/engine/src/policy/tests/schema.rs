//! The JSON Schema equals the committed file, and accepts the same policies as the reader.

use serde_json::{Value, json};

use super::Export;
use crate::policy::problem::ProblemCode;
use crate::policy::{EXAMPLE_POLICY, POLICY_SCHEMA, Policy, schema};

/// If this variable is set, the test writes the file instead of comparing it.
const WRITE: &str = "PRESENCE_ROUTER_WRITE_SCHEMA";

#[test]
fn the_committed_schema_is_that_of_the_types() {
    let schema = serde_json::to_string_pretty(&schema::schema()).expect("it is JSON") + "\n";
    if std::env::var_os(WRITE).is_some() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/policy.schema.json");
        std::fs::write(file, schema).expect("it can be written");
    } else {
        assert!(
            schema == POLICY_SCHEMA,
            "the schema has changed; write it by {WRITE}=1 cargo test -p presence-router-engine --lib schema"
        );
    }
}

/// Problems that only the reader can find, since they need several places of a policy, or
/// another file.
const BEYOND_A_SCHEMA: &[ProblemCode] = &[
    ProblemCode::DeniedOwnServer,
    ProblemCode::DuplicateEvent,
    ProblemCode::DuplicateGroup,
    ProblemCode::DuplicateRule,
    ProblemCode::EmptyTestSubject,
    ProblemCode::GivenListedGroup,
    ProblemCode::GroupCycle,
    ProblemCode::MembersFileUnreadable,
    ProblemCode::OpenTestSubject,
    ProblemCode::TestFailed,
    ProblemCode::UnknownGroup,
    ProblemCode::UnmatchedWithin,
];

/// The problems that need one place only.
fn local_problems(policy: &Value) -> Vec<String> {
    // Every JSON text is YAML.
    let Err(found) = Policy::load("policy.yaml", policy.to_string().as_bytes(), &Export) else {
        return Vec::new();
    };
    let local = found.list.into_iter().filter(|problem| !BEYOND_A_SCHEMA.contains(&problem.code));
    local.map(|problem| problem.message).collect()
}

fn corpus() -> Vec<Value> {
    let pages = ["../docs/policy.md", "../docs/cli.md"].map(super::page);
    let shown = pages.iter().flat_map(|page| super::examples(page));
    let all = shown.chain([EXAMPLE_POLICY]).map(|text| serde_saphyr::from_str(text).expect(text));
    all.chain([policy_with_given_rooms()]).collect()
}

/// A policy with a test that uses every key of a given room.
fn policy_with_given_rooms() -> Value {
    let room = json!({
        "members": ["@a:b", "@b:b"],
        "encrypted": true,
        "join_rule": "knock_restricted",
        "history_visibility": "joined",
        "spaces": ["!space:b"],
        "presence_sharing": "suggest",
        "partial": true,
    });
    let given = json!({ "rooms": { "!a": room, "!c:b": { "members": "@c:b" } } });
    json!({ "rules": [], "tests": [{ "given": given, "sender": "@a:b", "not": "@b:b" }] })
}

/// All policies that differ from this one in one place.
fn changed(policy: &Value) -> Vec<Value> {
    let mut changed = Vec::new();
    for path in paths(policy, String::new()) {
        let mut with = |change: &dyn Fn(&mut Value)| {
            let mut copy = policy.clone();
            change(copy.pointer_mut(&path).expect("it is there"));
            changed.push(copy);
        };
        for other in [
            json!(null),
            json!(true),
            json!(false),
            json!(7),
            json!(""),
            json!("two words"),
            json!("@a:b"),
            json!("everyone"),
            json!("@*:b*"),
            json!([]),
            json!({}),
            json!([null]),
            json!(["two words"]),
            json!({ "directory": true }),
        ] {
            with(&|value| *value = other.clone());
        }
        match policy.pointer(&path).expect("it is there") {
            Value::Object(map) => {
                for key in map.keys() {
                    with(&|value| drop(value.as_object_mut().map(|map| map.remove(key))));
                }
                for (key, new) in [
                    ("unknown", json!(1)),
                    ("directory", json!(true)),
                    ("within", json!("*")),
                    ("from", json!([])),
                    ("fields", json!(["presence"])),
                    ("shadow", json!(true)),
                    ("local", json!(false)),
                    ("ours", json!(["a.b"])),
                    ("sees", json!("@a:b")),
                    ("only", json!([])),
                    ("hides", json!({ "fields": "presence" })),
                    ("hide", json!({ "within": "*", "fields": ["presence"] })),
                ] {
                    if !map.contains_key(key) {
                        with(&|value| value[key] = new.clone());
                    }
                }
            }
            Value::Array(items) => {
                for item in items {
                    with(&|value| value.as_array_mut().expect("a list").push(item.clone()));
                }
            }
            _ => {}
        }
    }
    changed
}

/// JSON pointers to all values.
fn paths(value: &Value, path: String) -> Vec<String> {
    let mut all = match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| {
                let key = key.replace('~', "~0").replace('/', "~1");
                paths(value, format!("{path}/{key}"))
            })
            .collect(),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.flat_map(|(i, value)| paths(value, format!("{path}/{i}"))).collect()
        }
        _ => Vec::new(),
    };
    all.push(path);
    all
}

#[test]
fn schema_and_reader_agree() {
    let schema = jsonschema::validator_for(&schema::schema()).expect("it is a schema");
    let (mut valid, mut invalid) = (0, 0);
    for policy in corpus() {
        assert!(schema.is_valid(&policy), "{policy}");
        for policy in changed(&policy) {
            let problems = local_problems(&policy);
            let by_schema: Vec<_> =
                schema.iter_errors(&policy).map(|error| error.to_string()).collect();
            assert_eq!(
                by_schema.is_empty(),
                problems.is_empty(),
                "{policy}\nreader: {problems:#?}\nschema: {by_schema:#?}"
            );
            *if problems.is_empty() { &mut valid } else { &mut invalid } += 1;
        }
    }
    assert!(valid > 500 && invalid > 2_000, "{valid} {invalid}");
}

#[test]
fn names_of_groups_and_ids_agree_too() {
    let schema = jsonschema::validator_for(&schema::schema()).expect("it is a schema");
    for name in ["", " ", "a b", "team/x", "a*", "a?", "a\u{7}", "a\u{85}", "\u{e9}"] {
        let policy = json!({ "groups": { name: [] }, "rules": [] });
        assert_eq!(schema.is_valid(&policy), local_problems(&policy).is_empty(), "{name:?}");
    }
    for id in
        ["@a:b", "@:b", "a:b", "@a", "@a:", "@a:b_c", "@a:b*", "@*:b", "@a:[::1]:8448", "@a b:c"]
    {
        let policy = json!({ "groups": { "x": id }, "rules": [] });
        assert_eq!(schema.is_valid(&policy), local_problems(&policy).is_empty(), "{id:?}");
    }
    for id in ["!a", "!a:b", "!", "a", "#a:b", "!a b", "!a\u{a0}b", "!a\u{7}", "!\u{e9}", "!a*"] {
        let mut policy = policy_with_given_rooms();
        policy["tests"][0]["given"]["rooms"] = json!({ id: { "members": [] } });
        assert_eq!(schema.is_valid(&policy), local_problems(&policy).is_empty(), "{id:?}");
    }
}
