//! `presence-router show`: prints the active policy of a daemon.

use std::fmt::Write as _;

use clap::Args;
use presence_router_engine::unstable::policy::wording::{count, quoted};
use presence_router_proto::v1::{FailedPolicyLoad, GetPolicyRequest, GetPolicyResponse};

use super::args::DaemonAddr;
use super::daemon_client;
use super::output::{Failure, Outcome, print_text};
use super::words::{effect_word, problem_lines, relation_clause};

/// The daemon, and the view of its policy.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) daemon: DaemonAddr,

    /// Print the policy's file, revision, digest, rules and warnings instead of its text
    #[arg(long)]
    pub(crate) about: bool,
}

pub(super) fn print_active_policy(ShowArgs { daemon, about }: &ShowArgs) -> Outcome {
    let request = GetPolicyRequest { omit_text: *about };
    let get = async |mut client: daemon_client::Client| client.get_policy(request).await;
    let policy =
        daemon_client::ask_daemon(daemon.addr.as_ref(), get).map_err(Failure::cannot_run)?;
    print_text(&if *about { about_text(&policy) } else { policy.text })
}

/// Lines for the latest load, which failed: the file differs from the active policy.
fn failed_load_lines(file: &str, failed: &FailedPolicyLoad) -> String {
    let FailedPolicyLoad { since_time, latest_time: _, problem_count, problems } = failed;
    let since = since_time.map(|time| format!(" since {time}")).unwrap_or_default();
    let number = usize::try_from(*problem_count).unwrap_or(usize::MAX);
    let more = number.saturating_sub(problems.len());
    let mut text = problem_lines(file, "", problems);
    if more > 0 {
        text.push_str(&format!("{file}: and {}\n", count(more, "more problem")));
    }
    format!(
        "{text}{file}: the file has {}{since}; an earlier policy stays active:\n",
        count(number, "problem")
    )
}

fn about_text(policy: &GetPolicyResponse) -> String {
    let GetPolicyResponse {
        revision,
        file,
        digest,
        files,
        load_time,
        warnings,
        rules,
        shadow_counts,
        failed_load,
        ..
    } = policy;
    let mut text = problem_lines(file, "warning: ", warnings);
    if let Some(failed) = failed_load {
        text.push_str(&failed_load_lines(file, failed));
    }
    // Writing to a string never fails.
    let _ = writeln!(text, "file      {file}\nrevision  {revision}\nsha256    {digest}");
    for file in files {
        let _ = writeln!(text, "members   {}  {}", file.digest, quoted(&file.name));
    }
    if let Some(time) = load_time {
        let _ = writeln!(text, "loaded    {time}");
    }
    for rule in rules {
        let shadow = if rule.shadow { " (shadow)" } else { "" };
        let relation = rule.relation.as_ref();
        let condition = relation.map(|relation| format!(" if {}", relation_clause(relation)));
        let _ = writeln!(
            text,
            "rule      line {}: {}{shadow} {}{}",
            rule.line,
            effect_word(rule),
            quoted(&rule.name),
            condition.unwrap_or_default()
        );
    }
    for shadow in shadow_counts {
        let states = count(usize::try_from(shadow.states).unwrap_or(usize::MAX), "presence state");
        let _ = writeln!(
            text,
            "shadow    {} would have changed the answers for {states}",
            quoted(&shadow.name)
        );
    }
    text
}
