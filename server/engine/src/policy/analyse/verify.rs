//! Compares the answers of a snapshot with the definition of visibility and of hides, over
//! the policy as written: an audience and an interest for each user, with their hides, pair
//! by pair.
//!
//! The users are all listed users and some made-up ones, because the effect of servers and
//! patterns on unlisted users must hold too. If they form more pairs than the budget, a seed
//! selects a random part, so that a counterexample can be found again.
//!
//! If rules require shared rooms, the comparison repeats with rooms that it invents.

mod definition;
mod invented_rooms;
mod made_up_users;

use std::collections::BTreeSet;

use fastrand::Rng;

use self::definition::Definition;
use self::invented_rooms::InventedRooms;
use super::answer::Answer;
use super::verdict::Discrepancy;
pub use super::verdict::Hides;
use crate::policy::Policy;
use crate::routing::model::side::Side;
use crate::routing::snapshot::Snapshot;

/// Default number of pairs to compare.
pub const DEFAULT_PAIRS: u64 = 1_000_000;

/// Maximum number of pairs to compare.
pub const MAX_PAIRS: u64 = 100_000_000;

/// The result of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The number of compared pairs of two users, each compared in both callbacks.
    pub pairs: u64,

    /// True if these are all pairs of listed and made-up users.
    pub exhaustive: bool,

    /// The seed of the random selection and of the made-up users.
    pub seed: u64,

    /// The number of users listed by the policy or the directory.
    pub listed: u64,

    /// True if some rule requires shared rooms. Then each pair was compared without a shared
    /// room, with a room that meets all conditions, and with random outcomes of each relation,
    /// which may be unknown.
    pub invented_rooms: bool,

    /// The first pair on which an answer and the definition do not agree.
    pub counter_example: Option<CounterExample>,
}

/// A pair on which a callback and the definition do not agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterExample {
    /// The sender of the pair.
    pub sender: String,

    /// The recipient of the pair.
    pub recipient: String,

    /// The callback that differs: the audience of the sender, or the interest of the
    /// recipient.
    pub of: Side,

    /// True if the pair is visible by the definition. The callback answers the opposite,
    /// unless only the hides differ.
    pub visible: bool,

    /// The hides of both, if only these differ.
    pub hides: Option<Hides>,
}

/// The users whose pairs are compared.
struct Sample {
    senders: Vec<String>,
    recipients: Vec<String>,
    /// True if the sample contains every pair of listed and made-up users.
    exhaustive: bool,
    listed: u64,
}

/// Compares a snapshot's callbacks with the definition over a policy, on at most `pairs`
/// pairs. If there are more, `seed` selects a random part. The snapshot should be one of this
/// policy's, with the current directory.
pub fn verify(policy: &Policy, snapshot: &Snapshot, pairs: u64, seed: u64) -> Verified {
    let Sample { senders, recipients, exhaustive, listed } =
        Sample::select(policy, snapshot, pairs, seed);
    let both = senders.iter().chain(&recipients).map(String::as_str);
    // No user forms a pair with itself.
    let selected: BTreeSet<&String> = recipients.iter().collect();
    let own = senders.iter().filter(|sender| selected.contains(sender)).count() as u64;
    let compared = senders.len() as u64 * recipients.len() as u64 - own;
    let rooms = InventedRooms::select(policy, seed, pairs / compared.max(1));
    let invented_rooms = rooms.len() > 1;
    let counter_example = rooms.into_iter().find_map(|rooms| {
        let definition = Definition::new(policy, both.clone(), snapshot, rooms);
        find_counter_example(&definition, snapshot, rooms, &senders, &recipients)
    });
    let pairs = compared;
    Verified { pairs, exhaustive, seed, listed, invented_rooms, counter_example }
}

/// Compares the audience of each sender, then the interest of each recipient.
fn find_counter_example(
    definition: &Definition<'_, '_>,
    snapshot: &Snapshot,
    rooms: InventedRooms,
    senders: &[String],
    recipients: &[String],
) -> Option<CounterExample> {
    let audiences = senders.iter().map(|user| (Side::Sender, user, recipients));
    let interests = recipients.iter().map(|user| (Side::Recipient, user, senders));
    audiences.chain(interests).find_map(|(of, user, others)| {
        let answer = Answer::new(snapshot, user, of);
        others.iter().filter(|other| *other != user).find_map(|other| {
            let [sender, recipient] = match of {
                Side::Sender => [user, other],
                Side::Recipient => [other, user],
            };
            let defined = definition.verdict_on(sender, recipient);
            let answered =
                answer.verdict_on(other, |relation| rooms.holds(relation, [user, other]));
            let hides = match defined.find_discrepancy(&answered)? {
                Discrepancy::Visibility => None,
                Discrepancy::Hides(hides) => Some(hides),
            };
            let [sender, recipient] = [sender, recipient].map(String::clone);
            Some(CounterExample { sender, recipient, of, visible: defined.visible, hides })
        })
    })
}

// === impl Sample ===

impl Sample {
    fn select(policy: &Policy, snapshot: &Snapshot, pairs: u64, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let user_table = snapshot.users();
        let listed = snapshot.listed_users();
        let id = |number| String::from(user_table.id(number));
        let made_up = made_up_users::unlisted_users(policy, snapshot, &listed, &mut rng);
        let everybody = listed.len() + made_up.len() as u64;
        if everybody * everybody.saturating_sub(1) <= pairs {
            let all: Vec<String> = listed.iter().map(id).chain(made_up).collect();
            let listed = listed.len();
            return Self { senders: all.clone(), recipients: all, exhaustive: true, listed };
        }
        let users = usize::try_from(pairs.isqrt()).unwrap_or(usize::MAX).max(2);
        let mut select_users = || {
            let unlisted = made_up.len().min(users / 4);
            let selected = rng.choose_multiple(&listed, users - unlisted);
            let mut selected: Vec<String> = selected.into_iter().map(id).collect();
            selected.extend(rng.choose_multiple(made_up.iter().cloned(), unlisted));
            selected
        };
        let (senders, recipients) = (select_users(), select_users());
        Self { senders, recipients, exhaustive: false, listed: listed.len() }
    }
}
