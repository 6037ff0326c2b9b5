//! An explanation for programs. Its form is stable, and `docs/cli.md` describes it. Later
//! versions may add keys, and words where a value is a word.

use presence_router_proto::v1::{ExplainPairResponse, ExplainedRule, MembershipStep, PolicyRule};
use serde::Serialize;

use super::hides::matching_hide_rules;
use crate::cli::words::{effect_word, enum_word, field_words};

#[derive(Serialize)]
struct Explanation<'a> {
    sender: &'a str,
    recipient: &'a str,
    /// Null without a daemon.
    revision: Option<&'a str>,
    visible: bool,
    reason: &'a str,
    /// The hidden fields of a visible presence.
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
    /// Null if steps of this kind have no value.
    value: Option<&'a str>,
    /// Null if steps of this kind have no line.
    line: Option<u64>,
}

/// The explanation as a JSON object, pretty-printed.
pub(super) fn explanation_json(
    sender: &str,
    recipient: &str,
    answer: &ExplainPairResponse,
) -> String {
    let ExplainPairResponse { revision, visible, reason, rules } = answer;
    let explanation = Explanation {
        sender,
        recipient,
        revision: Some(revision.as_str()).filter(|revision| !revision.is_empty()),
        visible: *visible,
        reason,
        hidden: matching_hide_rules(answer).map(hidden_by_rule).collect(),
        rules: rules.iter().filter_map(explained_rule).collect(),
    };
    // Texts and numbers always serialize.
    serde_json::to_string_pretty(&explanation).unwrap_or_default() + "\n"
}

fn hidden_by_rule(rule: &PolicyRule) -> Hidden<'_> {
    Hidden {
        rule: &rule.name,
        fields: field_words(&rule.hidden_fields),
        unless: &rule.unless_presence,
    }
}

fn explained_rule(explained: &ExplainedRule) -> Option<Rule<'_>> {
    let rule = explained.rule.as_ref()?;
    Some(Rule {
        name: &rule.name,
        line: rule.line,
        effect: effect_word(rule),
        shadow: rule.shadow,
        matches: explained.matches,
        sender: explained.sender_membership.iter().map(membership_step).collect(),
        recipient: explained.recipient_membership.iter().map(membership_step).collect(),
    })
}

fn membership_step(step: &MembershipStep) -> Step<'_> {
    let kind = step.kind();
    Step {
        depth: step.depth,
        kind: enum_word(kind.as_str_name(), "MEMBERSHIP_KIND_UNSPECIFIED"),
        value: Some(step.value.as_str()).filter(|value| !value.is_empty()),
        line: Some(step.line).filter(|line| *line > 0),
    }
}
