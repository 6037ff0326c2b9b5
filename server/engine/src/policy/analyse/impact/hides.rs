//! The pairs on which a policy would hide more or fewer fields, rule by rule.
//!
//! A rule accounts for a pair that will be visible if it would hide fields that no rule
//! hides now, or if it now hides fields that no rule would hide afterwards. The hidden fields
//! count as a whole: with another field, or another `unless`, a hide is a different one.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use super::samples::sample_pairs;
use super::{MAX_STEPS, ProductsByRule};
use crate::routing::change::difference::attribution::{Product, total_count};
use crate::routing::change::difference::{Count, Difference, Found, Pairs, TooMuch};
use crate::routing::model::ruleset::{Effect, Hide};
use crate::routing::model::side::Side;
use crate::routing::snapshot::Snapshot;

/// The pairs that one hide rule accounts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HideImpact {
    /// The rule, of either policy or of both.
    pub name: String,
    /// Pairs on which the rule begins to hide fields; `None`: finding them takes too many
    /// steps.
    pub begins: Option<HiddenPairs>,
    /// Pairs on which the rule stops hiding fields; `None`: finding them takes too many
    /// steps.
    pub ends: Option<HiddenPairs>,
}

/// Pairs with hidden fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HiddenPairs {
    /// The number of pairs.
    pub pairs: Count,
    /// Some of the pairs: sender and recipient.
    pub samples: Vec<[String; 2]>,
}

/// The hide rules of one policy, by name and by hide.
struct HidesByRule<'o> {
    by_rule: BTreeMap<&'o str, (&'o Hide, &'o [Product])>,
    by_hide: BTreeMap<&'o Hide, Vec<Product>>,
}

/// Finds the pairs that each rule accounts for, by name, without rules that account for none.
/// Users with a number count only if they are `listed`.
pub(super) fn hide_impacts(
    before: &ProductsByRule<'_>,
    after: &ProductsByRule<'_>,
    (then, listed): (&Snapshot, &RoaringBitmap),
    samples: usize,
) -> Vec<HideImpact> {
    let visible = after.all();
    let [now, later] = [before, after].map(HidesByRule::new);
    let mut steps = MAX_STEPS;
    let mut hidden_by = |one: &HidesByRule<'_>, other: &HidesByRule<'_>, name: &str| {
        let Some((hide, products)) = one.by_rule.get(name) else {
            return Some(HiddenPairs::default());
        };
        let same_hide = other.by_hide.get(hide).map_or(&[][..], Vec::as_slice);
        let mut pairs = visible_pairs(products, same_hide, &visible, &mut steps).ok()?;
        pairs.iter_mut().for_each(|pairs| pairs.keep_numbered(listed));
        pairs.retain(|pairs| !pairs.is_empty());
        Some(HiddenPairs {
            pairs: total_count(&pairs),
            samples: sample_pairs(then, &pairs, samples),
        })
    };
    let mut names: Vec<&str> = now.by_rule.keys().chain(later.by_rule.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    let impacts = names.into_iter().map(|name| HideImpact {
        name: name.to_owned(),
        begins: hidden_by(&later, &now, name),
        ends: hidden_by(&now, &later, name),
    });
    let nothing = Some(HiddenPairs::default());
    impacts.filter(|impact| impact.begins != nothing || impact.ends != nothing).collect()
}

/// Returns the visible pairs of some products, each once, that are in none of the `others`.
fn visible_pairs(
    products: &[Product],
    others: &[Product],
    [allowed, denied]: &[Vec<Product>; 2],
    steps: &mut u64,
) -> Result<Vec<Pairs>, TooMuch> {
    let mut without = [others, denied.as_slice()].concat();
    let mut all = Vec::new();
    for product in products {
        let [senders, recipients] = product.each_ref().map(|set| set.as_ref().clone());
        let pairs = Pairs { senders, recipients, found: Found::For(Side::Sender) };
        all.extend(Difference::default().pairs_within(&[pairs], allowed, &without, steps)?);
        without.push(product.clone());
    }
    Ok(all)
}

// === impl HidesByRule ===

impl<'o> HidesByRule<'o> {
    fn new(policy: &'o ProductsByRule<'_>) -> Self {
        let mut hides = Self { by_rule: BTreeMap::new(), by_hide: BTreeMap::new() };
        for (name, (rule, products)) in &policy.rules {
            if let (Effect::Hide(hide), false) = (&rule.effect, rule.shadow) {
                hides.by_rule.insert(name, (hide, products));
                hides.by_hide.entry(hide).or_default().extend(products.iter().cloned());
            }
        }
        hides
    }
}
