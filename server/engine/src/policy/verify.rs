//! Compares what a snapshot answers with the definition of visibility and of what
//! is hidden, over the policy as it is written: an audience and an interest for
//! each user, with their hides, pair by pair.
//!
//! Users are all that are listed, and some made up: what servers and
//! patterns say of users whom nobody names must hold too. Where that makes more
//! pairs than the budget, a part of them is drawn by a seed, so that what was
//! found can be found again.

pub(super) mod said;

use std::collections::BTreeSet;

use fastrand::Rng;
use roaring::RoaringBitmap;

use self::said::{Answer, Definition};
use super::Policy;
use super::document::SetExpr;
use crate::routing::model::ruleset::Hide;
use crate::routing::model::side::Side;
use crate::routing::snapshot::Snapshot;
use presence_router_ids::UserId;

/// Pairs to compare where nobody says how many.
pub const DEFAULT_PAIRS: u64 = 1_000_000;

/// Most pairs to compare.
pub const MAX_PAIRS: u64 = 100_000_000;

/// Most users that are made up, and most that have a number and are not listed.
const MADE_UP: usize = 64;

/// What was compared, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Pairs of two users that were compared, each in both callbacks.
    pub pairs: u64,

    /// Whether these are all pairs of named and made-up users.
    pub exhaustive: bool,

    /// What the draw began with. It also makes users up.
    pub seed: u64,

    /// Users whom policy or directory name.
    pub named: u64,

    /// The first pair on which they do not agree.
    pub counter_example: Option<CounterExample>,
}

/// A pair on which a callback and the definition do not agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterExample {
    /// Whose presence it is.
    pub sender: String,

    /// Who may see it, or may not.
    pub recipient: String,

    /// What was computed: the audience of the sender, or the interest of the
    /// recipient.
    pub of: Side,

    /// Whether the pair is visible, by the definition. The callback says the
    /// opposite, unless it is about hides.
    pub visible: bool,

    /// What is hidden, if that is all that they do not agree on.
    pub hides: Option<Hides>,
}

/// What is hidden of a pair. Each list sorted, without repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hides {
    /// By the definition. Nothing, if the pair is not visible.
    pub defined: Vec<Hide>,

    /// By the callback.
    pub answered: Vec<Hide>,
}

// === impl Policy ===

impl Policy {
    /// Compares a snapshot's callbacks with what this policy says, on at most so
    /// many pairs. The snapshot should be one of this policy's, with the
    /// directory as it is.
    pub fn verify(&self, snapshot: &Snapshot, pairs: u64, seed: u64) -> Verified {
        let mut rng = Rng::with_seed(seed);
        let user_table = snapshot.users();
        let listed = snapshot.listed_users();
        let id = |number| String::from(user_table.id(number));
        let made_up = self.made_up(snapshot, &listed, &mut rng);
        let everybody = listed.len() + made_up.len() as u64;
        let exhaustive = everybody * everybody.saturating_sub(1) <= pairs;
        let [senders, recipients]: [Vec<String>; 2] = if exhaustive {
            let all: Vec<String> = listed.iter().map(id).chain(made_up).collect();
            [all.clone(), all]
        } else {
            let some = usize::try_from(pairs.isqrt()).unwrap_or(usize::MAX).max(2);
            let mut draw = || {
                let unnamed = made_up.len().min(some / 4);
                let drawn = rng.choose_multiple(&listed, some - unnamed);
                let mut drawn: Vec<String> = drawn.into_iter().map(id).collect();
                drawn.extend(rng.choose_multiple(made_up.iter().cloned(), unnamed));
                drawn
            };
            [draw(), draw()]
        };

        let both = senders.iter().chain(&recipients).map(String::as_str);
        let definition = Definition::new(self, both, snapshot);
        // Nobody is paired with themselves.
        let drawn: BTreeSet<&String> = recipients.iter().collect();
        let own = senders.iter().filter(|sender| drawn.contains(sender)).count() as u64;
        let pairs = senders.len() as u64 * recipients.len() as u64 - own;
        let counter_example =
            [(Side::Sender, &senders, &recipients), (Side::Recipient, &recipients, &senders)]
                .into_iter()
                .find_map(|(of, users, others)| {
                    users.iter().find_map(|user| {
                        let answer = Answer::new(snapshot, user, of);
                        others.iter().filter(|other| *other != user).find_map(|other| {
                            let (sender, recipient) = match of {
                                Side::Sender => (user, other),
                                Side::Recipient => (other, user),
                            };
                            let defined = definition.says(sender, recipient);
                            let answered = answer.says(other);
                            let (visible, hides) = defined.against(&answered)?;
                            let [sender, recipient] = [sender, recipient].map(String::clone);
                            Some(CounterExample { sender, recipient, of, visible, hides })
                        })
                    })
                });
        Verified { pairs, exhaustive, seed, named: listed.len(), counter_example }
    }

    /// Unlisted users: on servers that are named, on those that globs fit, and on one
    /// that nobody met; of the names that patterns fit, and of another. And some who
    /// have a number from when they were listed.
    fn made_up(&self, snapshot: &Snapshot, listed: &RoaringBitmap, rng: &mut Rng) -> Vec<String> {
        let fitting = |glob: &str| glob.replace('*', "made-up").replace('?', "x");
        let mut users = BTreeSet::from(["@made-up".to_owned()]);
        let mut servers = BTreeSet::from(["unmet.example".to_owned()]);
        self.document.each_part(&mut |part| match part {
            SetExpr::Server(globs) => {
                servers.extend(globs.iter().map(|glob| fitting(glob.as_str())));
            }
            SetExpr::Match(patterns) => {
                users.extend(patterns.iter().map(|pattern| fitting(pattern.user().as_str())));
                servers.extend(patterns.iter().map(|pattern| fitting(pattern.server().as_str())));
            }
            _ => {}
        });
        servers.extend(snapshot.users().servers().map(str::to_owned));
        let [users, servers]: [Vec<String>; 2] =
            [users, servers].map(|set| set.into_iter().collect());
        let all = users.len().saturating_mul(servers.len());
        let places = if all <= MADE_UP {
            (0..all).collect()
        } else {
            (0..MADE_UP).map(|_| rng.usize(..all)).collect::<BTreeSet<_>>()
        };
        let made_up = places.into_iter().filter_map(|place| {
            let user = users.get(place % users.len())?;
            let server = servers.get(place / users.len())?;
            let sigil = if user.starts_with('@') { "" } else { "@" };
            Some(format!("{sigil}{user}:{server}"))
        });
        let user_table = snapshot.users();
        let is_listed = |id: &str| user_table.number(id).is_some_and(|user| listed.contains(user));
        let mut made_up: BTreeSet<String> =
            made_up.filter(|id| UserId::parse(id).is_ok() && !is_listed(id)).collect();
        let unlisted = user_table.everyone() - listed;
        let unlisted = rng.choose_multiple(&unlisted, MADE_UP);
        made_up.extend(unlisted.into_iter().map(|number| String::from(user_table.id(number))));
        made_up.into_iter().collect()
    }
}
