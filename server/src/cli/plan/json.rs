//! A plan for machines. Its form is stable: `docs/cli.md` has it. What it may
//! get is more keys.

use presence_router_proto::v1::{
    ChangedPair, ChangedPairs, HideImpact, MembersFileChange, PairCount, PlanPolicyResponse,
    RoomRuleChange, RuleChange, RuleImpact,
};
use serde_json::{Value, json};

use crate::cli::words::enum_word;

/// The plan as a JSON object, on lines.
pub(super) fn plan_json(plan: &PlanPolicyResponse) -> String {
    let plan = json!({
        "revision": Some(&plan.revision).filter(|revision| !revision.is_empty()),
        "differences": plan.differences,
        "gained": pairs(&plan.gained.clone().unwrap_or_default()),
        "lost": pairs(&plan.lost.clone().unwrap_or_default()),
        "rules": plan.rules.iter().map(rule).collect::<Vec<_>>(),
        "hides": plan.hides.iter().map(hide).collect::<Vec<_>>(),
        "rooms": plan.room_rules.iter().map(room_rule).collect::<Vec<_>>(),
        "members_files": plan.members_files.iter().map(members_file).collect::<Vec<_>>(),
    });
    format!("{plan:#}\n")
}

fn rule(rule: &RuleImpact) -> Value {
    json!({
        "name": rule.name,
        "gained": rule.gained.as_ref().map(count),
        "lost": rule.lost.as_ref().map(count),
    })
}

fn hide(rule: &HideImpact) -> Value {
    json!({
        "name": rule.name,
        "begins": rule.begins.as_ref().map(count),
        "ends": rule.ends.as_ref().map(count),
        "begins_samples": samples(&rule.begins_samples),
        "ends_samples": samples(&rule.ends_samples),
    })
}

fn room_rule(rule: &RoomRuleChange) -> Value {
    let change = rule.change();
    // A rule that only one of the policies has is in no line of the other.
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

fn pairs(pairs: &ChangedPairs) -> Value {
    json!({
        "pairs": count(&pairs.pairs.unwrap_or_default()),
        "senders": pairs.senders,
        "recipients": pairs.recipients,
        "destinations": pairs.destinations,
        "samples": samples(&pairs.samples),
    })
}

fn samples(pairs: &[ChangedPair]) -> Vec<Value> {
    let sample = |pair: &ChangedPair| json!({ "sender": pair.sender, "recipient": pair.recipient });
    pairs.iter().map(sample).collect()
}

fn count(PairCount { listed, open, upper_bound }: &PairCount) -> Value {
    json!({ "listed": listed, "open": open, "upper_bound": upper_bound })
}
