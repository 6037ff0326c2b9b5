//! A policy as a graph for a person: sets, and arrows from senders to recipients with the
//! number of pairs that are visible after denies. The groups of one `within` are one set.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use crate::policy::Policy;
use crate::policy::document::{Document, Pairs as Written, SetExpr};
use crate::policy::wording::{count, escaped};
use crate::routing::change::difference::attribution::Product;
use crate::routing::change::difference::{Count, Difference, Found, Pairs};
use crate::routing::model::ruleset::Effect;
use crate::routing::model::side::Side;

/// Most comparisons of products that all arrows together take.
const MAX_STEPS: u64 = 20_000_000;

/// Most characters of a set's words.
const MAX_WORDS: usize = 40;

/// A policy as a graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyGraph {
    /// Words for each set: a group's name, the glob over several with their number, or
    /// what else stands in a rule.
    pub sets: Vec<String>,
    /// The arrows: first those that are open, then those of more pairs.
    pub arrows: Vec<Arrow>,
    /// The number of arrows that are left out.
    pub left_out: usize,
}

/// An arrow from the senders of a rule to the recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrow {
    /// An index in the graph's sets.
    pub senders: usize,
    /// An index in the graph's sets.
    pub recipients: usize,
    /// The number of visible pairs; `None`, if it is too much to count.
    pub pairs: Option<Count>,
}

/// A set that an arrow begins or ends at. Two sets are one if all of their words are the
/// same, even where the graph cuts the words short.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Group(String),
    /// All groups whose names match a glob, more than one.
    Groups(String),
    Set(String),
}

/// The sets of a graph, each once.
#[derive(Default)]
struct Ends {
    indices: BTreeMap<End, usize>,
    /// By index: the words to show.
    words: Vec<String>,
}

/// Makes the graph of a policy: every arrow that is open or may be, and with these at
/// most `max_arrows`.
pub fn graph(policy: &Policy, max_arrows: usize) -> PolicyGraph {
    let products = policy.snapshot.products(&policy.ruleset);
    let takes_part = |effect: Effect| {
        let rules = policy.document.rules.iter().zip(&products);
        rules.filter(move |(rule, _)| rule.effect == effect && !rule.shadow)
    };
    let denies: Vec<Product> =
        takes_part(Effect::Deny).flat_map(|(_, products)| products.iter().cloned()).collect();
    let mut ends = Ends::default();
    let mut by_ends: BTreeMap<(usize, usize), Vec<Product>> = BTreeMap::new();
    for (rule, products) in takes_part(Effect::Allow) {
        let indices = ends.of_rule(&policy.document, &rule.pairs);
        by_ends.entry(indices).or_default().extend(products.iter().cloned());
    }
    let mut steps = MAX_STEPS;
    let arrows = by_ends.into_iter().map(|((senders, recipients), products)| {
        let is_open = products.iter().flatten().any(|set| set.is_open());
        let pairs = count_visible(&products, &denies, &mut steps);
        (Arrow { senders, recipients, pairs }, is_open)
    });
    let (mut open, mut arrows): (Vec<_>, Vec<_>) = arrows
        .filter(|(arrow, _)| arrow.pairs != Some(Count::default()))
        .partition(|(arrow, is_open)| arrow.pairs.map_or(*is_open, |pairs| pairs.open));
    for list in [&mut open, &mut arrows] {
        // An arrow that is too much to count most likely has many pairs.
        list.sort_by_key(|(arrow, _)| Reverse(arrow.pairs.map_or(u64::MAX, |pairs| pairs.named)));
    }
    let drawn = max_arrows.saturating_sub(open.len()).min(arrows.len());
    let left_out = arrows.len() - drawn;
    let arrows = open.into_iter().chain(arrows.into_iter().take(drawn));
    PolicyGraph { sets: ends.words, arrows: arrows.map(|(arrow, _)| arrow).collect(), left_out }
}

// === impl Ends ===

impl Ends {
    /// The ends of a rule's arrow: of its senders, and of its recipients.
    fn of_rule(&mut self, document: &Document, pairs: &Written) -> (usize, usize) {
        match pairs {
            Written::Product { from, to } => {
                let from = self.index(End::new(from));
                (from, self.index(End::new(to)))
            }
            Written::Within { groups, .. } => {
                let names = document.groups.iter().map(|group| &group.name);
                let mut names = names.filter(|name| groups.matches(name));
                let group = self.index(match (names.next(), names.count()) {
                    (Some(only), 0) => End::Group(escaped(only).into_owned()),
                    (_, more) => End::Groups(format!("{} x{}", escaped(groups.as_str()), more + 1)),
                });
                (group, group)
            }
        }
    }

    fn index(&mut self, end: End) -> usize {
        let words = &mut self.words;
        *self.indices.entry(end).or_insert_with_key(|end| {
            words.push(shorten(end.words()));
            words.len() - 1
        })
    }
}

// === impl End ===

impl End {
    fn new(set: &SetExpr) -> Self {
        match set {
            SetExpr::Group { name, .. } => Self::Group(escaped(name).into_owned()),
            set => Self::Set(describe(set)),
        }
    }

    fn words(&self) -> &str {
        let (Self::Group(words) | Self::Groups(words) | Self::Set(words)) = self;
        words
    }
}

/// The number of pairs of some products that no denying product holds, each counted
/// once.
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
        };
        // Groups that share nobody need not be compared with each other.
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

/// A set in words.
fn describe(set: &SetExpr) -> String {
    let list = |sets: &[SetExpr], between: &str| {
        sets.iter().map(describe).collect::<Vec<_>>().join(between)
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
            format!("{} except {}", describe(any), describe(except))
        }
    }
}

/// Words, or as many of them as a graph has room for.
fn shorten(words: &str) -> String {
    if words.chars().count() <= MAX_WORDS {
        return words.to_owned();
    }
    let begin: String = words.chars().take(MAX_WORDS - 1).collect();
    format!("{begin}…")
}
