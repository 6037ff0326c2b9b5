//! Random rooms over the users of all worlds, relations that they may have, and homeservers
//! that evaluate some of them.

use std::collections::{BTreeMap, BTreeSet};

use presence_router_ids::RoomCapability;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use super::everybody;
use crate::oracle::rooms::{Room, Rooms};

const IDS: [&str; 4] = ["!a", "!ab:one.org", "!b:two.com:8448", "!c"];

const SPACES: [&str; 2] = ["!space:one.org", "!space:two.com:8448"];

/// Up to four rooms. The homeserver does not know some facts about some of them.
pub(crate) fn rooms() -> impl Strategy<Value = Rooms> {
    subsequence(IDS.to_vec(), 0..=IDS.len())
        .prop_flat_map(|ids| ids.into_iter().map(room).collect::<Vec<_>>())
        .prop_map(Rooms)
}

fn room(id: &'static str) -> impl Strategy<Value = Room> {
    let everybody = everybody();
    let number = everybody.len();
    // Small rooms for the numbers of members in conditions, and large ones that many share.
    let members = prop_oneof![
        1 => subsequence(everybody.clone(), 1..=5),
        2 => subsequence(everybody, number / 3..=number),
    ];
    let facts = (
        option::weighted(0.9, any::<bool>()),
        option::weighted(0.9, select(vec!["public", "invite", "knock"])),
        option::weighted(0.9, select(vec!["shared", "world_readable", "joined"])),
        option::weighted(0.9, select(vec!["", "suggest", "forbid"])),
    );
    let spaces = vec(option::weighted(0.8, any::<bool>()), SPACES.len());
    (members, prop::bool::weighted(0.25), facts, spaces).prop_map(
        move |(members, partial, facts, spaces)| {
            let (encrypted, join_rule, history_visibility, hint) = facts;
            let spaces = SPACES.into_iter().zip(spaces);
            Room {
                id,
                members: BTreeSet::from_iter(members),
                partial,
                encrypted,
                join_rule,
                history_visibility,
                spaces: spaces.filter_map(|(space, lists)| Some((space, lists?))).collect(),
                hint,
            }
        },
    )
}

/// The value of `share_room` in a rule. There are few values, so that rules collide.
pub(crate) fn relations() -> impl Strategy<Value = Value> {
    let values = |values: Vec<&'static str>| {
        prop_oneof![
            select(values.clone()).prop_map(Value::from),
            subsequence(values, 1..=2).prop_map(Value::from),
        ]
    };
    let number = || (1u64..=4).prop_map(Value::from);
    let globs = || values(vec!["!a*", "!*:two.com:8448", "!c", "*"]);
    let condition = prop_oneof![
        3 => number().prop_map(|number| ("at_most", number)),
        3 => number().prop_map(|number| ("at_least", number)),
        2 => any::<bool>().prop_map(|is| ("encrypted", json!(is))),
        2 => values(vec!["public", "invite"]).prop_map(|rules| ("join_rule", rules)),
        2 => values(vec!["shared", "world_readable"])
            .prop_map(|values| ("history_visibility", values)),
        2 => globs().prop_map(|globs| ("rooms", globs)),
        2 => globs().prop_map(|globs| ("not_rooms", globs)),
        2 => select(SPACES.to_vec()).prop_map(|space| ("space", json!(space))),
        2 => select(vec!["suggest", "forbid"]).prop_map(|hint| ("presence_sharing", json!(hint))),
    ];
    let not_counting = option::weighted(0.4, values(vec!["@*-bot:*", "@a:*", "@?:one.org"]));
    let conditions =
        (vec(condition, 1..=2), not_counting).prop_map(|(conditions, not_counting)| {
            let mut conditions: BTreeMap<&str, Value> = conditions.into_iter().collect();
            let counts = ["at_most", "at_least"].iter().any(|key| conditions.contains_key(key));
            if let Some(patterns) = not_counting.filter(|_| counts) {
                conditions.insert("not_counting", patterns);
            }
            json!(conditions)
        });
    prop_oneof![2 => Just(json!(true)), 2 => Just(json!(false)), 5 => conditions]
}

/// What a homeserver evaluates of rooms: everything, as a rule.
pub(crate) fn capabilities() -> impl Strategy<Value = Vec<RoomCapability>> {
    prop_oneof![3 => Just(RoomCapability::ALL.to_vec()), 2 => some_capabilities()]
}

/// What an older homeserver evaluates of rooms: not everything.
pub(crate) fn some_capabilities() -> impl Strategy<Value = Vec<RoomCapability>> {
    let all = RoomCapability::ALL.to_vec();
    // A condition counts only beside the relation itself.
    let some = subsequence(all[1..].to_vec(), 0..all.len() - 1).prop_map(|mut some| {
        some.push(RoomCapability::RoomMates);
        some
    });
    let all_but_one = all.len() - 1;
    prop_oneof![2 => Just(Vec::new()), 3 => some, 2 => subsequence(all, all_but_one)]
}

/// The rooms as a policy's test gives them. All facts but the number of members are known then.
pub(crate) fn written(rooms: &Rooms) -> Value {
    let room = |room: &Room| {
        let spaces = room.spaces.iter().filter(|(_, lists)| **lists).map(|(space, _)| space);
        let mut facts = json!({
            "members": room.members,
            "partial": room.partial,
            "encrypted": room.encrypted == Some(true),
            "spaces": spaces.collect::<Vec<_>>(),
        });
        let texts = [
            ("join_rule", room.join_rule),
            ("history_visibility", room.history_visibility),
            ("presence_sharing", room.hint.filter(|hint| !hint.is_empty())),
        ];
        for (key, text) in texts {
            if let Some(text) = text {
                facts[key] = json!(text);
            }
        }
        (room.id, facts)
    };
    json!(rooms.0.iter().map(room).collect::<BTreeMap<_, _>>())
}

/// The rooms that [`written`] gives.
pub(crate) fn as_written(mut rooms: Rooms) -> Rooms {
    for room in &mut rooms.0 {
        // The facts of rooms without state events.
        room.encrypted.get_or_insert(false);
        room.join_rule.get_or_insert("invite");
        room.history_visibility.get_or_insert("shared");
        room.hint.get_or_insert("");
        for space in SPACES {
            room.spaces.entry(space).or_insert(false);
        }
    }
    rooms
}
