//! Rules that can match no pair: one side is empty, both sides contain the same one user, or
//! the relation never holds. A group of the directory counts as not empty.

use super::coverage::RegionCoverage;
use super::relations;
use super::small_sets::SmallSets;
use crate::policy::RoomSets;
use crate::policy::document::{Document, Pairs, Rule};
use crate::policy::problem::{Problem, ProblemCode};
use crate::policy::wording::quoted;
use crate::routing::model::ruleset::{Product, Ruleset, Set};
use crate::routing::snapshot::keys::{Key, SetId};
use presence_router_ids::{Coverage, Region};

/// Finds sets of a ruleset that are certainly empty.
struct Emptiness<'p> {
    ruleset: &'p Ruleset,
    world: RegionCoverage<'static>,
    small_sets: SmallSets<'p>,
}

/// Returns warnings about rules, then warnings about rules about rooms.
pub(super) fn warnings(
    document: &Document,
    ruleset: &Ruleset,
    numbers: &[usize],
    rooms: &[RoomSets],
) -> Vec<Problem> {
    let world = RegionCoverage::new(document, ruleset, numbers, Region::WORLD);
    let emptiness = Emptiness { ruleset, world, small_sets: SmallSets::new(ruleset) };
    let rules = document.rules.iter().zip(&ruleset.rules).filter_map(|(rule, resolved)| {
        let of_pairs = || {
            Some((
                emptiness.why_never(rule, &resolved.products)?,
                "correct the set, or remove the rule",
            ))
        };
        let of_relation = || {
            let why = relations::why_never(rule.relation.as_ref()?)?;
            Some((why, "correct `share_room`, or remove the rule"))
        };
        let (why, help) = of_pairs().or_else(of_relation)?;
        let message = format!("rule {} can never match: {why}", quoted(&rule.name));
        let warning = Problem::new(ProblemCode::RuleNeverMatches, rule.position, message);
        Some(warning.with_help(help))
    });
    let rooms = document.rooms.iter().zip(rooms).filter_map(|(rule, sets)| {
        let why = emptiness.why_no_room(*sets)?;
        let name = quoted(&rule.name);
        let message = format!("rule {name} about rooms can never match: {why} contains nobody");
        let warning = Problem::new(ProblemCode::RuleNeverMatches, rule.position, message);
        Some(warning.with_help("correct the set, or remove the rule"))
    });
    rules.chain(rooms).collect()
}

// === impl Emptiness ===

impl<'p> Emptiness<'p> {
    /// The reason why a rule matches no pair, if it is certain.
    fn why_never(&self, rule: &Rule, products: &'p [Product]) -> Option<&'static str> {
        let is_never = |product: &'p Product| {
            self.is_empty(&product.senders)
                || self.is_empty(&product.recipients)
                || self.is_one_user(product)
        };
        // An empty rule of a switch is no mistake.
        if rule.switch || !products.iter().all(is_never) {
            return None;
        }
        Some(match (&rule.pairs, products) {
            (Pairs::Product { .. }, [product]) => {
                match (self.is_empty(&product.senders), self.is_empty(&product.recipients)) {
                    (true, true) => "`from` and `to` contain nobody",
                    (true, false) => "`from` contains nobody",
                    (false, true) => "`to` contains nobody",
                    (false, false) => "`from` and `to` contain the same one user",
                }
            }
            _ if products.iter().any(|product| self.is_one_user(product)) => {
                "its groups contain at most one user"
            }
            _ => "its groups contain nobody",
        })
    }

    /// The name of a condition that no room meets.
    fn why_no_room(&self, sets: RoomSets) -> Option<&'static str> {
        let is_empty = |set: Option<SetId>| {
            let set = set.map(Key::index);
            let set = set.and_then(|set| self.ruleset.groups.get(set));
            set.is_some_and(|set| self.is_empty(set))
        };
        match (is_empty(sets.requester), is_empty(sets.invites)) {
            (true, _) => Some("`requester`"),
            (false, true) => Some("`invites`"),
            (false, false) => None,
        }
    }

    fn is_empty(&self, set: &'p Set) -> bool {
        self.world.covered_by(set) == Coverage::Nobody
            || self.small_sets.users_of(set).is_some_and(|users| users.is_empty())
    }

    /// True if both sides contain the same one user.
    fn is_one_user(&self, product: &'p Product) -> bool {
        let [senders, recipients] =
            [&product.senders, &product.recipients].map(|set| self.small_sets.users_of(set));
        senders.is_some_and(|users| users.len() == 1 && Some(users) == recipients)
    }
}
