//! The facts about rooms that a verdict about one pair needs.

use std::cell::RefCell;

use presence_router_proto::ids::RoomConditions;

use crate::{answer::Counterparts, list::HashedUser};

/// The facts that decide about two users: for each of some conditions, if they share a room
/// that meets it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NeededFacts<'q> {
    /// The user whose answer it is, the first argument of `share_room`.
    pub one: &'q str,
    /// The other user of the pair.
    pub other: &'q str,
    /// The conditions, sorted, at least one. If `decide` asks for others about this pair, they do
    /// not matter: return `None`.
    pub conditions: Vec<&'q RoomConditions>,
}

// === impl NeededFacts ===

impl<'q> NeededFacts<'q> {
    /// Finds out which facts decide if a user is a counterpart, and which fields are hidden.
    /// `None`: no fact does.
    pub(super) fn find(
        counterparts: Counterparts<'q>,
        one: &'q str,
        other: &'q str,
        presence: &str,
    ) -> Option<Self> {
        if !counterparts.depends_on_rooms() {
            return None;
        }
        // With no fact known, evaluation asks for every fact that may decide with some known.
        let asked = RefCell::new(Vec::new());
        let record = |conditions: &'q RoomConditions| {
            asked.borrow_mut().push(conditions);
            None
        };
        let user = HashedUser::new(other);
        match counterparts.contains_hashed_if(&user, &record) {
            Some(false) => return None,
            Some(true) => asked.borrow_mut().clear(),
            None => {}
        }
        for hide in counterparts.hides_for(presence) {
            let before = asked.borrow().len();
            if hide.users.0.contains_if(&user, &record).is_some() {
                asked.borrow_mut().truncate(before);
            }
        }
        let mut conditions = asked.into_inner();
        conditions.sort_unstable();
        conditions.dedup();
        (!conditions.is_empty()).then_some(Self { one, other, conditions })
    }
}
