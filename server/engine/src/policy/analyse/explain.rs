//! Explains why a pair is visible or not: every rule that matches it, or one side of it,
//! and the path by which each side is in the rule's set.
//!
//! Evaluates every rule and set, slowly: routing decides, this module explains.

mod path;

use roaring::RoaringBitmap;

pub use self::path::{PathStep, StepKind};
use super::reference::{IsInDirectory, MatchedProduct, ReferenceEvaluation, directory_of};
use crate::policy::Policy;
use crate::policy::document::{Document, Pairs, Rule, SetExpr};
use crate::policy::wording::quoted;
use crate::routing::model::ruleset::Effect;
use crate::routing::snapshot::Snapshot;
use presence_router_ids::UserId;

/// The reasons why a pair is visible or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// True if sender and recipient are one user. No rule applies to such a pair.
    pub own: bool,

    /// True if the recipient may see the sender.
    pub visible: bool,

    /// Rules that match the pair or one side of it, in the document's order.
    pub rules: Vec<RuleMatch>,
}

/// A rule that matches a pair, or one side of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleMatch {
    /// The rule's index among the document's.
    pub rule: usize,

    /// True if the rule matches the pair. A rule may match both sides and not the pair:
    /// `within` requires both users in one group.
    pub pair: bool,

    /// The path of the sender into the rule's set; empty if the sender is not a member.
    pub sender: Vec<PathStep>,

    /// The path of the recipient into the rule's set; empty if the recipient is not a
    /// member.
    pub recipient: Vec<PathStep>,
}

/// Explains why a pair is visible or not. `snapshot` must be one of the policy's, with the
/// current directory.
pub fn explain(
    policy: &Policy,
    snapshot: &Snapshot,
    sender: UserId<'_>,
    recipient: UserId<'_>,
) -> Explanation {
    let directory = directory_of(policy, snapshot);
    let (sender, recipient) = (sender.as_str(), recipient.as_str());
    explain_document(&policy.document, &policy.groups, &directory, sender, recipient)
}

/// Explains a pair by the document alone. For `order`, see [`ReferenceEvaluation::new`].
pub(in crate::policy) fn explain_document(
    document: &Document,
    order: &[usize],
    directory: IsInDirectory<'_>,
    sender: &str,
    recipient: &str,
) -> Explanation {
    let evaluation = ReferenceEvaluation::new(document, order, [sender, recipient], directory);
    let users = [sender, recipient].map(|user| evaluation.number_of(user).unwrap_or_default());
    let rules = document.rules.iter().enumerate();
    let rules = rules.filter_map(|(index, rule)| match_rule(&evaluation, index, rule, users));
    let rules = rules.collect();
    let mut explanation = Explanation { own: sender == recipient, visible: false, rules };
    let any = |effect| !explanation.deciding_rules(document, &effect, false).is_empty();
    explanation.visible = !explanation.own && any(Effect::Allow) && !any(Effect::Deny);
    explanation
}

/// Matches a rule with a sender and a recipient. `None`: the rule matches neither.
fn match_rule(
    evaluation: &ReferenceEvaluation<'_, '_>,
    index: usize,
    rule: &Rule,
    [from, to]: [u32; 2],
) -> Option<RuleMatch> {
    let products = evaluation.products_of(rule);
    let both = products.iter().find(|p| p.senders.contains(from) && p.recipients.contains(to));
    let one = |side: for<'p> fn(&'p MatchedProduct<'_>) -> &'p RoaringBitmap, user| {
        both.or_else(|| products.iter().find(|product| side(product).contains(user)))
    };
    let path = |product: &MatchedProduct<'_>, set: Option<&SetExpr>, user| match product.group {
        Some(group) => path::into_group(evaluation, &group.name, user),
        None => set.map(|set| path::into_set(evaluation, set, user)).unwrap_or_default(),
    };
    let (senders, recipients) = match &rule.pairs {
        Pairs::Product { from, to } => (Some(from), Some(to)),
        Pairs::Within { .. } => (None, None),
    };
    let sender = one(|product| &product.senders, from);
    let recipient = one(|product| &product.recipients, to);
    (sender.is_some() || recipient.is_some()).then(|| RuleMatch {
        rule: index,
        pair: both.is_some(),
        sender: sender.map(|product| path(product, senders, from)).unwrap_or_default(),
        recipient: recipient.map(|product| path(product, recipients, to)).unwrap_or_default(),
    })
}

// === impl Explanation ===

impl Explanation {
    /// Renders the verdict in a few words: the rules that allow or deny the pair. `origin`
    /// follows the number of a line, such as ` of the policy`; it may be empty.
    pub fn reason(&self, document: &Document, origin: &str) -> String {
        if self.own {
            return "rules do not apply to a user's own presence".to_owned();
        }
        let names = |rules: &[usize]| rule_names(document, origin, rules);
        let [allows, denies] = [Effect::Allow, Effect::Deny]
            .map(|effect| self.deciding_rules(document, &effect, false));
        let mut reason = match (allows.as_slice(), denies.as_slice()) {
            ([], []) => "no allow rule matches".to_owned(),
            ([], denies) => {
                format!("no allow rule matches, and the pair is denied by {}", names(denies))
            }
            (allows, []) => format!("allowed by {}", names(allows)),
            (_, denies) => format!("denied by {}", names(denies)),
        };
        let other = if self.visible { Effect::Deny } else { Effect::Allow };
        let shadow = self.deciding_rules(document, &other, true);
        if !shadow.is_empty() {
            reason.push_str(&format!("; {} matches, in shadow only", names(&shadow)));
        }
        reason
    }

    /// Names the rules that hide fields on the pair. For `origin`, see
    /// [`Explanation::reason`].
    pub fn hide_reason(&self, document: &Document, origin: &str) -> String {
        let of_pair = self.rules.iter().filter(|matched| matched.pair);
        let hides = |index: &usize| {
            let rule = document.rules.get(*index);
            rule.is_some_and(|rule| matches!(rule.effect, Effect::Hide(_)) && !rule.shadow)
        };
        let rules: Vec<usize> = of_pair.map(|matched| matched.rule).filter(hides).collect();
        match rules.as_slice() {
            [] => "no hide rule matches".to_owned(),
            rules => format!("hidden by {}", rule_names(document, origin, rules)),
        }
    }

    /// Returns the indices of the rules that match the pair and have an effect: rules in
    /// shadow, or rules that take part.
    fn deciding_rules(&self, document: &Document, effect: &Effect, shadow: bool) -> Vec<usize> {
        let of_pair = self.rules.iter().filter(|matched| matched.pair);
        let decides = |rule: &Rule| rule.effect == *effect && rule.shadow == shadow;
        let indices = of_pair.map(|matched| matched.rule);
        indices.filter(|index| document.rules.get(*index).is_some_and(decides)).collect()
    }
}

/// Renders the names and lines of the first of some rules, and the number of the others.
fn rule_names(document: &Document, origin: &str, rules: &[usize]) -> String {
    const MAX_NAMES: usize = 3;
    let named = rules.iter().take(MAX_NAMES).filter_map(|index| {
        let rule = document.rules.get(*index)?;
        Some(format!("rule {} (line {}{origin})", quoted(&rule.name), rule.position.line))
    });
    let mut named: Vec<_> = named.collect();
    if let Some(more) = rules.len().checked_sub(MAX_NAMES).filter(|more| *more > 0) {
        named.push(format!("{more} more"));
    }
    match named.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}
