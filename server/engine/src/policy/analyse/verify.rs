//! Compares what a snapshot answers with the definition of visibility and of what
//! is hidden, over the policy as it is written: an audience and an interest for
//! each user, with their hides, pair by pair.
//!
//! Users are all that are listed, and some made up: what servers and patterns say of
//! unlisted users must hold too. Where that makes more pairs than the budget, a part of
//! them is drawn by a seed, so that what was found can be found again.

mod definition;
mod made_up_users;

use std::collections::BTreeSet;

use fastrand::Rng;

use self::definition::Definition;
use super::answer::Answer;
use super::verdict::Discrepancy;
pub use super::verdict::Hides;
use crate::policy::Policy;
use crate::routing::model::side::Side;
use crate::routing::snapshot::Snapshot;

/// Pairs to compare where nobody says how many.
pub const DEFAULT_PAIRS: u64 = 1_000_000;

/// Most pairs to compare.
pub const MAX_PAIRS: u64 = 100_000_000;

/// The result of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Pairs of two users that were compared, each in both callbacks.
    pub pairs: u64,

    /// True if these are all pairs of listed and made-up users.
    pub exhaustive: bool,

    /// The seed that pairs were drawn by, and users made up.
    pub seed: u64,

    /// Users whom policy or directory list.
    pub listed: u64,

    /// The first pair on which they do not agree.
    pub counter_example: Option<CounterExample>,
}

/// A pair on which a callback and the definition do not agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterExample {
    /// Whose presence it is.
    pub sender: String,

    /// The user who may see it, or may not.
    pub recipient: String,

    /// The callback that differs: the audience of the sender, or the interest of the
    /// recipient.
    pub of: Side,

    /// True if the pair is visible by the definition. The callback says the opposite,
    /// unless the difference is about hides.
    pub visible: bool,

    /// The hides of both, if only these differ.
    pub hides: Option<Hides>,
}

/// The users whose pairs are compared.
struct Sample {
    senders: Vec<String>,
    recipients: Vec<String>,
    /// True if every pair of listed and made-up users is among them.
    exhaustive: bool,
    listed: u64,
}

/// Compares a snapshot's callbacks with what a policy says, on at most `pairs` pairs,
/// drawn by `seed` where there are more. The snapshot should be one of this policy's,
/// with the directory as it is.
pub fn verify(policy: &Policy, snapshot: &Snapshot, pairs: u64, seed: u64) -> Verified {
    let Sample { senders, recipients, exhaustive, listed } =
        Sample::draw(policy, snapshot, pairs, seed);
    let both = senders.iter().chain(&recipients).map(String::as_str);
    let definition = Definition::new(policy, both, snapshot);
    let counter_example = find_counter_example(&definition, snapshot, &senders, &recipients);
    // Nobody is paired with themselves.
    let drawn: BTreeSet<&String> = recipients.iter().collect();
    let own = senders.iter().filter(|sender| drawn.contains(sender)).count() as u64;
    let pairs = senders.len() as u64 * recipients.len() as u64 - own;
    Verified { pairs, exhaustive, seed, listed, counter_example }
}

/// Compares the audience of each sender, then the interest of each recipient.
fn find_counter_example(
    definition: &Definition<'_, '_>,
    snapshot: &Snapshot,
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
            let defined = definition.verdict(sender, recipient);
            let hides = match defined.discrepancy(&answer.verdict(other))? {
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
    fn draw(policy: &Policy, snapshot: &Snapshot, pairs: u64, seed: u64) -> Self {
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
        let mut draw = || {
            let unlisted = made_up.len().min(users / 4);
            let drawn = rng.choose_multiple(&listed, users - unlisted);
            let mut drawn: Vec<String> = drawn.into_iter().map(id).collect();
            drawn.extend(rng.choose_multiple(made_up.iter().cloned(), unlisted));
            drawn
        };
        let (senders, recipients) = (draw(), draw());
        Self { senders, recipients, exhaustive: false, listed: listed.len() }
    }
}
