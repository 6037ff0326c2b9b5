//! Random policies over few names, so that rules collide often: local and
//! remote users, `everyone`, servers, patterns, exceptions, nested groups, hides,
//! shadow rules, switches, and users whom no policy names. Rules of some policies require
//! shared rooms.

pub(crate) mod rooms;

use std::collections::{BTreeMap, BTreeSet};

use presence_router_engine::unstable::routing::engine::Thresholds;
use proptest::collection::vec;
use proptest::option;
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

/// Groups of every policy that the directory fills.
pub(crate) const DIRECTORY: [&str; 2] = ["team/later", "all/later"];

/// A policy that lists itself whom the directory has in its groups.
pub(crate) fn filled(policy: &str, members: &BTreeMap<&str, BTreeSet<String>>) -> String {
    let mut policy: Value = serde_json::from_str(policy).unwrap();
    for (group, members) in members {
        policy["groups"][*group] = json!(members);
    }
    policy.to_string()
}

/// Whether the value of a key in a rule matches users instead of naming them.
fn is_pattern(key: &str) -> bool {
    ["match", "share_room"].contains(&key)
}

/// Users whom a policy lists, or the directory in its groups.
pub(crate) fn listed(policy: &str, members: &BTreeMap<&str, BTreeSet<String>>) -> BTreeSet<String> {
    fn note(value: &Value, users: &mut BTreeSet<String>) {
        match value {
            Value::String(text) if text.starts_with('@') => {
                users.insert(text.clone());
            }
            Value::Array(items) => items.iter().for_each(|item| note(item, users)),
            Value::Object(entries) => {
                let sets = entries.iter().filter(|(key, _)| !is_pattern(key));
                sets.for_each(|(_, value)| note(value, users));
            }
            _ => {}
        }
    }
    let policy: Value = serde_json::from_str(policy).unwrap();
    let mut users = members.values().flatten().cloned().collect();
    note(&policy["groups"], &mut users);
    note(&policy["rules"], &mut users);
    users
}

/// The policy after an accident: most of its lists are empty.
pub(crate) fn losing(policy: &str) -> impl Strategy<Value = String> + use<> {
    fn empty(value: &mut Value, kept: &mut impl FnMut() -> bool) {
        match value {
            Value::Array(items) if items.iter().any(is_user) => {
                items.retain(|item| !is_user(item) || kept());
                // A list of `all_of` may not be empty.
                if items.is_empty() {
                    items.push(json!([]));
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| empty(item, kept)),
            Value::Object(entries) => {
                for (key, value) in entries.iter_mut().filter(|(key, _)| !is_pattern(key)) {
                    match value {
                        Value::String(text) if text.starts_with('@') && key != "name" => {
                            *value = if kept() { value.take() } else { json!([]) };
                        }
                        value => empty(value, kept),
                    }
                }
            }
            _ => {}
        }
    }
    fn is_user(item: &Value) -> bool {
        item.as_str().is_some_and(|text| text.starts_with('@'))
    }
    let policy: Value = serde_json::from_str(policy).unwrap();
    vec(prop::bool::weighted(0.15), 32).prop_map(move |kept| {
        let mut policy = policy.clone();
        let mut kept = kept.into_iter().cycle();
        let mut kept = || kept.next().unwrap();
        empty(&mut policy["groups"], &mut kept);
        empty(&mut policy["rules"], &mut kept);
        policy.to_string()
    })
}

/// Thresholds of the engine that few users reach.
pub(crate) const LOW: Thresholds =
    Thresholds { unused_numbers: 0, reclassified: 0, unused_classes: 0 };

/// Users who have a number, as the definition of [`Engine::replace_ruleset`] has it with
/// the thresholds [`LOW`].
///
/// [`Engine::replace_ruleset`]: presence_router_engine::unstable::routing::engine::Engine::replace_ruleset
pub(crate) struct Numbered(pub(crate) BTreeSet<String>);

impl Numbered {
    /// Lets a ruleset take the place of another. True: all users get new numbers.
    pub(crate) fn replace(&mut self, before: &BTreeSet<String>, after: &BTreeSet<String>) -> bool {
        self.0.extend(after.iter().cloned());
        let is_wasteful = self.0.len() > 2 * before.len().max(after.len());
        let anew = is_wasteful && 2 * after.len() >= before.len();
        if anew {
            self.0.clone_from(after);
        }
        anew
    }
}

/// The server names of some caller.
pub(crate) fn callers() -> impl Strategy<Value = Vec<String>> {
    let names: Vec<String> = SERVERS.iter().map(|name| (*name).to_owned()).collect();
    subsequence(names, 1..=2)
}

/// The text of some policy without problems. No rule requires shared rooms.
pub(crate) fn policies() -> impl Strategy<Value = String> {
    policies_with(Just(None).boxed())
}

/// The text of some policy without problems, in which many rules require shared rooms.
pub(crate) fn room_policies() -> impl Strategy<Value = String> {
    policies_with(option::weighted(0.6, rooms::relations()).boxed())
}

/// A policy of either kind.
pub(crate) fn all_policies() -> impl Strategy<Value = String> {
    prop_oneof![policies(), room_policies()]
}

/// Whether a policy may have rules that require shared rooms.
pub(crate) fn has_relations(policy: &str) -> bool {
    policy.contains("share_room")
}

fn policies_with(relations: BoxedStrategy<Option<Value>>) -> impl Strategy<Value = String> {
    let names: Vec<String> = (0..5).map(|i| format!("{}/g{i}", ["team", "all"][i % 2])).collect();
    // A group refers only to groups before it, so that there are no cycles.
    let groups: Vec<_> = (0..names.len()).map(|i| sets(names[..i].to_vec())).collect();
    let directory = DIRECTORY.map(str::to_owned);
    let groups_of_rules = names.iter().cloned().chain(directory).collect();
    let rules = vec(rule(groups_of_rules, relations), 0..9);
    (groups, rules, switches()).prop_map(move |(groups, rules, mut policy)| {
        let mut groups: serde_json::Map<_, _> = names.iter().cloned().zip(groups).collect();
        groups.extend(DIRECTORY.map(|name| (name.to_owned(), json!({ "directory": true }))));
        let rules: Vec<Value> = rules
            .into_iter()
            .enumerate()
            .map(|(i, (effect, shadow, pairs))| {
                json!({ "name": format!("rule {i}"), effect: pairs, "shadow": shadow })
            })
            .collect();
        policy.insert("groups".to_owned(), groups.into());
        policy.insert("rules".to_owned(), rules.into());
        // JSON is YAML.
        Value::from(policy).to_string()
    })
}

/// Switches at the top, more often none than any.
fn switches() -> impl Strategy<Value = serde_json::Map<String, Value>> {
    let ours = subsequence(SERVERS.to_vec(), 1..=2);
    let globs = vec(select(vec!["one.org", "*.org", "two.com*", "*", "unmet.net"]), 1..3);
    let lists = subsequence(vec!["allow", "deny"], 1..=2);
    let servers = (lists, vec(globs, 2)).prop_map(|(keys, globs)| -> Value {
        keys.into_iter().map(str::to_owned).zip(globs.into_iter().map(Value::from)).collect()
    });
    let switch = prop_oneof![
        select(vec!["local", "inbound", "outbound"])
            .prop_flat_map(|key| any::<bool>().prop_map(move |on| (key.to_owned(), json!(on)))),
        servers.prop_map(|servers| ("servers".to_owned(), servers)),
    ];
    let some =
        (ours, vec(switch, 0..4)).prop_filter_map("one of ours is denied", |(ours, list)| {
            let mut policy: serde_json::Map<_, _> = list.into_iter().collect();
            let denied = policy.get("servers").and_then(|servers| servers.get("deny")?.as_array());
            let of_ours = |name: &Value| ours.iter().any(|one| name == one);
            let clash = denied.is_some_and(|names| names.iter().any(of_ours));
            policy.insert("ours".to_owned(), json!(ours));
            (!clash).then_some(policy)
        });
    prop_oneof![3 => Just(serde_json::Map::new()), 2 => some]
}

/// Effect, shadow, and pairs with what else belongs to the effect.
fn rule(
    groups: Vec<String>,
    relations: BoxedStrategy<Option<Value>>,
) -> impl Strategy<Value = (&'static str, bool, Value)> {
    let product = (sets(groups.clone()), sets(groups.clone()))
        .prop_map(|(from, to)| json!({ "from": from, "to": to }));
    let within =
        prop_oneof![select(groups), select(vec!["team/*", "*", "*/g?"]).prop_map(str::to_owned)]
            .prop_map(|glob| json!({ "within": glob }));
    let pairs = prop_oneof![4 => product, 1 => within];
    // Beside a relation, a side that is left out is everyone.
    let left_out = select(vec![&[][..], &[], &["from"], &["to"], &["from", "to"]]);
    let pairs = (pairs, relations, left_out).prop_map(|(mut pairs, relation, left_out)| {
        if let Some(relation) = relation {
            left_out.iter().for_each(|side| drop(pairs.as_object_mut().unwrap().remove(*side)));
            pairs["share_room"] = relation;
        }
        pairs
    });
    let fields = vec!["status_msg", "last_active_ts", "currently_active", "presence"];
    let hide = (
        pairs.clone(),
        subsequence(fields, 1..=4),
        subsequence(vec!["online", "busy", "org.example.away"], 0..=2),
    );
    let hide = hide.prop_map(|(mut pairs, fields, unless)| {
        pairs["fields"] = json!(fields);
        if !unless.is_empty() {
            pairs["unless"] = json!({ "presence": unless });
        }
        ("hide", pairs)
    });
    // Allows outnumber denies, else nothing is left to compare.
    let effect = select(vec!["allow", "allow", "allow", "deny"]);
    let effect = prop_oneof![5 => (effect, pairs), 2 => hide];
    let shadow = prop_oneof![5 => Just(false), 1 => Just(true)];
    (effect, shadow).prop_map(|((effect, pairs), shadow)| (effect, shadow, pairs))
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
