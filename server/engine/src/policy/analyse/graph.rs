//! A policy as a graph for people: sets, and arrows from senders to recipients with the
//! number of pairs that are visible after denies. The groups of one `within` are one set.
//!
//! Rules that require a relation have arrows of their own. The number of such an arrow counts the
//! pairs for which the relation may hold; a deny rule that requires a relation makes the numbers
//! of the arrows that it meets upper bounds.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use crate::policy::Policy;
use crate::policy::document::{Document, Pairs as Written, SetExpr};
use crate::policy::wording::rooms::describe_relation;
use crate::policy::wording::{count, escaped};
use crate::routing::change::difference::attribution::Product;
use crate::routing::change::difference::{Count, Difference, Found, Pairs};
use crate::routing::model::ruleset::{Effect, Relation};
use crate::routing::model::side::Side;

/// Maximum comparisons of products for all arrows together.
const MAX_STEPS: u64 = 20_000_000;

/// Maximum characters of a set's label.
const MAX_LABEL: usize = 40;

/// A policy as a graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyGraph {
    /// The label of each set: a group's name, the glob over several groups with their number,
    /// or the set as the rule writes it.
    pub sets: Vec<String>,
    /// The arrows: open arrows first, then those with the most pairs.
    pub arrows: Vec<Arrow>,
    /// The number of omitted arrows.
    pub left_out: usize,
}

/// An arrow from the senders of a rule to the recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrow {
    /// An index in the graph's sets.
    pub senders: usize,
    /// An index in the graph's sets.
    pub recipients: usize,
    /// The number of visible pairs; `None`: counting them takes too many steps.
    pub pairs: Option<Count>,
    /// The relation that the rules require, as a clause that follows "if".
    pub required: Option<String>,
}

/// A set at which an arrow begins or ends. Two sets are one if their full labels are equal,
/// even if the graph shortens the labels.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Group(String),
    /// All groups whose names match a glob, at least two.
    Groups(String),
    Set(String),
}

/// The products of the deny rules that take part.
#[derive(Default)]
struct Denies {
    all: Vec<Product>,
    /// Of rules that require no relation.
    unconditional: Vec<Product>,
    /// True if some rule requires a relation.
    any_conditional: bool,
}

/// The sets of a graph, each once.
#[derive(Default)]
struct Ends {
    indices: BTreeMap<End, usize>,
    /// By index: the label to show.
    labels: Vec<String>,
}

/// Creates the graph of a policy: all arrows that are open or may be, and other arrows up to
/// `max_arrows` in total.
pub fn graph(policy: &Policy, max_arrows: usize) -> PolicyGraph {
    let products = policy.snapshot.products(&policy.ruleset);
    let takes_part = |effect: Effect| {
        let rules = policy.document.rules.iter().zip(&products);
        rules.filter(move |(rule, _)| rule.effect == effect && !rule.shadow)
    };
    let mut denies = Denies::default();
    for (rule, products) in takes_part(Effect::Deny) {
        denies.all.extend(products.iter().cloned());
        match &rule.relation {
            None => denies.unconditional.extend(products.iter().cloned()),
            Some(_) => denies.any_conditional = true,
        }
    }
    let mut ends = Ends::default();
    let mut by_ends: BTreeMap<(usize, usize, Option<&Relation>), Vec<Product>> = BTreeMap::new();
    for (rule, products) in takes_part(Effect::Allow) {
        let (senders, recipients) = ends.of_rule(&policy.document, &rule.pairs);
        let key = (senders, recipients, rule.relation.as_ref());
        by_ends.entry(key).or_default().extend(products.iter().cloned());
    }
    let mut steps = MAX_STEPS;
    let arrows = by_ends.into_iter().map(|((senders, recipients, relation), products)| {
        let is_open = products.iter().flatten().any(|set| set.is_open());
        let pairs = denies.count_visible(&products, &mut steps);
        let required = relation.map(describe_relation);
        (Arrow { senders, recipients, pairs, required }, is_open)
    });
    let (mut open, mut arrows): (Vec<_>, Vec<_>) = arrows
        .filter(|(arrow, _)| arrow.pairs != Some(Count::default()))
        .partition(|(arrow, is_open)| arrow.pairs.map_or(*is_open, |pairs| pairs.open));
    for list in [&mut open, &mut arrows] {
        // An arrow that takes too many steps to count most likely has many pairs.
        list.sort_by_key(|(arrow, _)| Reverse(arrow.pairs.map_or(u64::MAX, |pairs| pairs.named)));
    }
    let drawn = max_arrows.saturating_sub(open.len()).min(arrows.len());
    let left_out = arrows.len() - drawn;
    let arrows = open.into_iter().chain(arrows.into_iter().take(drawn));
    PolicyGraph { sets: ends.labels, arrows: arrows.map(|(arrow, _)| arrow).collect(), left_out }
}

// === impl Denies ===

impl Denies {
    /// Counts the pairs of some products that may be visible, each once. The number is an upper
    /// bound if some of them are denied for some rooms.
    fn count_visible(&self, products: &[Product], steps: &mut u64) -> Option<Count> {
        let mut pairs = count_visible(products, &self.unconditional, steps)?;
        if self.any_conditional {
            pairs.bound = count_visible(products, &self.all, steps)? != pairs;
        }
        Some(pairs)
    }
}

// === impl Ends ===

impl Ends {
    /// Returns the ends of a rule's arrow: the senders, and the recipients.
    fn of_rule(&mut self, document: &Document, pairs: &Written) -> (usize, usize) {
        match pairs {
            Written::Product { from, to } => {
                let from = self.index_of(End::new(from));
                (from, self.index_of(End::new(to)))
            }
            Written::Within { groups, .. } => {
                let names = document.groups.iter().map(|group| &group.name);
                let mut names = names.filter(|name| groups.matches(name));
                let group = self.index_of(match (names.next(), names.count()) {
                    (Some(only), 0) => End::Group(escaped(only).into_owned()),
                    (_, more) => End::Groups(format!("{} x{}", escaped(groups.as_str()), more + 1)),
                });
                (group, group)
            }
        }
    }

    fn index_of(&mut self, end: End) -> usize {
        let labels = &mut self.labels;
        *self.indices.entry(end).or_insert_with_key(|end| {
            labels.push(shorten_label(end.label()));
            labels.len() - 1
        })
    }
}

// === impl End ===

impl End {
    fn new(set: &SetExpr) -> Self {
        match set {
            SetExpr::Group { name, .. } => Self::Group(escaped(name).into_owned()),
            set => Self::Set(describe_set(set)),
        }
    }

    fn label(&self) -> &str {
        let (Self::Group(label) | Self::Groups(label) | Self::Set(label)) = self;
        label
    }
}

/// Counts the pairs of some products that no denying product contains, each once.
fn count_visible(products: &[Product], denies: &[Product], steps: &mut u64) -> Option<Count> {
    let none = Difference::default();
    let mut all = Count::default();
    let mut counted: Vec<Product> = denies.to_vec();
    let (mut met, mut met_open) = (RoaringBitmap::new(), false);
    for product in products {
        let [senders, recipients] = product;
        let pairs = Pairs {
            senders: senders.as_ref().clone(),
            recipients: recipients.as_ref().clone(),
            found: Found::For(Side::Sender),
            depends_on_rooms: false,
        };
        // Groups without a common user need no comparison with each other.
        let may_meet = (met_open && senders.is_open()) || !met.is_disjoint(senders.named());
        let without = if may_meet { counted.as_slice() } else { denies };
        let within = std::slice::from_ref(product);
        let more = none.count_within(std::slice::from_ref(&pairs), within, without, steps).ok()?;
        all.named += more.named;
        all.open |= more.open;
        counted.push(product.clone());
        met |= senders.named();
        met_open |= senders.is_open();
    }
    Some(all)
}

/// Renders a set for a label.
fn describe_set(set: &SetExpr) -> String {
    let list = |sets: &[SetExpr], between: &str| {
        sets.iter().map(describe_set).collect::<Vec<_>>().join(between)
    };
    match set {
        SetExpr::User(user) => escaped(&user.id).into_owned(),
        SetExpr::Everyone => "everyone".to_owned(),
        SetExpr::Server(globs) => {
            globs.iter().map(|glob| glob.as_str()).collect::<Vec<_>>().join(", ")
        }
        SetExpr::Match(patterns) => {
            let patterns =
                patterns.iter().map(|pattern| escaped(&pattern.to_pattern()).into_owned());
            patterns.collect::<Vec<_>>().join(", ")
        }
        SetExpr::Members { ids, file, .. } => {
            format!("{} of {}", count(ids.len(), "user"), escaped(file))
        }
        SetExpr::Group { name, .. } => escaped(name).into_owned(),
        SetExpr::Union(sets) if sets.is_empty() => "nobody".to_owned(),
        SetExpr::Union(sets) => list(sets, ", "),
        SetExpr::AllOf(sets) => list(sets, " and "),
        SetExpr::Difference { any, except } => {
            format!("{} except {}", describe_set(any), describe_set(except))
        }
    }
}

/// Shortens a label to the characters that a graph shows.
fn shorten_label(label: &str) -> String {
    if label.chars().count() <= MAX_LABEL {
        return label.to_owned();
    }
    let begin: String = label.chars().take(MAX_LABEL - 1).collect();
    format!("{begin}…")
}
