//! `presence-router plan`: what another policy would change, before it is live.

mod json;
mod text;

use std::path::Path;
use std::process::ExitCode;

use presence_router_proto::v1::plan_policy_request::Candidate;
use presence_router_proto::v1::{PlanPolicyRequest, PlanPolicyResponse};
use presence_router_server::files::{self, Folder};
use presence_router_server::policy::compare::compare;
use presence_router_server::policy::{Policy, count};
use presence_router_server::rpc::policy::express;

use crate::cli::Plan;
use crate::{CANNOT_RUN, FAILED, check, fail, printed, remote};

pub(crate) fn plan(arguments: &Plan) -> ExitCode {
    let file = match &arguments.candidate {
        Some(path) => path.display().to_string(),
        None => String::new(),
    };
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
    let cannot_read =
        |path: &Path, why: String| format!("cannot read the policy `{}`: {why}", path.display());
    let Some(current) = &subject.policy else {
        let candidate = match (candidate, live_rule) {
            (Some(path), _) => {
                let text = files::policy(path).map_err(|e| cannot_read(path, e.to_string()))?;
                let text = String::from_utf8(text);
                Candidate::Text(text.map_err(|_| cannot_read(path, "it is not UTF-8".to_owned()))?)
            }
            (None, rule) => Candidate::LiveRule(rule.clone().unwrap_or_default()),
        };
        let request = PlanPolicyRequest { candidate: Some(candidate), samples: *samples };
        return remote::ask(&subject.daemon.addr, async |mut client| {
            client.plan_policy(request).await
        });
    };
    let text = files::policy(current).map_err(|e| cannot_read(current, e.to_string()))?;
    let name = current.display().to_string();
    let (before, engine) = Policy::load_over(None, &name, &text, &Folder::of(current))
        .map_err(|problems| format!("the policy has problems:\n{problems}"))?;
    let (after, _) = match (candidate, live_rule) {
        (Some(path), _) => {
            let text = files::policy(path).map_err(|e| cannot_read(path, e.to_string()))?;
            let name = path.display().to_string();
            match Policy::load_candidate(&engine, &name, &text, &Folder::of(path)) {
                Ok(loaded) => loaded,
                Err(problems) => {
                    let problems = express::problems(&problems.list);
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
    let preview = before.preview(&before.snapshot, &after, &after.snapshot, samples);
    let preview = preview.map_err(|why| format!("{why}; plan parts of it"))?;
    Ok(express::planned(String::new(), compare(&before, &after).to_string(), preview))
}
