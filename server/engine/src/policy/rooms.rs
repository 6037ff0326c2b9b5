//! Decides about new rooms, by the policy's rules about rooms and the sets of a snapshot.
//! Pure; knows nothing of the caller.
//!
//! A deny wins over everything. The order of rules decides only the order of the added
//! events: among several denials, and among several events with one type and state key, the
//! rule whose name comes first by its bytes counts.

use std::collections::{HashMap, HashSet};

use super::document::room::{AdminCondition, Denial, RoomEffect, RoomRule, StateEvent, When};
use super::{Policy, RoomSets};
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::keys::SetId;
use crate::routing::snapshot::user_table::UserRef;
use presence_router_ids::UserId;

/// A room that a user wants to create.
#[derive(Clone, Debug)]
pub struct Room<'r> {
    /// The user who creates the room.
    pub requester: UserId<'r>,

    /// True if the requester is an administrator of the homeserver.
    pub is_admin: bool,

    /// The preset. `None`: the preset of the visibility.
    pub preset: Option<&'r str>,

    /// The visibility. `None`: `private`.
    pub visibility: Option<&'r str>,

    /// The invited users.
    pub invites: Vec<UserId<'r>>,

    /// The name. `None`: no glob matches the room, not even `*`.
    pub name: Option<&'r str>,

    /// Types and state keys of the initial state in the request.
    pub initial_state: HashSet<(&'r str, &'r str)>,
}

/// The decision about a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'p> {
    /// The homeserver must not create the room.
    Denied {
        /// The name of the rule that denies the room.
        rule: &'p str,
        /// The answer to the requester.
        denial: &'p Denial,
    },

    /// The homeserver may create the room, with these additional events: each with the name
    /// of its rule, in the order of the policy.
    Created(Vec<(&'p str, &'p StateEvent)>),
}

/// A room, with its users looked up in a snapshot.
struct RoomQuery<'a> {
    room: &'a Room<'a>,
    snapshot: &'a Snapshot,
    requester: UserRef<'a>,
    invites: Vec<UserRef<'a>>,
}

/// Decides about a room. The snapshot must be one of the policy's ruleset, with any contents
/// of the directory.
pub fn decide<'p>(policy: &'p Policy, snapshot: &Snapshot, room: &Room<'_>) -> Verdict<'p> {
    let query = RoomQuery::new(snapshot, room);
    let rules = policy.document.rooms.iter().zip(&policy.rooms);
    let matching: Vec<&RoomRule> = rules
        .filter(|(rule, sets)| query.meets(&rule.when, **sets))
        .map(|(rule, _)| rule)
        .collect();
    let denials = matching.iter().filter_map(|rule| match &rule.effect {
        RoomEffect::Deny(denial) => Some((rule.name.as_str(), denial)),
        RoomEffect::Add(_) => None,
    });
    if let Some((rule, denial)) = denials.min_by_key(|(rule, _)| *rule) {
        return Verdict::Denied { rule, denial };
    }
    Verdict::Created(added_events(&matching, room))
}

fn added_events<'p>(matching: &[&'p RoomRule], room: &Room<'_>) -> Vec<(&'p str, &'p StateEvent)> {
    let events = matching.iter().flat_map(|rule| {
        let events = match &rule.effect {
            RoomEffect::Add(events) => events.as_slice(),
            RoomEffect::Deny(_) => &[],
        };
        events.iter().map(|event| (rule.name.as_str(), event))
    });
    let key = |event: &'p StateEvent| (event.event_type.as_str(), event.state_key.as_str());
    let events: Vec<_> =
        events.filter(|(_, event)| !room.initial_state.contains(&key(event))).collect();
    let mut first: HashMap<(&str, &str), &str> = HashMap::new();
    for (rule, event) in &events {
        let named = first.entry(key(event)).or_insert(*rule);
        *named = (*named).min(*rule);
    }
    let mut events = events;
    events.retain(|(rule, event)| first.get(&key(event)) == Some(rule));
    events
}

// === impl Room ===

impl Room<'_> {
    /// Returns the preset that counts: a room without a preset has that of its visibility,
    /// by the Matrix specification.
    fn effective_preset(&self) -> &str {
        match (self.preset, self.visibility) {
            (Some(preset), _) => preset,
            (None, None | Some("private")) => "private_chat",
            // The only other value of the specification is `public`; Synapse treats every
            // other value as `public`.
            (None, Some(_)) => "public_chat",
        }
    }
}

// === impl RoomQuery ===

impl<'a> RoomQuery<'a> {
    fn new(snapshot: &'a Snapshot, room: &'a Room<'a>) -> Self {
        let user_table = snapshot.users();
        let invites = room.invites.iter().map(|user| user_table.user_ref(*user)).collect();
        Self { room, snapshot, requester: user_table.user_ref(room.requester), invites }
    }

    fn meets(&self, when: &When, sets: RoomSets) -> bool {
        let When { requester: _, presets, visibility, invites: _, names, admin } = when;
        let room = self.room;
        admin.is_none_or(|admin| (admin == AdminCondition::MustBe) == room.is_admin)
            && visibility.is_none_or(|wanted| wanted == room.visibility.unwrap_or("private"))
            && presets.as_ref().is_none_or(|presets| presets.contains(&room.effective_preset()))
            && names.as_ref().is_none_or(|globs| {
                room.name.is_some_and(|name| globs.iter().any(|glob| glob.matches(name)))
            })
            && sets.requester.is_none_or(|set| self.holds_any(set, &[self.requester]))
            && sets.invites.is_none_or(|set| self.holds_any(set, &self.invites))
    }

    /// Returns true if a set contains any of some users.
    fn holds_any(&self, set: SetId, users: &[UserRef<'_>]) -> bool {
        let set = self.snapshot.set(set);
        set.is_some_and(|set| users.iter().any(|user| set.contains(*user)))
    }
}
