//! `presence-router plan`: previews the changes of another policy before it is active.

mod json;
mod text;

use std::path::{Path, PathBuf};

use clap::{Args, value_parser};
use presence_router_engine::unstable::policy::analyse::impact;
use presence_router_engine::unstable::policy::analyse::members_files::members_file_changes;
use presence_router_engine::unstable::policy::wording::count;
use presence_router_engine::{Policy, compare};
use presence_router_proto::v1::plan_policy_request::Candidate;
use presence_router_proto::v1::{PlanPolicyRequest, PlanPolicyResponse};
use presence_router_server::rpc::convert::policy as convert;

use super::args::PolicySource;
use super::daemon_client;
use super::output::{Failure, Outcome, print_text};
use super::policy_input::{self, PolicyInput, is_standard_input};
use super::words::problem_lines;

/// The change to preview.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// File with the policy that would replace the active one; `-` reads standard input
    #[arg(required_unless_present = "live_rule")]
    pub(crate) candidate: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) source: PolicySource,

    /// Preview the active policy without `shadow: true` at this rule, instead of a candidate
    #[arg(long, value_name = "RULE", conflicts_with = "candidate")]
    pub(crate) live_rule: Option<String>,

    /// Maximum number of pairs to print in each list
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = value_parser!(u32).range(..=1000))]
    pub(crate) samples: u32,

    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

pub(super) fn preview_policy(arguments: &PlanArgs) -> Outcome {
    let file = arguments.candidate.as_deref().map(policy_input::display_name).unwrap_or_default();
    let answer = match &arguments.source.policy {
        Some(current) => plan_from_files(current, arguments),
        None => plan_by_daemon(arguments),
    };
    let answer = answer.map_err(Failure::cannot_run)?;
    if !answer.problems.is_empty() {
        print_text(&problem_lines(&file, "", &answer.problems))?;
        return Err(Failure::failed(count(answer.problems.len(), "problem")));
    }
    print_text(&if arguments.json { json::plan_json(&answer) } else { text::plan_text(&answer) })
}

fn plan_by_daemon(
    PlanArgs { candidate, source, live_rule, samples, .. }: &PlanArgs,
) -> Result<PlanPolicyResponse, String> {
    let candidate = match (candidate, live_rule) {
        (Some(path), _) => Candidate::Text(PolicyInput::read(path, source.limit)?.into_utf8()?),
        (None, rule) => Candidate::LiveRule(rule.clone().unwrap_or_default()),
    };
    let request = PlanPolicyRequest { candidate: Some(candidate), max_samples: *samples };
    daemon_client::ask_daemon(source.daemon.addr.as_ref(), async |mut client| {
        client.plan_policy(request).await
    })
}

fn plan_from_files(
    current: &Path,
    PlanArgs { candidate, source, live_rule, samples, .. }: &PlanArgs,
) -> Result<PlanPolicyResponse, String> {
    if let Some(candidate) = candidate
        && is_standard_input(candidate)
        && is_standard_input(current)
    {
        return Err(
            "standard input holds one policy only: give a file for the other policy".to_owned()
        );
    }
    let PolicyInput { name, text, folder } = PolicyInput::read(current, source.limit)?;
    let (before, engine) = Policy::load_over(None, &name, &text, &folder)
        .map_err(|problems| format!("the policy has problems:\n{problems}"))?;
    let (after, _) = match (candidate, live_rule) {
        (Some(path), _) => {
            let PolicyInput { name, text, folder } = PolicyInput::read(path, source.limit)?;
            match Policy::load_candidate(&engine, &name, &text, &folder) {
                Ok(loaded) => loaded,
                Err(problems) => {
                    let problems = convert::problems_to_proto(&problems.list);
                    return Ok(PlanPolicyResponse { problems, ..PlanPolicyResponse::default() });
                }
            }
        }
        (None, rule) => {
            let rule = rule.as_deref().unwrap_or_default();
            before
                .with_live_rule(rule, &engine)
                .ok_or_else(|| format!("`{name}` has no shadow rule `{rule}`"))?
        }
    };
    let samples = usize::try_from(*samples).unwrap_or(usize::MAX);
    let impact =
        impact::compute_impact(&before, &before.snapshot, &after, &after.snapshot, samples);
    let impact = impact.map_err(|why| format!("{why}; preview smaller changes one by one"))?;
    let members_files = members_file_changes(&before.document, &after.document);
    let differences = compare(&before, &after).to_string();
    Ok(convert::plan_to_proto(String::new(), differences, &members_files, impact))
}
