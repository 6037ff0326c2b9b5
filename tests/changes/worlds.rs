//! Random policies whose groups the directory fills, and homeservers with several rooms.

use presence_router_ids::RoomCapability;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::oracle::Homeserver;
use crate::oracle::rooms::Rooms;
use crate::worlds::rooms::{capabilities, relations, rooms};
use crate::worlds::{DIRECTORY, all_policies, callers, has_relations, losing};

/// A homeserver, with several rooms that it may have.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    pub(crate) server_names: Vec<String>,
    pub(crate) capabilities: Vec<RoomCapability>,
    /// What another client of the same homeserver evaluates.
    pub(super) others_capabilities: Vec<RoomCapability>,
    pub(crate) rooms: Vec<Rooms>,
}

/// Policies with rules about the groups that the directory fills, each with a
/// crowd across: edits then change more than who sees whom.
fn moving() -> impl Strategy<Value = String> {
    let effects = select(vec!["allow", "deny", "hide", "hide"]);
    let crowds = select(vec![json!("everyone"), json!({ "server": "one.org" })]);
    let rule = (effects, select(DIRECTORY.to_vec()), crowds, any::<bool>());
    let rule = rule.prop_map(|(effect, group, crowd, sends)| {
        let group = json!({ "group": group });
        let (from, to) = if sends { (group, crowd) } else { (crowd, group) };
        let mut pairs = json!({ "from": from, "to": to });
        if effect == "hide" {
            pairs["fields"] = json!(["status_msg"]);
        }
        (effect, pairs)
    });
    let everybody = json!({ "from": "everyone", "to": "everyone" });
    let open = option::weighted(0.5, Just(("allow", everybody)));
    let more = (vec(rule, 0..3), open).prop_map(|(mut rules, open)| {
        rules.extend(open);
        rules
    });
    (all_policies(), more, vec(option::of(relations()), 3)).prop_map(|(policy, more, relations)| {
        let is_with_rooms = has_relations(&policy);
        let mut policy: Value = serde_json::from_str(&policy).unwrap();
        let rules = policy["rules"].as_array_mut().unwrap();
        for (number, ((effect, mut pairs), relation)) in (0..).zip(more.into_iter().zip(relations))
        {
            if let Some(relation) = relation.filter(|_| is_with_rooms) {
                pairs["share_room"] = relation;
            }
            rules.push(json!({ "name": format!("moving {number}"), effect: pairs }));
        }
        policy.to_string()
    })
}

/// Homeservers with various server names that evaluate more or less of rooms.
pub(crate) fn askers() -> impl Strategy<Value = Asker> {
    (callers(), [capabilities(), capabilities()], vec(rooms(), 2)).prop_map(
        |(server_names, [capabilities, others_capabilities], rooms)| Asker {
            server_names,
            capabilities,
            others_capabilities,
            rooms,
        },
    )
}

/// A policy to begin with and another to change to: one of its own, or the first one
/// after an accident that loses most users.
pub(crate) fn two() -> impl Strategy<Value = [String; 2]> {
    let accident = moving()
        .prop_flat_map(|policy| losing(&policy).prop_map(move |other| [policy.clone(), other]));
    prop_oneof![2 => [moving(), moving()], 1 => accident]
}

// === impl Asker ===

impl Asker {
    /// A homeserver that knows nothing of rooms.
    pub(super) fn without_rooms(server_name: &str) -> Self {
        let (server_names, rooms) = (vec![server_name.to_owned()], vec![Rooms::default()]);
        let [capabilities, others_capabilities] = Default::default();
        Self { server_names, capabilities, others_capabilities, rooms }
    }

    /// The homeserver in its first rooms.
    pub(crate) fn homeserver(&self) -> Homeserver<'_> {
        let Self { server_names, capabilities, rooms, .. } = self;
        Homeserver { server_names, capabilities, rooms: &rooms[0] }
    }

    /// The homeserver in each of its rooms that may matter for some policies.
    pub(super) fn in_rooms_of(&self, policies: [&str; 2]) -> Vec<Homeserver<'_>> {
        let matter = policies.iter().any(|policy| has_relations(policy));
        let number = if matter { self.rooms.len() } else { 1 };
        self.rooms[..number].iter().map(|rooms| self.homeserver().with(rooms)).collect()
    }
}
