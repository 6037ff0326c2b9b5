//! The impact of a candidate that would replace the active policy, for the command `plan`:
//! pairs that become visible and pairs that stop being visible, in total and rule by rule;
//! pairs with other hidden fields; and rules about rooms that differ.
//!
//! A rule accounts for a gained pair if it starts to allow the pair or stops denying it, and
//! for a lost pair if it stops allowing the pair or starts to deny it. So several rules may
//! account for one pair.
//!
//! If rules require shared rooms, the impact contains every pair that changes for some rooms, so
//! that its numbers are upper bounds.

mod hides;
mod samples;

use std::collections::{BTreeMap, BTreeSet};

pub use self::hides::{HiddenPairs, HideImpact};

use roaring::RoaringBitmap;

use self::samples::sample_pairs;
use super::compare::{RoomChange, room_changes};
use crate::policy::Policy;
use crate::policy::document::Rule;
use crate::routing::change::difference::attribution::{
    DecidingProducts, Product, ProductsOfEffect,
};
use crate::routing::change::difference::{Budget, Count, Difference, Pairs, TooMuch};
use crate::routing::model::ruleset::{Effect, Relation};
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::members::Members;
use presence_router_ids::RoomCapabilities;

/// Maximum comparisons of products for all rules together.
const MAX_STEPS: u64 = 20_000_000;

/// Maximum comparisons of products to find the pairs of the bounds that do not change.
const MAX_STEPS_OF_BOUNDS: u64 = 5_000;

/// The pairs, rules and hides that a policy would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impact {
    /// Pairs that become visible.
    pub gained: PairSummary,
    /// Pairs that stop being visible.
    pub lost: PairSummary,
    /// The pairs that each rule accounts for, by name, without rules that account for
    /// none.
    pub rules: Vec<RuleImpact>,
    /// The pairs on which each rule begins or ends to hide fields, by name, without rules
    /// that have no such pairs.
    pub hides: Vec<HideImpact>,
    /// Rules about rooms that differ, by name.
    pub rooms: Vec<RoomChange>,
}

/// The gained pairs, or the lost pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairSummary {
    /// The number of pairs.
    pub pairs: Count,
    /// The number of listed users who are senders of the pairs.
    pub senders: u64,
    /// The number of listed users who are recipients of the pairs.
    pub recipients: u64,
    /// The servers of the recipients, sorted: servers of listed users, and servers that open
    /// sets name in full.
    pub destinations: Vec<String>,
    /// Some of the pairs: sender and recipient. Each of these pairs certainly changes, whatever
    /// rooms there are.
    pub samples: Vec<[String; 2]>,
}

/// The pairs that one rule accounts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleImpact {
    /// The rule, of either policy or of both.
    pub name: String,
    /// Pairs that become visible; `None`: counting them takes too many steps.
    pub gained: Option<Count>,
    /// Pairs that stop being visible; `None`: counting them takes too many steps.
    pub lost: Option<Count>,
}

/// The rules of one policy, by name, with the pairs that each matches.
struct ProductsByRule<'p> {
    rules: BTreeMap<&'p str, (&'p Rule, Vec<Product>)>,
}

/// The pairs that a rule with some effect matches: none if it has another.
#[derive(Clone, Copy, Default, PartialEq)]
struct MatchedPairs<'o> {
    /// The relation that the rule requires.
    relation: Option<&'o Relation>,
    products: &'o [Product],
}

/// The pairs that a rule matches with one effect, before and after.
type BeforeAndAfter<'o> = [MatchedPairs<'o>; 2];

/// Computes the changes if `candidate` replaced `active`.
///
/// The snapshots `now` and `then` are those of the two policies; the engine of the earlier
/// one made the later one. The result names at most `samples` pairs of each kind.
///
/// # Errors
///
/// If the change is too large to report.
pub fn compute_impact(
    active: &Policy,
    now: &Snapshot,
    candidate: &Policy,
    then: &Snapshot,
    samples: usize,
) -> Result<Impact, TooMuch> {
    let mut difference = Difference::between(now, then, RoomCapabilities::ALL, Budget::PLAN)?;
    let before = ProductsByRule::new_lifted(active, now, then)?;
    let after = ProductsByRule::new(candidate, then);
    difference.narrow_bounds(&before.deciding(), &after.deciding(), MAX_STEPS_OF_BOUNDS);
    // Unlisted users may still have a number from an earlier time.
    let listed = now.listed_users() | then.listed_users();
    difference.keep_numbered(&listed);
    let summary = |pairs| PairSummary::new(&difference, pairs, then, samples);
    Ok(Impact {
        gained: summary(&difference.gained),
        lost: summary(&difference.lost),
        rules: rule_impacts(&difference, &before, &after),
        hides: hides::hide_impacts(&before, &after, (then, &listed), samples),
        rooms: room_changes(active, candidate),
    })
}

/// Counts the pairs that each rule accounts for, by name, without rules that account for
/// none.
fn rule_impacts(
    difference: &Difference,
    before: &ProductsByRule<'_>,
    after: &ProductsByRule<'_>,
) -> Vec<RuleImpact> {
    let mut steps = MAX_STEPS;
    let names: BTreeSet<&str> = before.rules.keys().chain(after.rules.keys()).copied().collect();
    let rules = names.into_iter().map(|name| {
        let [allowed, denied] = [Effect::Allow, Effect::Deny]
            .map(|effect| [before, after].map(|rules| rules.pairs_of(name, &effect)));
        // A rule with equal products and relation has no impact, whatever its open sets are.
        if [allowed, denied].iter().all(|[before, after]| before == after) {
            let none = Some(Count::default());
            return RuleImpact { name: name.to_owned(), gained: none, lost: none };
        }
        // A pair is gained if the rule stops denying it or starts to allow it, and lost
        // the other way round.
        let gained =
            count_attributed(difference, &difference.gained, denied, allowed, &mut steps).ok();
        let lost = count_attributed(difference, &difference.lost, allowed, denied, &mut steps).ok();
        RuleImpact { name: name.to_owned(), gained, lost }
    });
    let accounts = |rule: &RuleImpact| {
        [rule.gained, rule.lost].iter().any(|count| *count != Some(Count::default()))
    };
    rules.filter(accounts).collect()
}

/// Counts the pairs that a rule accounts for: pairs that it `stops` matching with one effect,
/// and pairs that it `starts` to match with the other.
fn count_attributed(
    difference: &Difference,
    pairs: &[Pairs],
    [stops_before, stops_after]: BeforeAndAfter<'_>,
    [starts_before, starts_after]: BeforeAndAfter<'_>,
    steps: &mut u64,
) -> Result<Count, TooMuch> {
    let mut count = Count::default();
    // For a rule that allowed and now denies, a pair may be in both.
    let others = [stops_after.products_covering(stops_before), starts_after.products].concat();
    let started_before = starts_before.products_covering(starts_after);
    for (within, without) in
        [(starts_after.products, started_before), (stops_before.products, others.as_slice())]
    {
        if !within.is_empty() {
            let more = difference.count_within(pairs, within, without, steps)?;
            count.named += more.named;
            count.open |= more.open;
            count.bound |= more.bound;
            count.depends_on_rooms |= more.depends_on_rooms;
        }
    }
    Ok(count)
}

// === impl MatchedPairs ===

impl<'o> MatchedPairs<'o> {
    /// Returns the products if each of their pairs is matched whenever the other pairs are: for
    /// the same relation, or for none.
    fn products_covering(self, others: Self) -> &'o [Product] {
        let covers = self.relation.is_none() || self.relation == others.relation;
        if covers { self.products } else { &[] }
    }
}

// === impl ProductsByRule ===

impl<'p> ProductsByRule<'p> {
    fn new(policy: &'p Policy, snapshot: &Snapshot) -> Self {
        let products = snapshot.products(&policy.ruleset);
        let rules = policy.document.rules.iter().zip(products);
        Self { rules: rules.map(|(rule, all)| (rule.name.as_str(), (rule, all))).collect() }
    }

    /// Creates the products with the user numbers of a later snapshot.
    fn new_lifted(
        policy: &'p Policy,
        snapshot: &Snapshot,
        later: &Snapshot,
    ) -> Result<Self, TooMuch> {
        let mut this = Self::new(policy, snapshot);
        for (_, products) in this.rules.values_mut() {
            *products = snapshot.lift_products(later, products)?;
        }
        Ok(this)
    }

    /// Returns the products of all rules that decide about visibility.
    fn deciding(&self) -> DecidingProducts {
        let [allow, deny] = [Effect::Allow, Effect::Deny].map(|effect| {
            let mut all = ProductsOfEffect::default();
            for name in self.rules.keys() {
                let MatchedPairs { relation, products } = self.pairs_of(name, &effect);
                let list = match relation {
                    None => &mut all.unconditional,
                    Some(_) => &mut all.conditional,
                };
                list.extend_from_slice(products);
            }
            all
        });
        DecidingProducts { allow, deny }
    }

    /// Returns the pairs that a rule matches if it takes part and has an effect.
    fn pairs_of(&self, name: &str, effect: &Effect) -> MatchedPairs<'_> {
        match self.rules.get(name) {
            Some((rule, products)) if !rule.shadow && rule.effect == *effect => {
                MatchedPairs { relation: rule.relation.as_ref(), products }
            }
            _ => MatchedPairs::default(),
        }
    }
}

// === impl PairSummary ===

impl PairSummary {
    fn new(difference: &Difference, all: &[Pairs], then: &Snapshot, samples: usize) -> Self {
        let user_table = then.users();
        let (mut senders, mut recipients) = (RoaringBitmap::new(), RoaringBitmap::new());
        let mut destinations = BTreeSet::new();
        for pairs in all {
            add_paired_users(&mut senders, &pairs.senders, &pairs.recipients);
            add_paired_users(&mut recipients, &pairs.recipients, &pairs.senders);
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
            samples: sample_pairs(then, all, samples),
        }
    }
}

/// Adds the named users of a set who form a pair with another user of the set across.
fn add_paired_users(users: &mut RoaringBitmap, set: &Members, across: &Members) {
    match across.named().len() {
        0 if !across.is_open() => {}
        1 if !across.is_open() => *users |= set.named() - across.named(),
        _ => *users |= set.named(),
    }
}
