//! What a policy would change if it took the place of the one in force: pairs
//! that become visible and pairs that are visible no more, in total and rule by
//! rule; what is hidden; and rules about rooms that are not the same.
//!
//! A rule accounts for a pair that becomes visible if it allows the pair and did
//! not before, or denied it and does not any more; and for one that is lost the
//! other way round. So several rules may account for one pair.

mod hides;

use std::collections::{BTreeMap, BTreeSet};

pub use self::hides::{HiddenOn, HideShare};

use roaring::RoaringBitmap;

use super::Policy;
use super::compare::{RoomChange, room_changes};
use super::document::Rule;
use crate::routing::change::difference::share::{Product, is_open};
use crate::routing::change::difference::{Budget, Count, Difference, Found, Pairs, TooMuch};
use crate::routing::model::ruleset::Effect;
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::members::Members;

/// Comparisons of products that all rules together may take.
const MOST_STEPS: u64 = 20_000_000;

/// As [`MOST_STEPS`], for finding out what of the bounds does not change.
const MOST_STEPS_OF_BOUNDS: u64 = 5_000;

/// What would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// Pairs that become visible.
    pub gained: Side,
    /// Pairs that are visible no more.
    pub lost: Side,
    /// What rules account for, those that account for nothing left away; by name.
    pub rules: Vec<RuleShare>,
    /// What rules that hide account for, those that account for nothing left away; by
    /// name.
    pub hides: Vec<HideShare>,
    /// Rules about rooms that are not the same, by name.
    pub rooms: Vec<RoomChange>,
}

/// Pairs of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// How many.
    pub pairs: Count,
    /// How many named users are senders of them.
    pub senders: u64,
    /// How many named users are recipients of them.
    pub recipients: u64,
    /// Servers on which recipients of them live, sorted: named users', and those
    /// in full of open sets.
    pub destinations: Vec<String>,
    /// Some of the pairs, senders and recipients: of those that surely change.
    pub samples: Vec<[String; 2]>,
}

/// What one rule accounts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleShare {
    /// The rule, of either policy or of both.
    pub name: String,
    /// Pairs that become visible; `None` if it is too much to tell.
    pub gained: Option<Count>,
    /// Pairs that are visible no more; `None` if it is too much to tell.
    pub lost: Option<Count>,
}

/// One policy of the two.
struct One<'p> {
    rules: BTreeMap<&'p str, (&'p Rule, Vec<Product>)>,
}

impl Policy {
    /// What would change if another policy took the place of this one. The
    /// snapshots are those of the two policies, the later one made over the
    /// engine of the earlier; of each kind so many pairs are named.
    ///
    /// # Errors
    ///
    /// It is too much to tell.
    pub fn preview(
        &self,
        now: &Snapshot,
        candidate: &Self,
        then: &Snapshot,
        samples: usize,
    ) -> Result<Preview, TooMuch> {
        let mut difference = Difference::between(now, then, Budget::PLAN)?;
        let mut steps = MOST_STEPS;
        let before = One::new(self, now, Some(then))?;
        let after = One::new(candidate, then, None)?;
        difference.narrow(&before.all(), &after.all(), MOST_STEPS_OF_BOUNDS);
        // Others may still have a number from when they were listed.
        let listed = now.listed_users() | then.listed_users();
        difference.keep_numbered(&listed);
        let names: BTreeSet<&str> =
            before.rules.keys().chain(after.rules.keys()).copied().collect();
        let none: &[Product] = &[];
        let rules = names.into_iter().map(|name| {
            let [allowed, denied] = [Effect::Allow, Effect::Deny].map(|effect| {
                [&before, &after].map(|one| one.products(name, &effect).unwrap_or(none))
            });
            // Where it says the same, sets that are open need not tell that.
            if [allowed, denied].iter().all(|[before, after]| before == after) {
                let none = Some(Count::default());
                return RuleShare { name: name.to_owned(), gained: none, lost: none };
            }
            // By turns: what begins to allow or ends to deny gains.
            let mut of = |pairs: &[Pairs], [ends, begins]: [[&[Product]; 2]; 2]| {
                let mut count = Count::default();
                // Of a rule that allowed and denies now, a pair may be in both.
                let others = [ends[1], begins[1]].concat();
                for (within, without) in [(begins[1], begins[0]), (ends[0], others.as_slice())] {
                    if !within.is_empty() {
                        let more = difference.share(pairs, within, without, &mut steps).ok()?;
                        count.named += more.named;
                        count.open |= more.open;
                        count.bound |= more.bound;
                    }
                }
                Some(count)
            };
            let gained = of(&difference.gained, [denied, allowed]);
            let lost = of(&difference.lost, [allowed, denied]);
            RuleShare { name: name.to_owned(), gained, lost }
        });
        let accounts = |rule: &RuleShare| {
            [rule.gained, rule.lost].iter().any(|count| *count != Some(Count::default()))
        };
        let rules = rules.filter(accounts).collect();
        let side = |pairs| Side::new(&difference, pairs, then, samples);
        let (gained, lost) = (side(&difference.gained), side(&difference.lost));
        let hides = hides::shares(&before, &after, (then, &listed), samples);
        Ok(Preview { gained, lost, rules, hides, rooms: room_changes(self, candidate) })
    }
}

// === impl One ===

impl<'p> One<'p> {
    fn new(
        policy: &'p Policy,
        snapshot: &Snapshot,
        later: Option<&Snapshot>,
    ) -> Result<Self, TooMuch> {
        let products = snapshot.products(&policy.ruleset);
        let mut rules = BTreeMap::new();
        for (rule, products) in policy.document.rules.iter().zip(products) {
            let products = match later {
                Some(later) => snapshot.lift(later, &products)?,
                None => products,
            };
            rules.insert(rule.name.as_str(), (rule, products));
        }
        Ok(Self { rules })
    }

    /// The products of all rules that allow, and of all that deny.
    fn all(&self) -> [Vec<Product>; 2] {
        [Effect::Allow, Effect::Deny].map(|effect| {
            let names = self.rules.keys().filter_map(|name| self.products(name, &effect));
            names.flatten().cloned().collect()
        })
    }

    /// The products of a rule that takes part and has an effect.
    fn products(&self, name: &str, effect: &Effect) -> Option<&[Product]> {
        let (rule, products) = self.rules.get(name)?;
        (!rule.shadow && rule.effect == *effect).then_some(products.as_slice())
    }
}

// === impl Side ===

impl Side {
    fn new(difference: &Difference, all: &[Pairs], then: &Snapshot, samples: usize) -> Self {
        let user_table = then.users();
        let (mut senders, mut recipients) = (RoaringBitmap::new(), RoaringBitmap::new());
        let mut destinations = BTreeSet::new();
        for pairs in all {
            in_pairs(&mut senders, &pairs.senders, &pairs.recipients);
            in_pairs(&mut recipients, &pairs.recipients, &pairs.senders);
            destinations.extend(then.destinations(pairs.recipients.open()));
        }
        let on_server = user_table.servers().filter(|server| {
            user_table.on_server(server).is_some_and(|users| !users.is_disjoint(&recipients))
        });
        destinations.extend(on_server);
        Self {
            pairs: difference.count(all),
            senders: senders.len(),
            recipients: recipients.len(),
            destinations: destinations.into_iter().map(str::to_owned).collect(),
            samples: some(all, samples)
                .into_iter()
                .map(|pair| pair.map(|user| user_table.id(user).into()))
                .collect(),
        }
    }
}

/// Adds the named users of a set who make a pair with somebody across. Nobody does
/// with themselves.
fn in_pairs(users: &mut RoaringBitmap, set: &Members, across: &Members) {
    match across.named().len() {
        0 if !is_open(across) => {}
        1 if !is_open(across) => *users |= set.named() - across.named(),
        _ => *users |= set.named(),
    }
}

/// Some pairs of named users, of each product a few. Of a bound none: they may not
/// change.
fn some(all: &[Pairs], most: usize) -> Vec<[u32; 2]> {
    let all: Vec<&Pairs> = all.iter().filter(|pairs| pairs.found != Found::Bound).collect();
    let each = most.div_ceil(all.len().max(1));
    let mut some: BTreeSet<[u32; 2]> = BTreeSet::new();
    for Pairs { senders, recipients, .. } in all {
        let pairs = senders.named().iter().take(each + 1).flat_map(|sender| {
            recipients.named().iter().take(each + 1).map(move |recipient| [sender, recipient])
        });
        some.extend(pairs.filter(|[sender, recipient]| sender != recipient).take(each));
    }
    some.into_iter().take(most).collect()
}
