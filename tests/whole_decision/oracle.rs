//! The definition of visibility with rooms, and of what is shown of a presence: as naive as can
//! be, without the code that evaluates conditions.

use presence_router_client::{Fields, PresenceSharing, RoomCondition, RoomConditions};
use presence_router_engine::unstable::policy::document::{Document, Rule};
use presence_router_engine::unstable::routing::model::ruleset::Relation;
use presence_router_engine::{Effect, Hide};

use crate::homeserver::{Room, Rooms};
use crate::oracle::{glob, matches, split};

/// Whether a recipient may see a sender.
pub(super) fn visible(policy: &Document, rooms: &Rooms, sender: &str, recipient: &str) -> bool {
    let any = |effect: Effect, if_unknown: bool| {
        policy.rules.iter().filter(|rule| !rule.shadow && rule.effect == effect).any(|rule| {
            matches(policy, rule, sender, recipient)
                && holds(rule, rooms, sender, recipient).unwrap_or(if_unknown)
        })
    };
    sender != recipient && any(Effect::Allow, false) && !any(Effect::Deny, true)
}

/// The fields that are hidden from a recipient who may see the sender.
pub(super) fn hidden(
    policy: &Document,
    rooms: &Rooms,
    sender: &str,
    recipient: &str,
    presence: &str,
) -> Fields {
    hidden_if(policy, sender, recipient, presence, |rule| {
        holds(rule, rooms, sender, recipient).unwrap_or(true)
    })
}

/// The fields that are hidden from a recipient in whatever rooms.
pub(super) fn hidden_in_some_rooms(
    policy: &Document,
    sender: &str,
    recipient: &str,
    presence: &str,
) -> Fields {
    hidden_if(policy, sender, recipient, presence, |_| true)
}

/// Whether the visibility of a pair depends on rooms, as far as rules tell.
pub(super) fn depends_on_rooms(policy: &Document, sender: &str, recipient: &str) -> bool {
    let rules = policy.rules.iter().filter(|rule| !rule.shadow && rule.relation.is_some());
    rules.into_iter().any(|rule| matches(policy, rule, sender, recipient))
}

fn hidden_if(
    policy: &Document,
    sender: &str,
    recipient: &str,
    presence: &str,
    holds: impl Fn(&Rule) -> bool,
) -> Fields {
    let mut hidden = Fields::default();
    for rule in policy.rules.iter().filter(|rule| !rule.shadow) {
        let Effect::Hide(Hide { fields, unless }) = &rule.effect else { continue };
        let applies = !unless.iter().any(|one| **one == *presence);
        if applies && matches(policy, rule, sender, recipient) && holds(rule) {
            hidden.presence |= fields.presence;
            hidden.status_msg |= fields.status_msg;
            hidden.last_active_ts |= fields.last_active_ts;
            hidden.currently_active |= fields.currently_active;
        }
    }
    hidden
}

/// Whether the relation of a rule holds for two users; `None`: nobody knows.
fn holds(rule: &Rule, rooms: &Rooms, one: &str, other: &str) -> Option<bool> {
    let relation = rule.relation.as_ref();
    let shared = || {
        let rooms = rooms.iter();
        rooms.filter(|(_, room)| room.members.contains(one) && room.members.contains(other))
    };
    match relation {
        None => Some(true),
        Some(Relation::ShareNoRoom) => Some(shared().next().is_none()),
        Some(Relation::ShareRoom(conditions)) => {
            let met: Vec<_> = shared().map(|(id, room)| is_met(conditions, id, room)).collect();
            if met.contains(&Some(true)) {
                Some(true)
            } else if met.contains(&None) {
                None
            } else {
                Some(false)
            }
        }
    }
}

fn is_met(conditions: &RoomConditions, id: &str, room: &Room) -> Option<bool> {
    let each = || conditions.iter().map(|condition| is_one_met(condition, id, room));
    if each().any(|one| one == Some(false)) {
        return Some(false);
    }
    each().all(|one| one == Some(true)).then_some(true)
}

fn is_one_met(condition: &RoomCondition, id: &str, room: &Room) -> Option<bool> {
    let joined = |count: &presence_router_client::MemberCount| {
        let members = room.members.iter().filter(|member| {
            !count.not_counting.iter().any(|pattern| {
                let (before, server) = split(member);
                glob(pattern.user().as_str().as_bytes(), before.as_bytes())
                    && glob(pattern.server().as_str().as_bytes(), server.as_bytes())
            })
        });
        (!room.partial).then(|| members.count() as u64)
    };
    let is_one_of = |values: &[Box<str>], value: &Option<String>, default: &str| {
        values.iter().any(|one| **one == *value.as_deref().unwrap_or(default))
    };
    let any_glob = |globs: &[presence_router_client::Glob]| {
        globs.iter().any(|one| glob(one.as_str().as_bytes(), id.as_bytes()))
    };
    Some(match condition {
        RoomCondition::AtMost(count) => joined(count)? <= count.members,
        RoomCondition::AtLeast(count) => joined(count)? >= count.members,
        RoomCondition::Encrypted(wanted) => room.encrypted == *wanted,
        RoomCondition::JoinRule(rules) => is_one_of(rules, &room.join_rule, "invite"),
        RoomCondition::HistoryVisibility(values) => {
            is_one_of(values, &room.history_visibility, "shared")
        }
        RoomCondition::Rooms(globs) => any_glob(globs),
        RoomCondition::NotRooms(globs) => !any_glob(globs),
        RoomCondition::Space(space) => room.spaces.contains(&**space),
        RoomCondition::PresenceSharing(hint) => match (hint, room.presence_sharing) {
            (PresenceSharing::Suggest, Some(PresenceSharing::Suggest)) => true,
            (PresenceSharing::Forbid, Some(PresenceSharing::Forbid)) => true,
            (_, _) => false,
        },
    })
}
