//! A preview for people.

use std::fmt::Write as _;

use presence_router_engine::unstable::policy::analyse::compare::NO_DIFFERENCE;
use presence_router_engine::unstable::policy::wording::{escaped, quoted};
use presence_router_proto::v1::{
    ChangedPair, ChangedPairs, MembersFileChange, PairCount, PlanPolicyResponse, RoomRuleChange,
    RuleChange,
};

use crate::cli::words::UNKNOWN_VALUE;

/// The maximum number of recipients' servers to print, each for gained and for lost pairs.
const MAX_SERVERS: usize = 5;

/// The note for numbers of pairs of which some change for some rooms only.
const DEPENDS_ON_ROOMS: &str = "depends on shared rooms";

pub(super) fn plan_text(plan: &PlanPolicyResponse) -> String {
    if changes_nothing(plan) {
        return format!("{}\n", plan.differences);
    }
    let mut text = String::new();
    // Writing to a string never fails.
    let _ = writeln!(text, "differences: {}", plan.differences);
    for (verb, pairs) in [("gained", &plan.gained), ("lost", &plan.lost)] {
        let pairs = pairs.clone().unwrap_or_default();
        let _ = writeln!(text, "{verb}: {}", describe_pairs(&pairs));
        for sample in &pairs.samples {
            let _ = writeln!(text, "  {}", describe_pair(sample));
        }
    }
    for file in &plan.members_files {
        let _ = writeln!(text, "{}", describe_members_file(file));
    }
    for rule in &plan.rules {
        let [gained, lost] = [&rule.gained, &rule.lost].map(describe_if_counted);
        let _ = writeln!(text, "rule {}: gained {gained}; lost {lost}", quoted(&rule.name));
    }
    for rule in &plan.hides {
        let name = quoted(&rule.name);
        let [begins, ends] = [&rule.begins, &rule.ends].map(describe_if_counted);
        let _ = writeln!(
            text,
            "hide rule {name}: begins to hide for {begins}; stops hiding for {ends}"
        );
        for (verb, samples) in
            [("begins to hide", &rule.begins_samples), ("stops hiding", &rule.ends_samples)]
        {
            for sample in samples {
                let _ = writeln!(text, "  {verb}: {}", describe_pair(sample));
            }
        }
    }
    for rule in &plan.room_rules {
        let RoomRuleChange { name, line, active_line, .. } = rule;
        let change = match rule.change() {
            RuleChange::Added => format!("added in line {line}"),
            RuleChange::Removed => format!("removed; it was in line {active_line}"),
            RuleChange::Changed => format!("changed in line {line}"),
            RuleChange::Unspecified => UNKNOWN_VALUE.to_owned(),
        };
        let _ = writeln!(text, "room rule {}: {change}", quoted(name));
    }
    text
}

fn describe_members_file(
    MembersFileChange { name, active_users, users }: &MembersFileChange,
) -> String {
    let active = number_of(*active_users, "user");
    let mut line = format!("members file {}: {active} now, {users} in the candidate", quoted(name));
    if *users == 0 {
        line.push_str(
            "; the daemon would reject the candidate; `presence-router reload --force` loads it anyway",
        );
    }
    line
}

/// True if the candidate means the same as the active policy: no pair is gained or lost.
fn changes_nothing(plan: &PlanPolicyResponse) -> bool {
    let no_pairs = |pairs: &Option<ChangedPairs>| {
        pairs.as_ref().is_none_or(|pairs| pairs.pairs.unwrap_or_default() == PairCount::default())
    };
    plan.differences.starts_with(NO_DIFFERENCE)
        && no_pairs(&plan.gained)
        && no_pairs(&plan.lost)
        && plan.rules.is_empty()
        && plan.hides.is_empty()
        && plan.room_rules.is_empty()
        && plan.members_files.is_empty()
}

fn describe_pair(ChangedPair { sender, recipient }: &ChangedPair) -> String {
    format!("sender {}, recipient {}", escaped(sender), escaped(recipient))
}

fn describe_pairs(pairs: &ChangedPairs) -> String {
    let ChangedPairs { pairs: count, senders, recipients, destinations, .. } = pairs;
    let count = count.unwrap_or_default();
    if count == PairCount::default() {
        return describe_count(&count);
    }
    let mut text = format!(
        "{} ({}, {}",
        describe_number(&count),
        number_of(*senders, "listed sender"),
        number_of(*recipients, "listed recipient"),
    );
    if !destinations.is_empty() {
        let some: Vec<&str> = destinations.iter().take(MAX_SERVERS).map(String::as_str).collect();
        let more = destinations.len() - some.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let _ = write!(text, "; recipients on {}{more}", some.join(", "));
    }
    if count.depends_on_rooms {
        let _ = write!(text, "; {DEPENDS_ON_ROOMS}");
    }
    text.push(')');
    text
}

fn describe_if_counted(count: &Option<PairCount>) -> String {
    count.as_ref().map_or_else(|| "too complex to count".to_owned(), describe_count)
}

fn describe_count(count: &PairCount) -> String {
    let number = describe_number(count);
    if count.depends_on_rooms { format!("{number} ({DEPENDS_ON_ROOMS})") } else { number }
}

fn describe_number(PairCount { listed, open, upper_bound, .. }: &PairCount) -> String {
    const UNLISTED: &str = "with unlisted users";
    if *listed == 0 && *open {
        return format!("pairs {UNLISTED}");
    }
    let at_most = if *upper_bound { "at most " } else { "" };
    let open = if *open { format!(", and more {UNLISTED}") } else { String::new() };
    format!("{at_most}{}{open}", number_of(*listed, "pair"))
}

fn number_of(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
