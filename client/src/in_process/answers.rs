//! Converts the engine's answers at one revision to the client's types. Each part of an
//! audience is expanded once, and each answer is computed once.

use std::{collections::HashMap, sync::Arc};

use presence_router_engine::unstable::routing::model::ruleset::{self, Relation};
use presence_router_engine::unstable::routing::query::parts::{Part, Role};
use presence_router_engine::unstable::routing::query::visibility::{CallerView, Signature};
use presence_router_engine::unstable::routing::snapshot::members::{Members, Open};
use presence_router_engine::unstable::routing::snapshot::user_table::UserTable;
use presence_router_engine::{Caller, Side, Snapshot};
use presence_router_proto::ids::{RoomConditions, UserId};

use crate::{Fields, Hide, Set, list::List, sets::Kind};

/// Maximum number of cached answers. The cache is cleared when it is full.
const MAX_ANSWERS: usize = 100_000;

/// The snapshot of one revision, with the answers made from it so far.
pub(super) struct State {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) view: CallerView,
    parts: HashMap<Part, Option<Kind>>,
    answers: HashMap<Signature, Option<Answered>>,
}

/// The counterparts of users with one signature.
#[derive(Clone)]
pub(super) struct Answered {
    pub(super) set: Set,
    pub(super) hides: Vec<Hide>,
}

// === impl State ===

impl State {
    pub(super) fn new(snapshot: Arc<Snapshot>, caller: Caller) -> Self {
        let (parts, answers) = (HashMap::new(), HashMap::new());
        Self { snapshot, view: CallerView::new(caller), parts, answers }
    }

    pub(super) fn signature(&self, user: UserId<'_>, side: Side) -> Signature {
        self.snapshot.signature(user, side, self.view.caller())
    }

    /// Returns the answer for a signature. `None`: there are no counterparts.
    pub(super) fn answer_for(&mut self, signature: Signature) -> Option<Answered> {
        if let Some(answered) = self.answers.get(&signature) {
            return answered.clone();
        }
        let answered = self.compute_answer(&signature);
        if self.answers.len() >= MAX_ANSWERS {
            self.answers.clear();
        }
        self.answers.insert(signature, answered.clone());
        answered
    }

    fn compute_answer(&mut self, signature: &Signature) -> Option<Answered> {
        let Self { snapshot, view, parts, .. } = self;
        let user_table = snapshot.users();
        // Each part is expanded once, however many audiences share it.
        let mut part = |part: Part| {
            let known = parts.entry(part).or_insert_with_key(|part| {
                let members = snapshot.members_of_part(part, view);
                (!members.is_empty()).then(|| set_of_members(&members, user_table))
            });
            known.clone()
        };
        let (mut sets, mut exceptions) = (Vec::new(), Vec::new());
        for (role, of_part) in snapshot.parts(signature) {
            // No part: everyone.
            let Some(users) = of_part.map_or(Some(Kind::Everyone), &mut part) else { continue };
            let by = |relation| snapshot.relation(relation).map(|relation| &**relation);
            match role {
                Role::Always => sets.push(users),
                Role::Required(relation) => sets.push(restrict(users, by(relation))),
                Role::Excluded(relation) => exceptions.push(restrict(users, by(relation))),
            }
        }
        if sets.is_empty() {
            return None;
        }
        let mut set = Kind::any_of(sets);
        if !exceptions.is_empty() {
            set = Kind::difference(set, Kind::any_of(exceptions));
        }
        let mut hides = Vec::new();
        if snapshot.hides_anything(signature) {
            let counterparts = snapshot.counterparts(signature, view);
            for applied in snapshot.hides(signature, &counterparts.at_most()) {
                let users = set_of_members(&applied.users, user_table);
                let users = Set(restrict(users, applied.relation));
                hides.push(convert_hide(users, applied.hide));
            }
        }
        Some(Answered { set: Set(set), hides })
    }
}

/// Returns the users for whom a relation holds, as the daemon sends them.
fn restrict(users: Kind, relation: Option<&Relation>) -> Kind {
    let room_mates = |conditions: &RoomConditions| Kind::RoomMates(conditions.clone().into());
    match relation {
        None => users,
        Some(Relation::ShareRoom(conditions)) if matches!(users, Kind::Everyone) => {
            room_mates(conditions)
        }
        Some(Relation::ShareRoom(conditions)) => Kind::all_of([users, room_mates(conditions)]),
        Some(Relation::ShareNoRoom) => {
            Kind::difference(users, room_mates(&RoomConditions::default()))
        }
    }
}

fn convert_hide(users: Set, what: &ruleset::Hide) -> Hide {
    let ruleset::Fields { presence, status_msg, last_active_ts, currently_active } = what.fields;
    let fields = Fields { presence, status_msg, last_active_ts, currently_active };
    let unless_presence = what.unless.iter().map(|presence| presence.to_string()).collect();
    Hide { users, fields, unless_presence }
}

fn set_of_members(members: &Members, user_table: &UserTable) -> Kind {
    let list = |numbers: &mut dyn Iterator<Item = u32>| {
        let users: Vec<_> = numbers.map(|number| String::from(user_table.id(number))).collect();
        Kind::Users(List::new(users.iter()))
    };
    let listed = members.listed_besides();
    if *members.open() == Open::Nobody {
        return list(&mut listed.iter());
    }
    let mut whole = set_of_open(members.open());
    let exceptions = members.exceptions();
    if !exceptions.is_empty() {
        whole = Kind::difference(whole, list(&mut exceptions.iter()));
    }
    if !listed.is_empty() {
        whole = Kind::any_of([whole, list(&mut listed.iter())]);
    }
    whole
}

fn set_of_open(rule: &Open) -> Kind {
    match rule {
        Open::Nobody => Kind::empty(),
        Open::Everyone => Kind::Everyone,
        Open::Server(glob) => Kind::Server(glob.clone().into()),
        Open::Match(pattern) => Kind::Match(pattern.clone().into()),
        Open::Union(all) => Kind::any_of(all.iter().map(set_of_open).collect::<Vec<_>>()),
        Open::Intersection(all) => Kind::all_of(all.iter().map(set_of_open).collect::<Vec<_>>()),
        Open::Difference(any, except) => Kind::difference(set_of_open(any), set_of_open(except)),
    }
}
