//! The `hide` rules of an explanation.

use presence_router_proto::v1::{ExplainPairResponse, PolicyRule, RuleEffect};

/// The rules that hide fields of a visible presence.
pub(super) fn matching_hide_rules(
    answer: &ExplainPairResponse,
) -> impl Iterator<Item = &PolicyRule> {
    let matching = answer.rules.iter().filter(|rule| answer.visible && rule.matches);
    let rules = matching.filter_map(|explained| explained.rule.as_ref());
    rules.filter(|rule| rule.effect() == RuleEffect::Hide && !rule.shadow)
}
