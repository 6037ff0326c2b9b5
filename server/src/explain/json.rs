//! An explanation for machines. Its form is stable: `docs/policy.md` has it. What
//! it may get is more keys, and more words where words are.

use presence_router_proto::v1::{
    ExplainPairResponse, ExplainedRule, MembershipStep, PolicyRule, PresenceField, RuleEffect,
};
use serde::Serialize;

#[derive(Serialize)]
struct Explanation<'a> {
    sender: &'a str,
    recipient: &'a str,
    /// Null without a daemon.
    revision: Option<&'a str>,
    visible: bool,
    reason: &'a str,
    /// What is hidden of a visible presence.
    hidden: Vec<Hidden<'a>>,
    rules: Vec<Rule<'a>>,
}

#[derive(Serialize)]
struct Hidden<'a> {
    rule: &'a str,
    fields: Vec<String>,
    unless: &'a [String],
}

#[derive(Serialize)]
struct Rule<'a> {
    name: &'a str,
    line: u64,
    effect: String,
    shadow: bool,
    matches: bool,
    sender: Vec<Step<'a>>,
    recipient: Vec<Step<'a>>,
}

#[derive(Serialize)]
struct Step<'a> {
    depth: u32,
    kind: String,
    /// Null where the kind has none; so is the line.
    value: Option<&'a str>,
    line: Option<u64>,
}

/// The explanation as a JSON object, on lines.
pub(super) fn text(sender: &str, recipient: &str, answer: &ExplainPairResponse) -> String {
    let ExplainPairResponse { revision, visible, reason, rules } = answer;
    let explanation = Explanation {
        sender,
        recipient,
        revision: Some(revision.as_str()).filter(|revision| !revision.is_empty()),
        visible: *visible,
        reason,
        hidden: super::hides(answer).map(hidden).collect(),
        rules: rules.iter().filter_map(rule).collect(),
    };
    // Texts and numbers are always JSON.
    serde_json::to_string_pretty(&explanation).unwrap_or_default() + "\n"
}

/// Fields that are hidden, as policies call them.
pub(super) fn fields(hidden: &[i32]) -> Vec<String> {
    let field = |field: &i32| match PresenceField::try_from(*field) {
        Ok(field) => word(field.as_str_name(), PresenceField::default().as_str_name()),
        // What prost has for lists of them leaves these out.
        Err(_) => "something that this version does not know".to_owned(),
    };
    hidden.iter().map(field).collect()
}

/// The word of a contract's enum, without the prefix that all of its words share.
pub(crate) fn word(name: &str, unspecified: &str) -> String {
    let prefix = unspecified.strip_suffix("UNSPECIFIED").unwrap_or_default();
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}

/// What a rule does, in a word.
pub(crate) fn effect(rule: &PolicyRule) -> String {
    word(rule.effect().as_str_name(), RuleEffect::Unspecified.as_str_name())
}

fn hidden(rule: &PolicyRule) -> Hidden<'_> {
    Hidden { rule: &rule.name, fields: fields(&rule.hidden_fields), unless: &rule.unless_presence }
}

fn rule(explained: &ExplainedRule) -> Option<Rule<'_>> {
    let rule = explained.rule.as_ref()?;
    Some(Rule {
        name: &rule.name,
        line: rule.line,
        effect: effect(rule),
        shadow: rule.shadow,
        matches: explained.matches,
        sender: explained.sender_membership.iter().map(step).collect(),
        recipient: explained.recipient_membership.iter().map(step).collect(),
    })
}

fn step(step: &MembershipStep) -> Step<'_> {
    let kind = step.kind();
    Step {
        depth: step.depth,
        kind: word(kind.as_str_name(), "MEMBERSHIP_KIND_UNSPECIFIED"),
        value: Some(step.value.as_str()).filter(|value| !value.is_empty()),
        line: Some(step.line).filter(|line| *line > 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_a_later_version_is_told_of() {
        let told = fields(&[PresenceField::StatusMsg as i32, 77]);
        assert_eq!(told, ["status_msg", "something that this version does not know"]);
    }
}
