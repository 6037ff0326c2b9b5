//! The pairs on which a policy would hide more or fewer fields, rule by rule.
//!
//! A rule accounts for a pair that will be visible if it would hide fields that no rule
//! hides now, or if it now hides fields that no rule would hide afterwards. The hidden fields
//! count as a whole: with another field, or another `unless`, a hide is a different one.
//!
//! A rule that requires a relation hides for some rooms only. A rule that hides the same fields on
//! the same pairs takes a pair from its account if it requires no relation or the same one.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use super::samples::sample_pairs;
use super::{MAX_STEPS, MatchedPairs, ProductsByRule};
use crate::routing::change::difference::attribution::{
    DecidingProducts, mark_visible_for_some_rooms, mark_within, total_count,
};
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
    /// Some of the pairs: sender and recipient. None of these pairs depends on rooms.
    pub samples: Vec<[String; 2]>,
}

/// The hide rules of one policy, by name and by hide.
struct HidesByRule<'o> {
    by_rule: BTreeMap<&'o str, (&'o Hide, MatchedPairs<'o>)>,
    by_hide: BTreeMap<&'o Hide, Vec<MatchedPairs<'o>>>,
}

/// Finds the pairs that each rule accounts for, by name, without rules that account for none.
/// Users with a number count only if they are `listed`.
pub(super) fn hide_impacts(
    before: &ProductsByRule<'_>,
    after: &ProductsByRule<'_>,
    (then, listed): (&Snapshot, &RoaringBitmap),
    samples: usize,
) -> Vec<HideImpact> {
    let visible = after.deciding();
    let [now, later] = [before, after].map(HidesByRule::new);
    let mut steps = MAX_STEPS;
    let mut hidden_by = |one: &HidesByRule<'_>, other: &HidesByRule<'_>, name: &str| {
        let Some((hide, matched)) = one.by_rule.get(name) else {
            return Some(HiddenPairs::default());
        };
        let same_hide = other.by_hide.get(hide).map_or(&[][..], Vec::as_slice);
        let mut pairs = visible_pairs(*matched, same_hide, &visible, &mut steps).ok()?;
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

/// Returns the visible pairs of a hide rule, each once, that none of the `others` matches for the
/// same rooms.
fn visible_pairs(
    matched: MatchedPairs<'_>,
    others: &[MatchedPairs<'_>],
    visible: &DecidingProducts,
    steps: &mut u64,
) -> Result<Vec<Pairs>, TooMuch> {
    let covering = others.iter().flat_map(|other| other.products_covering(matched));
    let mut without: Vec<_> = covering.chain(&visible.deny.unconditional).cloned().collect();
    let allowed = visible.allow.to_vec();
    let depends_on_rooms = matched.relation.is_some();
    let mut all = Vec::new();
    for product in matched.products {
        let [senders, recipients] = product.each_ref().map(|set| set.as_ref().clone());
        let found = Found::For(Side::Sender);
        let pairs = Pairs { senders, recipients, found, depends_on_rooms };
        all.extend(Difference::default().pairs_within(&[pairs], &allowed, &without, steps)?);
        without.push(product.clone());
    }
    let conditional = others.iter().filter(|other| other.relation.is_some());
    let conditional = conditional.flat_map(|other| other.products);
    let (mut marked, rest) = mark_within(all, conditional, steps)?;
    marked.extend(mark_visible_for_some_rooms(rest, visible, steps)?);
    Ok(marked)
}

// === impl HidesByRule ===

impl<'o> HidesByRule<'o> {
    fn new(policy: &'o ProductsByRule<'_>) -> Self {
        let mut hides = Self { by_rule: BTreeMap::new(), by_hide: BTreeMap::new() };
        for (name, (rule, products)) in &policy.rules {
            if let (Effect::Hide(hide), false) = (&rule.effect, rule.shadow) {
                let matched = MatchedPairs { relation: rule.relation.as_ref(), products };
                hides.by_rule.insert(name, (hide, matched));
                hides.by_hide.entry(hide).or_default().push(matched);
            }
        }
        hides
    }
}
