//! `presence-router plan`: what another policy would change, before it is live.

mod json;
mod text;

use std::process::ExitCode;

use presence_router_engine::policy::Policy;
use presence_router_engine::policy::analyse::compare::compare;
use presence_router_engine::policy::analyse::impact;
use presence_router_engine::policy::analyse::members_files::members_file_changes;
use presence_router_engine::policy::wording::count;
use presence_router_proto::v1::plan_policy_request::Candidate;
use presence_router_proto::v1::{PlanPolicyRequest, PlanPolicyResponse};
use presence_router_server::rpc::convert::policy as convert;

use crate::cli::Plan;
use crate::policy_input::{self, PolicyInput, is_standard_input};
use crate::{CANNOT_RUN, FAILED, check, fail, printed, remote};

pub(crate) fn plan(arguments: &Plan) -> ExitCode {
    let file = arguments.candidate.as_deref().map(policy_input::display_name).unwrap_or_default();
    let answer = match ask(arguments) {
        Ok(answer) => answer,
        Err(why) => return fail(CANNOT_RUN, why),
    };
    if !answer.problems.is_empty() {
        let code = printed(&check::lines(&file, "", &answer.problems));
        return match code {
            ExitCode::SUCCESS => fail(FAILED, count(answer.problems.len(), "problem")),
            code => code,
        };
    }
    printed(&if arguments.json { json::text(&answer) } else { text::text(&answer) })
}

fn ask(
    Plan { candidate, subject, live_rule, samples, .. }: &Plan,
) -> Result<PlanPolicyResponse, String> {
    let Some(current) = &subject.policy else {
        let candidate = match (candidate, live_rule) {
            (Some(path), _) => {
                Candidate::Text(PolicyInput::read(path, subject.limit)?.into_utf8()?)
            }
            (None, rule) => Candidate::LiveRule(rule.clone().unwrap_or_default()),
        };
        let request = PlanPolicyRequest { candidate: Some(candidate), max_samples: *samples };
        return remote::ask(subject.daemon.addr.as_ref(), async |mut client| {
            client.plan_policy(request).await
        });
    };
    if let Some(candidate) = candidate
        && is_standard_input(candidate)
        && is_standard_input(current)
    {
        return Err("standard input holds one policy only: name a file for the other".to_owned());
    }
    let PolicyInput { name, text, folder } = PolicyInput::read(current, subject.limit)?;
    let (before, engine) = Policy::load_over(None, &name, &text, &folder)
        .map_err(|problems| format!("the policy has problems:\n{problems}"))?;
    let (after, _) = match (candidate, live_rule) {
        (Some(path), _) => {
            let PolicyInput { name, text, folder } = PolicyInput::read(path, subject.limit)?;
            match Policy::load_candidate(&engine, &name, &text, &folder) {
                Ok(loaded) => loaded,
                Err(problems) => {
                    let problems = convert::problems(&problems.list);
                    return Ok(PlanPolicyResponse { problems, ..PlanPolicyResponse::default() });
                }
            }
        }
        (None, rule) => {
            let rule = rule.as_deref().unwrap_or_default();
            before
                .with_live_rule(rule, &engine)
                .ok_or_else(|| format!("`{name}` has no rule `{rule}` in shadow"))?
        }
    };
    let samples = usize::try_from(*samples).unwrap_or(usize::MAX);
    let preview = impact::plan(&before, &before.snapshot, &after, &after.snapshot, samples);
    let preview = preview.map_err(|why| format!("{why}; plan parts of it"))?;
    let members_files = members_file_changes(&before.document, &after.document);
    let differences = compare(&before, &after).to_string();
    Ok(convert::planned(String::new(), differences, &members_files, preview))
}
