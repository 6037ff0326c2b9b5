//! Computes the part of a difference that a rule accounts for, by set arithmetic: pairs
//! are never enumerated.

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::comparison::Comparison;
use super::{Budget, Count, Difference, Found, Pairs, TooMuch};
use crate::routing::model::ruleset::Ruleset;
use crate::routing::model::side::Side;
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::members::Members;
use crate::routing::snapshot::numbering::Numbering;
use presence_router_ids::RoomCapabilities;

/// Senders and recipients.
pub type Product = [Arc<Members>; 2];

/// The products of all rules that decide about visibility.
#[derive(Clone, Debug, Default)]
pub struct DecidingProducts {
    /// The products of allow rules.
    pub allow: ProductsOfEffect,
    /// The products of deny rules.
    pub deny: ProductsOfEffect,
}

/// The products of all rules with one effect.
#[derive(Clone, Debug, Default)]
pub struct ProductsOfEffect {
    /// The products of rules that require no relation.
    pub unconditional: Vec<Product>,
    /// The products of rules that require a relation.
    pub conditional: Vec<Product>,
}

// === impl Snapshot ===

impl Snapshot {
    /// Returns the products of each rule of the snapshot's ruleset.
    pub fn products(&self, ruleset: &Ruleset) -> Vec<Vec<Product>> {
        let mut numbering = Numbering::new(ruleset);
        let mut set = |set| self.set(numbering.id_of_set(set)).cloned().unwrap_or_default();
        let rules = ruleset.rules.iter().map(|rule| {
            let products = rule.products.iter();
            products.map(|product| [set(&product.senders), set(&product.recipients)]).collect()
        });
        rules.collect()
    }

    /// Converts products of this snapshot to the users of a later one.
    ///
    /// # Errors
    ///
    /// If the later snapshot has too many new users.
    pub fn lift_products(
        &self,
        later: &Self,
        products: &[Product],
    ) -> Result<Vec<Product>, TooMuch> {
        let mut comparison = Comparison::new(self, later, RoomCapabilities::ALL, Budget::PLAN);
        let mut lift = |set: &Members| Ok(Arc::new(comparison.lift_set(set)?));
        products.iter().map(|[one, two]| Ok([lift(one)?, lift(two)?])).collect()
    }
}

// === impl Pairs ===

impl Pairs {
    /// Removes pairs with users who have a number but are not in `users`, such as formerly
    /// listed users. Pairs with users of open sets stay: such a user has the same pairs with
    /// or without a number.
    pub fn keep_numbered(&mut self, users: &RoaringBitmap) {
        self.senders.keep_numbered(users);
        self.recipients.keep_numbered(users);
    }

    /// Marks the pairs as dependent on rooms.
    fn mark(self) -> Self {
        Self { depends_on_rooms: true, ..self }
    }

    /// Returns true if no pair is left.
    pub fn is_empty(&self) -> bool {
        self.senders.is_empty() || self.recipients.is_empty()
    }
}

// === impl DecidingProducts ===

impl DecidingProducts {
    /// Returns the products of rules that require a relation.
    fn conditional(&self) -> impl Iterator<Item = &Product> {
        self.allow.conditional.iter().chain(&self.deny.conditional)
    }
}

// === impl ProductsOfEffect ===

impl ProductsOfEffect {
    fn all(&self) -> impl Iterator<Item = &Product> {
        self.unconditional.iter().chain(&self.conditional)
    }

    /// Returns all products.
    pub fn to_vec(&self) -> Vec<Product> {
        self.all().cloned().collect()
    }
}

// === impl Difference ===

impl Difference {
    /// Counts some of this difference's pairs: those in any product of `within` and in no
    /// product of `without`. Counts each pair once.
    ///
    /// # Errors
    ///
    /// If the count takes more than `steps` comparisons of a product with another.
    pub fn count_within(
        &self,
        pairs: &[Pairs],
        within: &[Product],
        without: &[Product],
        steps: &mut u64,
    ) -> Result<Count, TooMuch> {
        Ok(total_count(&self.pairs_within(pairs, within, without, steps)?))
    }

    /// Returns the pairs that [`Difference::count_within`] counts. No pair is in two products.
    ///
    /// # Errors
    ///
    /// As [`Difference::count_within`].
    pub fn pairs_within(
        &self,
        pairs: &[Pairs],
        within: &[Product],
        without: &[Product],
        steps: &mut u64,
    ) -> Result<Vec<Pairs>, TooMuch> {
        let once = pairs.iter().map(|pairs| self.without_touched_senders(pairs)).collect();
        let [shared, _] =
            split_by_products(outside_products(once, without, steps)?, within, steps)?;
        Ok(shared)
    }

    /// Removes pairs as [`Pairs::keep_numbered`] does.
    pub fn keep_numbered(&mut self, users: &RoaringBitmap) {
        for list in [&mut self.gained, &mut self.lost] {
            list.iter_mut().for_each(|pairs| pairs.keep_numbered(users));
            list.retain(|pairs| !pairs.is_empty());
        }
    }

    /// Removes pairs from the bounds that do not change, by the products that decide before and
    /// after, as far as set arithmetic finds them. A bound stays unchanged if this takes more than
    /// `steps` comparisons.
    pub fn narrow_bounds(
        &mut self,
        before: &DecidingProducts,
        after: &DecidingProducts,
        steps: u64,
    ) {
        let mut steps = steps;
        for (list, was, is) in [(&mut self.gained, before, after), (&mut self.lost, after, before)]
        {
            let all = std::mem::take(list).into_iter();
            *list = all
                .flat_map(|pairs| match pairs.found {
                    Found::Bound => {
                        pairs_that_turned(&pairs, was, is, &mut steps).unwrap_or(vec![pairs])
                    }
                    Found::For(_) => vec![pairs],
                })
                .collect();
        }
    }

    /// Returns the pairs that are not in a row of senders as well.
    fn without_touched_senders(&self, pairs: &Pairs) -> Pairs {
        let mut once = pairs.clone();
        if pairs.found == Found::For(Side::Recipient) {
            once.senders.subtract(&Members::listed(self.touched_senders.clone()));
        }
        once
    }
}

/// Counts pairs in disjoint products.
pub fn total_count(pairs: &[Pairs]) -> Count {
    let mut count = Count::default();
    for pairs in pairs {
        let more = Difference::default().count([pairs]);
        count.named += more.named;
        count.open |= more.open;
        count.bound |= more.bound;
        count.depends_on_rooms |= more.depends_on_rooms;
    }
    count
}

/// Returns the pairs that may be visible by the `is` products and not by the `was` products.
fn pairs_that_turned(
    pairs: &Pairs,
    was: &DecidingProducts,
    is: &DecidingProducts,
    steps: &mut u64,
) -> Result<Vec<Pairs>, TooMuch> {
    let not_denied = outside_products(vec![pairs.clone()], &is.deny.unconditional, steps)?;
    let [visible, _] = split_by_products(not_denied, is.allow.all(), steps)?;
    let [mut turned, rest] = split_by_products(visible, was.deny.all(), steps)?;
    turned.extend(outside_products(rest, &was.allow.unconditional, steps)?);
    for pairs in &mut turned {
        let conditional = [was, is].into_iter().flat_map(DecidingProducts::conditional);
        let mut met = conditional.filter_map(|product| intersect_product(pairs, product));
        pairs.depends_on_rooms |= met.next().is_some();
    }
    Ok(turned)
}

/// Marks those of some visible pairs that are not visible for all rooms: pairs in a product that
/// denies for some rooms, and pairs that are allowed for some rooms only.
///
/// # Errors
///
/// If this takes more than `steps` comparisons of a product with another.
pub fn mark_visible_for_some_rooms(
    pairs: Vec<Pairs>,
    DecidingProducts { allow, deny }: &DecidingProducts,
    steps: &mut u64,
) -> Result<Vec<Pairs>, TooMuch> {
    let (mut marked, mut rest) = mark_within(pairs, &deny.conditional, steps)?;
    if !allow.conditional.is_empty() {
        let [always, for_some_rooms] = split_by_products(rest, &allow.unconditional, steps)?;
        marked.extend(for_some_rooms.into_iter().map(Pairs::mark));
        rest = always;
    }
    marked.extend(rest);
    Ok(marked)
}

/// Splits pairs by products, and marks those in a product as dependent on rooms. Returns them and
/// the others.
///
/// # Errors
///
/// If this takes more than `steps` comparisons of a product with another.
pub fn mark_within<'p>(
    pairs: Vec<Pairs>,
    products: impl IntoIterator<Item = &'p Product>,
    steps: &mut u64,
) -> Result<(Vec<Pairs>, Vec<Pairs>), TooMuch> {
    let [within, others] = split_by_products(pairs, products, steps)?;
    Ok((within.into_iter().map(Pairs::mark).collect(), others))
}

/// Splits pairs into those in any of the products, each once, and the others.
fn split_by_products<'p>(
    mut rest: Vec<Pairs>,
    within: impl IntoIterator<Item = &'p Product>,
    steps: &mut u64,
) -> Result<[Vec<Pairs>; 2], TooMuch> {
    let mut shared = Vec::new();
    for product in within {
        shared.extend(rest.iter().filter_map(|pairs| intersect_product(pairs, product)));
        rest = subtract_product(rest, product, steps)?;
    }
    Ok([shared, rest])
}

/// Returns the pairs that are in none of the products.
fn outside_products(
    mut rest: Vec<Pairs>,
    products: &[Product],
    steps: &mut u64,
) -> Result<Vec<Pairs>, TooMuch> {
    for product in products {
        rest = subtract_product(rest, product, steps)?;
    }
    Ok(rest)
}

/// Returns the pairs that are also in a product.
fn intersect_product(pairs: &Pairs, [senders, recipients]: &Product) -> Option<Pairs> {
    if !pairs.senders.may_meet(senders) || !pairs.recipients.may_meet(recipients) {
        return None;
    }
    let mut common = pairs.clone();
    common.senders.intersect(senders);
    common.recipients.intersect(recipients);
    (!common.senders.is_empty() && !common.recipients.is_empty()).then_some(common)
}

/// Returns the pairs that are not in a product: pairs of other senders, and pairs of the
/// product's senders with other recipients.
fn subtract_product(
    all: Vec<Pairs>,
    product: &Product,
    steps: &mut u64,
) -> Result<Vec<Pairs>, TooMuch> {
    *steps = steps.checked_sub(all.len() as u64).ok_or(TooMuch)?;
    let [senders, recipients] = product;
    let mut rest = Vec::with_capacity(all.len());
    for pairs in all {
        if intersect_product(&pairs, product).is_none() {
            rest.push(pairs);
            continue;
        }
        let mut others = pairs.clone();
        others.senders.subtract(senders);
        let mut with_others = pairs;
        with_others.senders.intersect(senders);
        with_others.recipients.subtract(recipients);
        let is_some = |pairs: &Pairs| !pairs.senders.is_empty() && !pairs.recipients.is_empty();
        rest.extend([others, with_others].into_iter().filter(is_some));
    }
    Ok(rest)
}
