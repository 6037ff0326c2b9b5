//! Why a pair is visible or not: every rule that matches it, or one side of it,
//! and the way by which each side comes to be in the rule's set.
//!
//! Looks at every rule and set, without haste: routing decides, this explains.

mod way;

use std::collections::HashMap;

use roaring::RoaringBitmap;

pub use self::way::{Step, What};
use super::Policy;
use super::document::{Document, Pairs, Rule, SetExpr};
use super::problem::quoted;
use super::standings::{Directory, Product, Standings};
use crate::routing::model::ruleset::Effect;
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::sets::SetId;
use presence_router_ids::UserId;

/// Why a pair is visible or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Whether the two are one user, whom no rule is about.
    pub own: bool,

    /// Whether the recipient may see the sender.
    pub visible: bool,

    /// Rules that match the pair or one side of it, in the document's order.
    pub rules: Vec<Matched>,
}

/// A rule that matches a pair, or one side of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// The rule's place among the document's.
    pub rule: usize,

    /// Whether it matches the pair. It may match both sides and not the pair:
    /// `within` wants them in one group.
    pub pair: bool,

    /// How the sender comes to be in; empty if it is not.
    pub sender: Vec<Step>,

    /// How the recipient comes to be in; empty if it is not.
    pub recipient: Vec<Step>,
}

// === impl Policy ===

impl Policy {
    /// Why a pair is visible or not. `snapshot` is one of this policy's, with
    /// the directory as it is.
    pub fn explain(
        &self,
        snapshot: &Snapshot,
        sender: UserId<'_>,
        recipient: UserId<'_>,
    ) -> Explanation {
        let directory = self.directory(snapshot);
        let (sender, recipient) = (sender.as_str(), recipient.as_str());
        explain(&self.document, &self.groups, &directory, sender, recipient)
    }

    /// Who is in which group of the directory, as a snapshot has it.
    pub(super) fn directory<'s>(
        &self,
        snapshot: &'s Snapshot,
    ) -> impl Fn(usize, &str) -> bool + use<'s> {
        // Groups of a ruleset are its first sets, by their numbers.
        let numbers: HashMap<usize, SetId> = self.groups.iter().copied().zip(0..).collect();
        move |place, user| {
            let set = numbers.get(&place).and_then(|number| snapshot.set(*number));
            let who = UserId::parse(user).map(|user| snapshot.users().who(user));
            set.zip(who.ok()).is_some_and(|(set, who)| set.contains(who))
        }
    }
}

// === impl Explanation ===

/// Why a pair is visible or not. `order`: as [`Standings::new`] has it.
pub(super) fn explain(
    document: &Document,
    order: &[usize],
    directory: Directory<'_>,
    sender: &str,
    recipient: &str,
) -> Explanation {
    let standings = Standings::new(document, order, [sender, recipient], directory);
    let users = [sender, recipient].map(|user| standings.number(user).unwrap_or_default());
    let rules = document.rules.iter().enumerate();
    let rules = rules.filter_map(|(place, rule)| standings.matched(place, rule, users)).collect();
    let mut explanation = Explanation { own: sender == recipient, visible: false, rules };
    let any = |effect| !explanation.deciding(document, &effect, false).is_empty();
    explanation.visible = !explanation.own && any(Effect::Allow) && !any(Effect::Deny);
    explanation
}

impl Explanation {
    /// Places of the rules with an effect that match the pair, in shadow or not.
    fn deciding(&self, document: &Document, effect: &Effect, shadow: bool) -> Vec<usize> {
        let of_pair = self.rules.iter().filter(|matched| matched.pair);
        let decides = |rule: &Rule| rule.effect == *effect && rule.shadow == shadow;
        let places = of_pair.map(|matched| matched.rule);
        places.filter(|place| document.rules.get(*place).is_some_and(decides)).collect()
    }

    /// The verdict in a few words: which rules allow or deny the pair. `whose`
    /// follows the number of a line.
    pub fn reason(&self, document: &Document, whose: &str) -> String {
        if self.own {
            return "no rule is about one's own presence".to_owned();
        }
        let names = |rules: &[usize]| names(document, whose, rules);
        let [allows, denies] =
            [Effect::Allow, Effect::Deny].map(|effect| self.deciding(document, &effect, false));
        let mut reason = match (allows.as_slice(), denies.as_slice()) {
            ([], []) => "no allow rule matches".to_owned(),
            ([], denies) => {
                format!("no allow rule matches, and it is denied by {}", names(denies))
            }
            (allows, []) => format!("allowed by {}", names(allows)),
            (_, denies) => format!("denied by {}", names(denies)),
        };
        let other = if self.visible { Effect::Deny } else { Effect::Allow };
        let shadow = self.deciding(document, &other, true);
        if !shadow.is_empty() {
            reason.push_str(&format!("; {} matches, in shadow only", names(&shadow)));
        }
        reason
    }

    /// The rules that hide something on the pair.
    pub fn hiding(&self, document: &Document, whose: &str) -> String {
        let of_pair = self.rules.iter().filter(|matched| matched.pair);
        let hides = |place: &usize| {
            let rule = document.rules.get(*place);
            rule.is_some_and(|rule| matches!(rule.effect, Effect::Hide(_)) && !rule.shadow)
        };
        let rules: Vec<usize> = of_pair.map(|matched| matched.rule).filter(hides).collect();
        match rules.as_slice() {
            [] => "no hide rule matches".to_owned(),
            rules => format!("hidden by {}", names(document, whose, rules)),
        }
    }
}

fn names(document: &Document, whose: &str, rules: &[usize]) -> String {
    const MOST: usize = 3;
    let named = rules.iter().take(MOST).filter_map(|number| {
        let rule = document.rules.get(*number)?;
        Some(format!("rule {} (line {}{whose})", quoted(&rule.name), rule.place.line))
    });
    let mut named: Vec<_> = named.collect();
    if let Some(more) = rules.len().checked_sub(MOST).filter(|more| *more > 0) {
        named.push(format!("{more} more"));
    }
    match named.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

// === impl Standings ===

impl Standings<'_, '_> {
    /// What a rule has to do with a sender and a recipient, if anything.
    fn matched(&self, place: usize, rule: &Rule, [from, to]: [u32; 2]) -> Option<Matched> {
        let products = self.products(rule);
        let both = products.iter().find(|p| p.senders.contains(from) && p.recipients.contains(to));
        let one = |side: for<'p> fn(&'p Product<'_>) -> &'p RoaringBitmap, user| {
            both.or_else(|| products.iter().find(|product| side(product).contains(user)))
        };
        let way = |product: &Product<'_>, set: Option<&SetExpr>, user| match product.group {
            Some(group) => self.way_into_group(&group.name, user),
            None => set.map(|set| self.way(set, user)).unwrap_or_default(),
        };
        let (senders, recipients) = match &rule.pairs {
            Pairs::Product { from, to } => (Some(from), Some(to)),
            Pairs::Within { .. } => (None, None),
        };
        let sender = one(|product| &product.senders, from);
        let recipient = one(|product| &product.recipients, to);
        (sender.is_some() || recipient.is_some()).then(|| Matched {
            rule: place,
            pair: both.is_some(),
            sender: sender.map(|product| way(product, senders, from)).unwrap_or_default(),
            recipient: recipient.map(|product| way(product, recipients, to)).unwrap_or_default(),
        })
    }
}
