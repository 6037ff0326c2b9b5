//! An explanation for people: the verdict, then a tree of rules.

use std::fmt::Write as _;

use presence_router_engine::unstable::policy::wording::{escaped, quoted};
use presence_router_engine::{RelationFinding, RequiredRelation};
use presence_router_proto::v1::{ExplainedRule, MembershipKind, MembershipStep};

use super::relations::{Evaluated, EvaluatedRule};
use crate::cli::words::{UNKNOWN_VALUE, describe_hidden_fields, effect_word};

/// The explanation as text of several lines.
pub(super) fn explanation_tree(sender: &str, recipient: &str, answer: &Evaluated) -> String {
    let mut text = String::new();
    let verb = match answer.visible {
        true => "is visible",
        false if answer.depends_on_rooms => "may be visible",
        false => "is not visible",
    };
    let (from, to) = (escaped(sender), escaped(recipient));
    // Writing to a string never fails.
    let _ = writeln!(text, "{from} {verb} to {to}: {}", answer.reason);
    for hiding in answer.hiding_rules() {
        let rule = &hiding.rule;
        let name = quoted(&rule.name);
        let hidden = describe_hidden_fields(&rule.hidden_fields, &rule.unless_presence);
        let open = hiding.open_relation();
        let condition = open.map(|clause| format!(" if {clause}")).unwrap_or_default();
        let _ = writeln!(text, "hidden by rule {name} (line {}){condition}: {hidden}", rule.line);
    }
    type Wanted = fn(&ExplainedRule) -> bool;
    let kinds: [(&str, Wanted); 4] = [
        ("rules whose users match the pair", |rule| rule.matches),
        ("rules that match both users, but not as a pair", |rule| {
            !rule.matches
                && !rule.sender_membership.is_empty()
                && !rule.recipient_membership.is_empty()
        }),
        ("rules that match only the sender", |rule| {
            !rule.matches && rule.recipient_membership.is_empty()
        }),
        ("rules that match only the recipient", |rule| {
            !rule.matches && rule.sender_membership.is_empty()
        }),
    ];
    for (title, wanted) in kinds {
        let mut rules = answer.rules.iter().filter(|rule| wanted(&rule.explained)).peekable();
        if rules.peek().is_some() {
            let _ = writeln!(text, "\n{title}:");
        }
        for rule in rules {
            write_rule(rule, (&from, &to), &mut text);
        }
    }
    if !answer.revision.is_empty() {
        let _ = writeln!(text, "\nrevision {}", answer.revision);
    }
    text
}

fn write_rule(evaluated: &EvaluatedRule, (sender, recipient): (&str, &str), text: &mut String) {
    let EvaluatedRule { rule, explained, .. } = evaluated;
    let shadow = if rule.shadow { " (shadow)" } else { "" };
    let _ = writeln!(
        text,
        "  {}{shadow} {}, line {}",
        effect_word(rule),
        quoted(&rule.name),
        rule.line
    );
    for (side, user, steps) in [
        ("sender: ", sender, &explained.sender_membership),
        ("recipient: ", recipient, &explained.recipient_membership),
    ] {
        if !steps.is_empty() {
            write_path(side, user, steps, text);
        }
    }
    if let Some(relation) = evaluated.relation.as_ref().filter(|_| explained.matches) {
        let _ = writeln!(text, "    matches if {}", describe_relation(relation));
    }
}

fn describe_relation(RequiredRelation { clause, finding }: &RequiredRelation) -> String {
    let Some(RelationFinding { holds, evidence }) = finding else { return clause.clone() };
    let holds = match holds {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    };
    format!("{clause}: {holds}, {evidence}")
}

/// Writes a line with `>` between the steps. The sets of an `all of` follow on a line each.
fn write_path(side: &str, user: &str, steps: &[MembershipStep], text: &mut String) {
    let mut line = format!("    {side}");
    // The kinds of the steps that may be ancestors of the next step.
    let mut above: Vec<MembershipKind> = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        above.truncate(usize::try_from(step.depth).unwrap_or(usize::MAX));
        if above.last() == Some(&MembershipKind::AllOf) {
            let branches = above.iter().filter(|kind| **kind == MembershipKind::AllOf).count();
            let _ = writeln!(text, "{line}");
            line = format!("    {}- ", "  ".repeat(branches));
        } else if i > 0 {
            line.push_str(" > ");
        }
        line.push_str(&describe_step(step, user));
        above.push(step.kind());
    }
    let _ = writeln!(text, "{line}");
}

fn describe_step(step: &MembershipStep, user: &str) -> String {
    let value = escaped(&step.value);
    let glob = if value.contains(['*', '?']) { "server glob" } else { "server" };
    match step.kind() {
        MembershipKind::Unspecified => UNKNOWN_VALUE.to_owned(),
        MembershipKind::Everyone => "everyone".to_owned(),
        MembershipKind::User => format!("line {} lists {user}", step.line),
        MembershipKind::MembersFile => format!("members file {value} lists {user}"),
        MembershipKind::Server => format!("{glob} {value}"),
        MembershipKind::Match => format!("pattern {value}"),
        MembershipKind::Group => value.into_owned(),
        MembershipKind::Directory => format!("directory group {value}"),
        MembershipKind::AllOf => "all of".to_owned(),
        MembershipKind::NotExcepted => "`any` (not in `except`)".to_owned(),
    }
}
