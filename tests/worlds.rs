//! Random policies over few names, so that rules collide often: local and
//! remote users, `everyone`, servers, patterns, exceptions, nested groups, and
//! users whom no policy names.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

/// Servers that users live on. No policy names the last one.
const SERVERS: [&str; 5] =
    ["one.org", "sub.one.org", "two.com:8448", "[2001:db8::1]:8448", "unmet.net"];

/// Everybody whom a world is asked about. Policies name some of the first.
pub(crate) fn everybody() -> Vec<String> {
    let localparts = ["a", "b", "c-bot", "", "é"];
    let mut all: Vec<String> = SERVERS
        .iter()
        .flat_map(|server| localparts.iter().map(move |name| format!("@{name}:{server}")))
        .collect();
    // Never in a policy, and yet a pattern may fit.
    all.extend(["@unmet:one.org", "@unmet-bot:sub.one.org", "@zz:two.com:8448"].map(str::to_owned));
    all
}

/// The server names of some caller.
pub(crate) fn callers() -> impl Strategy<Value = Vec<String>> {
    let names: Vec<String> = SERVERS.iter().map(|name| (*name).to_owned()).collect();
    subsequence(names, 1..=2)
}

/// The text of some policy without problems.
pub(crate) fn policies() -> impl Strategy<Value = String> {
    let names: Vec<String> = (0..5).map(|i| format!("{}/g{i}", ["team", "all"][i % 2])).collect();
    // A group refers only to groups before it, so that there are no cycles.
    let groups: Vec<_> = (0..names.len()).map(|i| sets(names[..i].to_vec())).collect();
    (groups, vec(rule(names.clone()), 0..7)).prop_map(move |(groups, rules)| {
        let groups: serde_json::Map<_, _> = names.iter().cloned().zip(groups).collect();
        let rules: Vec<Value> = rules
            .into_iter()
            .enumerate()
            .map(|(i, (effect, pairs))| json!({ "name": format!("rule {i}"), effect: pairs }))
            .collect();
        // JSON is YAML.
        json!({ "groups": groups, "rules": rules }).to_string()
    })
}

fn rule(groups: Vec<String>) -> impl Strategy<Value = (&'static str, Value)> {
    let product = (sets(groups.clone()), sets(groups.clone()))
        .prop_map(|(from, to)| json!({ "from": from, "to": to }));
    let within =
        prop_oneof![select(groups), select(vec!["team/*", "*", "*/g?"]).prop_map(str::to_owned)]
            .prop_map(|glob| json!({ "within": glob }));
    // Allows outnumber denies, else nothing is left to compare.
    let effect = select(vec!["allow", "allow", "allow", "deny"]);
    (effect, prop_oneof![4 => product, 1 => within])
}

fn sets(groups: Vec<String>) -> BoxedStrategy<Value> {
    let mut named = everybody();
    named.truncate(4 * 5);
    let one = select(named.clone()).prop_map(Value::from).boxed();
    let list = vec(select(named), 0..5).prop_map(Value::from).boxed();
    let server =
        select(vec!["one.org", "*.one.org", "*", "two.com:8448", "two.com*", "nobody.here"])
            .prop_map(|glob| json!({ "server": glob }))
            .boxed();
    let pattern =
        select(vec!["@*-bot:*", "@?:one.org", "@a:*.one.org", "@*:two.com:8448", "*:*", "@:*"])
            .prop_map(|pattern| json!({ "match": pattern }))
            .boxed();
    let mut leaves =
        vec![one, list.clone(), list, server, pattern, Just(json!("everyone")).boxed()];
    if !groups.is_empty() {
        let group = select(groups).prop_map(|name| json!({ "group": name })).boxed();
        leaves.extend([group.clone(), group]);
    }
    proptest::strategy::Union::new(leaves)
        .prop_recursive(3, 12, 3, |set| {
            prop_oneof![
                vec(set.clone(), 0..4).prop_map(Value::from),
                vec(set.clone(), 1..4).prop_map(|all| json!({ "all_of": all })),
                (set.clone(), set)
                    .prop_map(|(any, except)| json!({ "any": any, "except": except })),
            ]
        })
        .boxed()
}
