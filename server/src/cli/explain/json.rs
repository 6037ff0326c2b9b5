//! An explanation for programs. Its form is stable, and `docs/cli.md` describes it. Later
//! versions may add keys, and words where a value is a word.

use presence_router_engine::RequiredRelation;
use presence_router_proto::v1::MembershipStep;
use serde::Serialize;

use super::relations::{Evaluated, EvaluatedRule};
use crate::cli::words::{effect_word, enum_word, field_words};

#[derive(Serialize)]
struct Explanation<'a> {
    sender: &'a str,
    recipient: &'a str,
    /// Null without a daemon.
    revision: Option<&'a str>,
    visible: bool,
    /// True if the verdict depends on shared rooms. `visible` is false then.
    depends_on_rooms: bool,
    reason: &'a str,
    /// The hidden fields of a presence that is or may be visible.
    hidden: Vec<Hidden<'a>>,
    rules: Vec<Rule<'a>>,
}

#[derive(Serialize)]
struct Hidden<'a> {
    rule: &'a str,
    fields: Vec<String>,
    unless: &'a [String],
    /// The relation on which this depends, in words. Null if it does not depend on any.
    #[serde(rename = "if")]
    condition: Option<&'a str>,
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
    /// Null if the rule requires none.
    relation: Option<Relation<'a>>,
}

#[derive(Serialize)]
struct Relation<'a> {
    /// The relation in words.
    #[serde(rename = "if")]
    clause: &'a str,
    /// Null without given rooms, or if a missing fact decides.
    holds: Option<bool>,
    /// The evidence in words. Null without given rooms.
    evidence: Option<&'a str>,
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
pub(super) fn explanation_json(sender: &str, recipient: &str, answer: &Evaluated) -> String {
    let Evaluated { revision, visible, depends_on_rooms, reason, rules } = answer;
    let explanation = Explanation {
        sender,
        recipient,
        revision: Some(revision.as_str()).filter(|revision| !revision.is_empty()),
        visible: *visible,
        depends_on_rooms: *depends_on_rooms,
        reason,
        hidden: answer.hiding_rules().map(hidden_by_rule).collect(),
        rules: rules.iter().map(explained_rule).collect(),
    };
    // Texts and numbers always serialize.
    serde_json::to_string_pretty(&explanation).unwrap_or_default() + "\n"
}

fn hidden_by_rule(hiding: &EvaluatedRule) -> Hidden<'_> {
    let rule = &hiding.rule;
    Hidden {
        rule: &rule.name,
        fields: field_words(&rule.hidden_fields),
        unless: &rule.unless_presence,
        condition: hiding.open_relation(),
    }
}

fn explained_rule(evaluated: &EvaluatedRule) -> Rule<'_> {
    let EvaluatedRule { rule, explained, relation, .. } = evaluated;
    Rule {
        name: &rule.name,
        line: rule.line,
        effect: effect_word(rule),
        shadow: rule.shadow,
        matches: explained.matches,
        sender: explained.sender_membership.iter().map(membership_step).collect(),
        recipient: explained.recipient_membership.iter().map(membership_step).collect(),
        relation: relation.as_ref().map(required_relation),
    }
}

fn required_relation(RequiredRelation { clause, finding }: &RequiredRelation) -> Relation<'_> {
    let finding = finding.as_ref();
    Relation {
        clause,
        holds: finding.and_then(|finding| finding.holds),
        evidence: finding.map(|finding| finding.evidence.as_str()),
    }
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
