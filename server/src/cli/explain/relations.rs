//! The relations that rules of an explanation require: read from the answer and, with given
//! rooms, evaluated. A daemon knows no rooms, so the command evaluates them itself.

use presence_router_engine::unstable::policy::analyse::explain::{
    MatchingRule, Outcome, Reasons, RequiredRelation,
};
use presence_router_engine::{Effect, Fields, GivenRooms, Hide, RelationFinding};
use presence_router_proto::v1::{ExplainPairResponse, ExplainedRule, PolicyRule, RuleEffect};
use presence_router_server::rpc::convert::policy as convert;

use crate::cli::words::{UNKNOWN_RELATION, relation_clause};

/// An explanation whose relations are evaluated, if there are given rooms.
#[derive(Debug)]
pub(super) struct Evaluated {
    /// Empty without a daemon.
    pub(super) revision: String,
    pub(super) visible: bool,
    /// True if the verdict depends on rooms. Never true with given rooms.
    pub(super) depends_on_rooms: bool,
    pub(super) reason: String,
    /// Without the rules that the answer does not describe.
    pub(super) rules: Vec<EvaluatedRule>,
}

/// A rule that matches the pair or one side of it, its relation left aside.
#[derive(Debug)]
pub(super) struct EvaluatedRule {
    pub(super) rule: PolicyRule,
    pub(super) explained: ExplainedRule,
    /// `None`: this version does not know the effect.
    effect: Option<Effect>,
    pub(super) relation: Option<RequiredRelation>,
}

/// Reads the relations of an answer about two users. With given rooms, evaluates them, and
/// decides by them.
pub(super) fn evaluate_relations(
    answer: ExplainPairResponse,
    rooms: Option<&GivenRooms>,
    pair: [&str; 2],
) -> Evaluated {
    let ExplainPairResponse { revision, visible, depends_on_rooms, reason, rules } = answer;
    let rules = rules.into_iter().filter_map(|mut explained| {
        let rule = explained.rule.take()?;
        let (effect, relation) = (read_effect(&rule), required_relation(&rule, rooms, pair));
        Some(EvaluatedRule { rule, explained, effect, relation })
    });
    let rules: Vec<EvaluatedRule> = rules.collect();
    let mut evaluated = Evaluated { revision, visible, depends_on_rooms, reason, rules };
    if rooms.is_some() {
        let [sender, recipient] = pair;
        let matching = evaluated.rules.iter().filter_map(EvaluatedRule::matching_rule);
        let reasons = Reasons { own: sender == recipient, rules: matching.collect() };
        let (visible, reason) = (reasons.is_visible(), reasons.describe_verdict(""));
        (evaluated.visible, evaluated.depends_on_rooms) = (visible, false);
        evaluated.reason = reason;
    }
    evaluated
}

fn required_relation(
    rule: &PolicyRule,
    rooms: Option<&GivenRooms>,
    pair: [&str; 2],
) -> Option<RequiredRelation> {
    let relation = rule.relation.as_ref()?;
    Some(match convert::relation_from_proto(relation) {
        Some(relation) => RequiredRelation::new(&relation, rooms, pair),
        None => RequiredRelation {
            clause: relation_clause(relation),
            finding: rooms
                .map(|_| RelationFinding { holds: None, evidence: UNKNOWN_RELATION.to_owned() }),
        },
    })
}

/// Returns the effect of a rule. The fields of a hide mean nothing to the verdict.
fn read_effect(rule: &PolicyRule) -> Option<Effect> {
    match rule.effect() {
        RuleEffect::Unspecified => None,
        RuleEffect::Allow => Some(Effect::Allow),
        RuleEffect::Deny => Some(Effect::Deny),
        RuleEffect::Hide => {
            Some(Effect::Hide(Hide { fields: Fields::default(), unless: Box::default() }))
        }
    }
}

// === impl Evaluated ===

impl Evaluated {
    /// Returns the rules that hide fields of the presence, or do so if their relations hold.
    pub(super) fn hiding_rules(&self) -> impl Iterator<Item = &EvaluatedRule> {
        let may_be_visible = self.visible || self.depends_on_rooms;
        self.rules.iter().filter(move |rule| may_be_visible && rule.hides_fields())
    }
}

// === impl EvaluatedRule ===

impl EvaluatedRule {
    /// Returns the relation as a clause, if it is open.
    pub(super) fn open_relation(&self) -> Option<&str> {
        let relation = self.relation.as_ref()?;
        relation.finding.is_none().then_some(relation.clause.as_str())
    }

    fn hides_fields(&self) -> bool {
        let Some(effect @ Effect::Hide(_)) = &self.effect else { return false };
        let relation = self.relation.as_ref();
        let outcome = relation.map_or(Outcome::Applies, |relation| relation.outcome(effect));
        self.explained.matches && !self.rule.shadow && outcome != Outcome::DoesNotApply
    }

    /// Returns the rule if it matches the pair.
    fn matching_rule(&self) -> Option<MatchingRule<'_>> {
        let effect = self.effect.as_ref().filter(|_| self.explained.matches)?;
        let PolicyRule { name, line, shadow, .. } = &self.rule;
        let relation = self.relation.clone();
        Some(MatchingRule { name, line: *line, effect, shadow: *shadow, relation })
    }
}

#[cfg(test)]
mod tests {
    use presence_router_proto::v1::RuleRelation;

    use super::*;

    const PAIR: [&str; 2] = ["@ann:a.org", "@joe:a.org"];

    /// A rule on line 1 that matches the pair and requires an unknown relation.
    fn with_unknown_relation(effect: RuleEffect) -> ExplainedRule {
        let rule = PolicyRule {
            name: format!("{effect:?}"),
            line: 1,
            effect: effect.into(),
            relation: Some(RuleRelation { relation: None }),
            ..PolicyRule::default()
        };
        ExplainedRule { rule: Some(rule), matches: true, ..ExplainedRule::default() }
    }

    /// The answer of a daemon whose allow rule has no relation.
    fn answer(rules: Vec<ExplainedRule>) -> ExplainPairResponse {
        let rule = PolicyRule { effect: RuleEffect::Allow.into(), ..PolicyRule::default() };
        let allow = ExplainedRule { rule: Some(rule), matches: true, ..ExplainedRule::default() };
        let rules = [vec![allow], rules].concat();
        let reason = "by the daemon".to_owned();
        ExplainPairResponse { depends_on_rooms: true, reason, rules, ..Default::default() }
    }

    #[test]
    fn the_daemon_decides_without_rooms() {
        let evaluated =
            evaluate_relations(answer(vec![with_unknown_relation(RuleEffect::Deny)]), None, PAIR);
        assert!(!evaluated.visible && evaluated.depends_on_rooms);
        assert_eq!(evaluated.reason, "by the daemon");
        assert_eq!(evaluated.rules[1].open_relation(), Some(UNKNOWN_RELATION));
    }

    #[test]
    fn a_relation_of_a_later_version_shows_nothing() {
        let rooms = GivenRooms::default();
        for (effect, visible, hiding) in [
            (RuleEffect::Allow, true, 0),
            (RuleEffect::Deny, false, 0),
            (RuleEffect::Hide, true, 1),
            (RuleEffect::Unspecified, true, 0),
        ] {
            let answer = answer(vec![with_unknown_relation(effect)]);
            let evaluated = evaluate_relations(answer, Some(&rooms), PAIR);
            assert_eq!((evaluated.visible, evaluated.depends_on_rooms), (visible, false));
            assert_eq!(evaluated.hiding_rules().count(), hiding, "{effect:?}");
        }
        let mut alone = answer(vec![with_unknown_relation(RuleEffect::Allow)]);
        alone.rules.remove(0);
        assert!(!evaluate_relations(alone, Some(&rooms), PAIR).visible);
    }
}
