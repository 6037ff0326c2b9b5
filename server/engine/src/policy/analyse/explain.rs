//! Explains why a pair is visible or not: every rule that matches it, or one side of it,
//! and the path by which each side is in the rule's set.
//!
//! Evaluates every rule and set, slowly: routing decides, this module explains. A rule may
//! require a shared room: only given rooms decide that, and it stays open without them.

mod path;
mod reason;

use roaring::RoaringBitmap;

pub use self::path::{PathStep, StepKind};
pub use self::reason::{MatchingRule, Outcome, Reasons, RequiredRelation};
use super::reference::{IsInDirectory, MatchedProduct, ReferenceEvaluation, directory_of};
use crate::policy::Policy;
use crate::policy::document::{Document, Pairs, Rule, SetExpr};
use crate::policy::given_rooms::GivenRooms;
use crate::routing::snapshot::Snapshot;
use presence_router_ids::UserId;

/// The reasons why a pair is visible or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// True if sender and recipient are one user. No rule applies to such a pair.
    pub own: bool,

    /// True if the recipient may see the sender: without given rooms, whatever rooms they share.
    pub visible: bool,

    /// True if the verdict depends on the rooms that the two users share. `visible` is false
    /// then. Never true with given rooms.
    pub depends_on_rooms: bool,

    /// Rules that match the pair or one side of it, in the document's order.
    pub rules: Vec<RuleMatch>,
}

/// A rule that matches a pair, or one side of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleMatch {
    /// The rule's index among the document's.
    pub rule: usize,

    /// True if the rule matches the pair, its relation left aside. A rule may match both sides
    /// and not the pair: `within` requires both users in one group.
    pub pair: bool,

    /// The relation that the rule requires between the two users, if any.
    pub relation: Option<RequiredRelation>,

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
    explain_pair(policy, snapshot, None, sender, recipient)
}

/// Explains why a pair is visible or not, if the users share those of the given rooms that list
/// both as members, and no others.
pub fn explain_with_rooms(
    policy: &Policy,
    snapshot: &Snapshot,
    rooms: &GivenRooms,
    sender: UserId<'_>,
    recipient: UserId<'_>,
) -> Explanation {
    explain_pair(policy, snapshot, Some(rooms), sender, recipient)
}

fn explain_pair(
    policy: &Policy,
    snapshot: &Snapshot,
    rooms: Option<&GivenRooms>,
    sender: UserId<'_>,
    recipient: UserId<'_>,
) -> Explanation {
    let directory = directory_of(policy, snapshot);
    let (sender, recipient) = (sender.as_str(), recipient.as_str());
    let Policy { document, groups, .. } = policy;
    explain_document(document, groups, &directory, rooms, sender, recipient)
}

/// Explains a pair by the document alone. For `order`, see [`ReferenceEvaluation::new`]. Without
/// given rooms, relations stay open.
pub(in crate::policy) fn explain_document(
    document: &Document,
    order: &[usize],
    directory: IsInDirectory<'_>,
    rooms: Option<&GivenRooms>,
    sender: &str,
    recipient: &str,
) -> Explanation {
    let evaluation = ReferenceEvaluation::new(document, order, [sender, recipient], directory);
    let users = [sender, recipient].map(|user| evaluation.number_of(user).unwrap_or_default());
    let rules = document.rules.iter().enumerate().filter_map(|(index, rule)| {
        let relation = rule.relation.as_ref();
        let relation =
            relation.map(|relation| RequiredRelation::new(relation, rooms, [sender, recipient]));
        Some(RuleMatch { relation, ..match_rule(&evaluation, index, rule, users)? })
    });
    let rules = rules.collect();
    let own = sender == recipient;
    let mut explanation = Explanation { own, visible: false, depends_on_rooms: false, rules };
    let reasons = explanation.collect_reasons(document);
    let (visible, depends_on_rooms) = (reasons.is_visible(), reasons.depends_on_rooms());
    (explanation.visible, explanation.depends_on_rooms) = (visible, depends_on_rooms);
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
        relation: None,
        sender: sender.map(|product| path(product, senders, from)).unwrap_or_default(),
        recipient: recipient.map(|product| path(product, recipients, to)).unwrap_or_default(),
    })
}

// === impl Explanation ===

impl Explanation {
    /// Renders the verdict in a few words: the rules that allow or deny the pair. `origin`
    /// follows the number of a line, such as ` of the policy`; it may be empty.
    pub fn reason(&self, document: &Document, origin: &str) -> String {
        self.collect_reasons(document).describe_verdict(origin)
    }

    /// Names the rules that hide fields on the pair. For `origin`, see
    /// [`Explanation::reason`].
    pub fn hide_reason(&self, document: &Document, origin: &str) -> String {
        self.collect_reasons(document).describe_hides(origin)
    }

    /// Returns the rules that match the pair.
    fn collect_reasons<'d>(&self, document: &'d Document) -> Reasons<'d> {
        let of_pair = self.rules.iter().filter(|matched| matched.pair);
        let rules = of_pair.filter_map(|matched| {
            let rule = document.rules.get(matched.rule)?;
            Some(MatchingRule {
                name: &rule.name,
                line: rule.position.line,
                effect: &rule.effect,
                shadow: rule.shadow,
                relation: matched.relation.clone(),
            })
        });
        Reasons { own: self.own, rules: rules.collect() }
    }
}
