//! Conditions that are evaluated once for each room, for questions about many pairs.

use std::cell::RefCell;
use std::collections::HashMap;

use presence_router_ids::RoomConditions;
use roaring::RoaringBitmap;

use super::GivenRooms;
use crate::routing::model::ruleset::Relation;

/// Given rooms with a memory of the rooms that meet conditions. A test may be about a million
/// pairs, and counting the members of a large room that match no pattern takes long.
pub(in crate::policy) struct RememberedRooms<'r> {
    rooms: &'r GivenRooms,
    by_conditions: RefCell<HashMap<RoomConditions, Outcomes>>,
}

/// The rooms, by number, that meet some conditions or may meet them. A room in neither set
/// does not meet them.
struct Outcomes {
    met: RoaringBitmap,
    /// Rooms for which a missing fact decides.
    unknown: RoaringBitmap,
}

// === impl RememberedRooms ===

impl<'r> RememberedRooms<'r> {
    pub(in crate::policy) fn new(rooms: &'r GivenRooms) -> Self {
        Self { rooms, by_conditions: RefCell::default() }
    }

    /// Returns the rooms themselves.
    pub(in crate::policy) fn given_rooms(&self) -> &'r GivenRooms {
        self.rooms
    }

    /// Returns true if a relation holds for two users; see [`GivenRooms::share_room`].
    pub(in crate::policy) fn relation_holds(
        &self,
        one: &str,
        other: &str,
        relation: &Relation,
    ) -> Option<bool> {
        relation.holds(|conditions| self.share_room(one, other, conditions))
    }

    fn share_room(&self, one: &str, other: &str, conditions: &RoomConditions) -> Option<bool> {
        let shared = self.rooms.numbers_shared_by(one, other);
        if shared.is_empty() {
            return Some(false);
        }
        let mut by_conditions = self.by_conditions.borrow_mut();
        if !by_conditions.contains_key(conditions) {
            by_conditions.insert(conditions.clone(), Outcomes::new(self.rooms, conditions));
        }
        let outcomes = by_conditions.get(conditions)?;
        match () {
            () if !outcomes.met.is_disjoint(&shared) => Some(true),
            () if !outcomes.unknown.is_disjoint(&shared) => None,
            () => Some(false),
        }
    }
}

// === impl Outcomes ===

impl Outcomes {
    fn new(rooms: &GivenRooms, conditions: &RoomConditions) -> Self {
        let mut outcomes = Self { met: RoaringBitmap::new(), unknown: RoaringBitmap::new() };
        for (number, room) in (0..).zip(rooms) {
            match conditions.are_met_by(room) {
                Some(true) => drop(outcomes.met.insert(number)),
                Some(false) => {}
                None => drop(outcomes.unknown.insert(number)),
            }
        }
        outcomes
    }
}
