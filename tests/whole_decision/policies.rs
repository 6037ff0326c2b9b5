//! Random policies about few users and rooms, so that rules collide often.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

/// The two homeservers.
pub(super) const SERVERS: [&str; 2] = ["one.org", "two.org"];

/// Users of the two homeservers.
pub(super) const USERS: [&str; 6] =
    ["@a:one.org", "@b:one.org", "@bot:one.org", "@a:two.org", "@b:two.org", "@c:two.org"];

/// Users whom no homeserver knows, though a policy may match them.
pub(super) const STRANGERS: [&str; 4] =
    ["@stranger:one.org", "@b-stranger:one.org", "@stranger:two.org", "@b-stranger:two.org"];

/// The rooms.
pub(super) const ROOMS: [&str; 3] = ["!small", "!large", "!public"];

/// The text of some policy without problems.
pub(super) fn policies() -> impl Strategy<Value = String> {
    vec(rules(), 1..6).prop_map(|rules| {
        let rules = rules.into_iter().enumerate().map(
            |(index, (effect, rule))| json!({ "name": format!("rule {index}"), effect: rule }),
        );
        // JSON is YAML.
        json!({ "rules": rules.collect::<Vec<_>>() }).to_string()
    })
}

fn rules() -> impl Strategy<Value = (&'static str, Value)> {
    let fields = vec!["status_msg", "last_active_ts", "currently_active", "presence"];
    let unless = select(vec![json!(null), json!(["online"]), json!(["busy", "offline"])]);
    let hides = (pairs(), subsequence(fields, 1..=2), unless);
    let hides = hides.prop_map(|(mut pairs, fields, unless)| {
        pairs["fields"] = json!(fields);
        if !unless.is_null() {
            pairs["unless"] = json!({ "presence": unless });
        }
        ("hide", pairs)
    });
    // Allows outnumber denies, else nothing is left to compare.
    prop_oneof![
        4 => pairs().prop_map(|pairs| ("allow", pairs)),
        1 => pairs().prop_map(|pairs| ("deny", pairs)),
        2 => hides,
    ]
}

/// The pairs that a rule matches, by sets and mostly by rooms.
fn pairs() -> impl Strategy<Value = Value> {
    let relations = prop_oneof![
        2 => Just(None),
        2 => Just(Some(json!(true))),
        1 => Just(Some(json!(false))),
        4 => conditions().prop_map(Some),
    ];
    (sets(), sets(), relations).prop_map(|(from, to, relation)| {
        let mut pairs = json!({ "from": from, "to": to });
        if let Some(relation) = relation {
            pairs["share_room"] = relation;
        }
        pairs
    })
}

fn sets() -> impl Strategy<Value = Value> {
    let users = subsequence(USERS.to_vec(), 1..=3).prop_map(Value::from);
    let servers = select(SERVERS.to_vec()).prop_map(|server| json!({ "server": server }));
    let others =
        select(USERS.to_vec()).prop_map(|user| json!({ "any": "everyone", "except": user }));
    prop_oneof![
        3 => Just(json!("everyone")),
        2 => users,
        2 => servers,
        1 => Just(json!({ "match": "@b*:*" })),
        1 => others,
    ]
}

fn conditions() -> impl Strategy<Value = Value> {
    let one = prop_oneof![
        3 => (2..5).prop_map(|members| json!({ "at_most": members })),
        2 => (2..5).prop_map(|members| json!({ "at_least": members })),
        1 => (2..4).prop_map(|members| json!({ "at_most": members, "not_counting": "@bot:*" })),
        1 => any::<bool>().prop_map(|encrypted| json!({ "encrypted": encrypted })),
        1 => select(vec![json!("public"), json!(["invite", "knock"])])
            .prop_map(|rules| json!({ "join_rule": rules })),
        1 => Just(json!({ "history_visibility": "world_readable" })),
        1 => select(vec!["!small", "!*l*", "!?ublic"]).prop_map(|glob| json!({ "rooms": glob })),
        1 => select(ROOMS.to_vec()).prop_map(|room| json!({ "not_rooms": room })),
        1 => Just(json!({ "space": "!space" })),
        1 => select(vec!["suggest", "forbid"]).prop_map(|hint| json!({ "presence_sharing": hint })),
    ];
    vec(one, 1..3).prop_map(|ones| {
        let mut all = json!({});
        for one in ones {
            for (key, value) in one.as_object().unwrap() {
                all[key] = value.clone();
            }
        }
        all
    })
}
