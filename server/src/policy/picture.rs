//! Who sees whom between the sets of a policy, as a picture for a person: sets,
//! and arrows from senders to recipients with the number of pairs that really are
//! visible, denies taken away.

use std::collections::BTreeMap;

use super::document::{Pairs as Written, SetExpr};
use super::problem::escaped;
use super::{Policy, count};
use crate::routing::difference::share::Product;
use crate::routing::difference::{Count, Difference, Found, Pairs};
use crate::routing::plan::Effect;
use crate::routing::relation::Side;

/// Comparisons of products that all arrows together may take.
const MOST_STEPS: u64 = 20_000_000;

/// Most characters of a set's words.
const MOST_WORDS: usize = 40;

/// A policy as a picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// Words for each set: a group's name, or what else stands in a rule.
    pub sets: Vec<String>,
    /// The arrows, those of more pairs first.
    pub arrows: Vec<Arrow>,
    /// How many arrows there would be besides.
    pub left_out: usize,
}

/// That some senders are seen by some recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrow {
    /// Places in the picture's sets.
    pub senders: usize,
    /// As the senders.
    pub recipients: usize,
    /// How many pairs are visible; `None` if it is too much to tell.
    pub pairs: Option<Count>,
}

// === impl Picture ===

impl Picture {
    /// The picture of a policy, with so many arrows at most.
    pub fn new(policy: &Policy, most: usize) -> Self {
        let products = policy.snapshot.products(&policy.plan);
        let takes_part = |effect: Effect| {
            let rules = policy.document.rules.iter().zip(&products);
            rules.filter(move |(rule, _)| rule.effect == effect && !rule.shadow)
        };
        let denies: Vec<Product> =
            takes_part(Effect::Deny).flat_map(|(_, products)| products.iter().cloned()).collect();
        let mut steps = MOST_STEPS;
        // By all of the words, and whether they are a group's name: what is cut short
        // for the picture, or called `everyone`, is not another set for that.
        let mut sets: BTreeMap<(bool, String), usize> = BTreeMap::new();
        let mut words = Vec::new();
        let mut place = |is_group: bool, set: String| {
            *sets.entry((is_group, set)).or_insert_with_key(|(_, set)| {
                words.push(short(set));
                words.len() - 1
            })
        };
        let is_group = |set: &SetExpr| matches!(set, SetExpr::Group { .. });
        let mut arrows: BTreeMap<(usize, usize), Vec<Product>> = BTreeMap::new();
        for (rule, products) in takes_part(Effect::Allow) {
            match &rule.pairs {
                Written::Product { from, to } => {
                    let from = place(is_group(from), said(from));
                    let ends = (from, place(is_group(to), said(to)));
                    arrows.entry(ends).or_default().extend(products.iter().cloned());
                }
                Written::Within { groups, .. } => {
                    let names = policy.document.groups.iter().map(|group| &group.name);
                    let mut names: Vec<&String> =
                        names.filter(|name| groups.matches(name)).collect();
                    // The products of a `within` come in the order of the groups.
                    names.truncate(products.len());
                    for (name, product) in names.into_iter().zip(products) {
                        let group = place(true, name.clone());
                        arrows.entry((group, group)).or_default().push(product.clone());
                    }
                }
            }
        }
        let mut arrows: Vec<Arrow> = arrows
            .into_iter()
            .map(|((senders, recipients), products)| {
                let pairs = visible(&products, &denies, &mut steps);
                Arrow { senders, recipients, pairs }
            })
            .collect();
        arrows.retain(|arrow| arrow.pairs != Some(Count::default()));
        arrows.sort_by_key(|arrow| std::cmp::Reverse(arrow.pairs.map(|pairs| pairs.named)));
        let left_out = arrows.len().saturating_sub(most);
        arrows.truncate(most);
        Self { sets: words, arrows, left_out }
    }
}

/// How many pairs of some products no other product holds.
fn visible(products: &[Product], denies: &[Product], steps: &mut u64) -> Option<Count> {
    let everything = products.iter().map(|[senders, recipients]| Pairs {
        senders: senders.as_ref().clone(),
        recipients: recipients.as_ref().clone(),
        found: Found::For(Side::Sender),
    });
    let none = Difference::default();
    let mut all = Count::default();
    let mut counted: Vec<Product> = denies.to_vec();
    for (pairs, product) in everything.zip(products) {
        let within = std::slice::from_ref(product);
        let more = none.share(std::slice::from_ref(&pairs), within, &counted, steps).ok()?;
        all.named += more.named;
        all.open |= more.open;
        counted.push(product.clone());
    }
    Some(all)
}

/// A set in words.
fn said(set: &SetExpr) -> String {
    let list =
        |sets: &[SetExpr], between: &str| sets.iter().map(said).collect::<Vec<_>>().join(between);
    match set {
        SetExpr::User(user) => user.id.clone(),
        SetExpr::Everyone => "everyone".to_owned(),
        SetExpr::Server(globs) => {
            globs.iter().map(|glob| glob.as_str()).collect::<Vec<_>>().join(", ")
        }
        SetExpr::Match(patterns) => {
            patterns.iter().map(|pattern| pattern.to_pattern()).collect::<Vec<_>>().join(", ")
        }
        SetExpr::Members { ids, file, .. } => format!("{} of {file}", count(ids.len(), "user")),
        SetExpr::Group { name, .. } => name.clone(),
        SetExpr::Union(sets) if sets.is_empty() => "nobody".to_owned(),
        SetExpr::Union(sets) => list(sets, ", "),
        SetExpr::AllOf(sets) => list(sets, " and "),
        SetExpr::Difference { any, except } => format!("{} except {}", said(any), said(except)),
    }
}

/// Words on one line, or as many of them as a picture has room for.
fn short(words: &str) -> String {
    let words = escaped(words);
    if words.chars().count() <= MOST_WORDS {
        return words.into_owned();
    }
    let begin: String = words.chars().take(MOST_WORDS - 1).collect();
    format!("{begin}…")
}
