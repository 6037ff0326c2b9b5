//! If a relation holds for two users by given rooms, with the evidence for people.

use super::{GivenRoom, GivenRooms};
use crate::policy::wording::rooms::describe_fact;
use crate::policy::wording::{count, quoted};
use crate::routing::model::ruleset::Relation;
use presence_router_ids::RoomConditions;

/// Most rooms that the evidence names.
const MAX_ROOMS: usize = 3;

/// A relation, evaluated for two users by given rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationFinding {
    /// True if the relation holds. `None`: a missing fact decides it. The relation then counts
    /// as not met in an allow rule, and as met in a deny or hide rule.
    pub holds: Option<bool>,

    /// The reason, as a clause for people: `they share no room`.
    pub evidence: String,
}

// === impl GivenRooms ===

impl GivenRooms {
    /// Evaluates a relation for two users.
    pub fn check_relation(&self, one: &str, other: &str, relation: &Relation) -> RelationFinding {
        let holds = relation.holds(|conditions| self.share_room(one, other, conditions));
        let any_room = RoomConditions::default();
        let conditions = match relation {
            Relation::ShareRoom(conditions) => conditions,
            Relation::ShareNoRoom => &any_room,
        };
        RelationFinding { holds, evidence: self.describe_shared(one, other, conditions) }
    }

    /// Describes the rooms that decide: those that meet the conditions, else those that may
    /// meet them, else all that the users share.
    fn describe_shared(&self, one: &str, other: &str, conditions: &RoomConditions) -> String {
        let mut shared: Vec<(&GivenRoom, Option<bool>)> =
            self.shared_by(one, other).map(|room| (room, conditions.are_met_by(room))).collect();
        for deciding in [Some(true), None] {
            if shared.iter().any(|(_, is_met)| *is_met == deciding) {
                shared.retain(|(_, is_met)| *is_met == deciding);
            }
        }
        let described = shared.iter().take(MAX_ROOMS).map(|(room, is_met)| {
            let id = quoted(&room.id);
            let unmet = conditions.iter().find(|condition| condition.is_met_by(room) == *is_met);
            match unmet.filter(|_| *is_met != Some(true)) {
                Some(condition) => format!("{id}, which {}", describe_fact(room, condition)),
                None => id,
            }
        });
        let mut rooms: Vec<String> = described.collect();
        if let Some(more) = shared.len().checked_sub(MAX_ROOMS).filter(|more| *more > 0) {
            rooms.push(count(more, "more room"));
        }
        let names_only = shared.iter().all(|(_, is_met)| *is_met == Some(true));
        match rooms.split_last() {
            None => "they share no room".to_owned(),
            Some((last, [])) => format!("they share {last}"),
            // A comma ends the clause with `which`.
            Some((last, rest)) => {
                let comma = if names_only { "" } else { "," };
                format!("they share {}{comma} and {last}", rest.join(", "))
            }
        }
    }
}
