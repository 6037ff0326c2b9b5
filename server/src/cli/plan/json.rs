//! A preview for programs. Its form is stable, and `docs/cli.md` describes it. Later
//! versions may add keys.

use presence_router_proto::v1::{
    ChangedPair, ChangedPairs, HideImpact, MembersFileChange, PairCount, PlanPolicyResponse,
    RoomRuleChange, RuleChange, RuleImpact,
};
use serde_json::{Value, json};

use crate::cli::words::enum_word;

/// The preview as a JSON object, pretty-printed.
pub(super) fn plan_json(plan: &PlanPolicyResponse) -> String {
    let plan = json!({
        "revision": Some(&plan.revision).filter(|revision| !revision.is_empty()),
        "differences": plan.differences,
        "gained": changed_pairs(&plan.gained.clone().unwrap_or_default()),
        "lost": changed_pairs(&plan.lost.clone().unwrap_or_default()),
        "rules": plan.rules.iter().map(rule_impact).collect::<Vec<_>>(),
        "hides": plan.hides.iter().map(hide_impact).collect::<Vec<_>>(),
        "rooms": plan.room_rules.iter().map(room_rule).collect::<Vec<_>>(),
        "members_files": plan.members_files.iter().map(members_file).collect::<Vec<_>>(),
    });
    format!("{plan:#}\n")
}

fn rule_impact(rule: &RuleImpact) -> Value {
    json!({
        "name": rule.name,
        "gained": rule.gained.as_ref().map(pair_count),
        "lost": rule.lost.as_ref().map(pair_count),
    })
}

fn hide_impact(rule: &HideImpact) -> Value {
    json!({
        "name": rule.name,
        "begins": rule.begins.as_ref().map(pair_count),
        "ends": rule.ends.as_ref().map(pair_count),
        "begins_samples": sample_pairs(&rule.begins_samples),
        "ends_samples": sample_pairs(&rule.ends_samples),
    })
}

fn room_rule(rule: &RoomRuleChange) -> Value {
    let change = rule.change();
    // 0: the policy does not have the rule.
    let line = |line| Some(line).filter(|line| *line > 0);
    json!({
        "name": rule.name,
        "change": enum_word(change.as_str_name(), RuleChange::default().as_str_name()),
        "line": line(rule.line),
        "active_line": line(rule.active_line),
    })
}

fn members_file(file: &MembersFileChange) -> Value {
    json!({
        "name": file.name,
        "active_users": file.active_users,
        "users": file.users,
    })
}

fn changed_pairs(pairs: &ChangedPairs) -> Value {
    json!({
        "pairs": pair_count(&pairs.pairs.unwrap_or_default()),
        "senders": pairs.senders,
        "recipients": pairs.recipients,
        "destinations": pairs.destinations,
        "samples": sample_pairs(&pairs.samples),
    })
}

fn sample_pairs(pairs: &[ChangedPair]) -> Vec<Value> {
    let sample = |pair: &ChangedPair| json!({ "sender": pair.sender, "recipient": pair.recipient });
    pairs.iter().map(sample).collect()
}

fn pair_count(PairCount { listed, open, upper_bound, depends_on_rooms }: &PairCount) -> Value {
    json!({
        "listed": listed,
        "open": open,
        "upper_bound": upper_bound,
        "depends_on_rooms": depends_on_rooms,
    })
}
