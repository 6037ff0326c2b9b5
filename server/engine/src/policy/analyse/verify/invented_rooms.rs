//! Outcomes of relations between users. The daemon knows no rooms, so that a comparison with the
//! definition has to hold whatever rooms users share.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::policy::Policy;
use crate::routing::model::ruleset::Relation;

/// Maximum number of comparisons with random rooms.
const MAX_RANDOM: u64 = 16;

/// The rooms that users share.
#[derive(Clone, Copy, Debug)]
pub(super) enum InventedRooms {
    /// No two users share a room.
    None,

    /// Any two users share a room that meets all conditions.
    All,

    /// Two users share a room that meets some conditions, or share none, or it is unknown, at
    /// random by this seed.
    Random(u64),
}

// === impl InventedRooms ===

impl InventedRooms {
    /// Returns the rooms under which a policy is compared, by a seed. A policy that requires no
    /// relation needs no rooms. `repeats` is the number of comparisons that take acceptable time:
    /// few pairs need more random rooms to cover all combinations of outcomes.
    pub(super) fn select(policy: &Policy, seed: u64, repeats: u64) -> Vec<Self> {
        let mut rules = policy.document.rules.iter();
        if !rules.any(|rule| rule.relation.is_some() && !rule.shadow) {
            return vec![Self::None];
        }
        let random = (0..repeats.clamp(1, MAX_RANDOM)).map(|more| seed.wrapping_add(more));
        [Self::None, Self::All].into_iter().chain(random.map(Self::Random)).collect()
    }

    /// Evaluates a relation between two users. `None`: the outcome is unknown. The order of the
    /// users makes no difference.
    pub(super) fn holds(self, relation: &Relation, users: [&str; 2]) -> Option<bool> {
        relation.holds(|conditions| match self {
            Self::None => Some(false),
            Self::All => Some(true),
            Self::Random(seed) => {
                let [one, two] = users;
                let mut hasher = DefaultHasher::new();
                (seed, conditions, one.min(two), one.max(two)).hash(&mut hasher);
                match hasher.finish() % 3 {
                    0 => Some(true),
                    1 => Some(false),
                    _ => None,
                }
            }
        })
    }
}
