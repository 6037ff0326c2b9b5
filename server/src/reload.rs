//! `presence-router reload`: makes a daemon load its policy again, and tells what
//! came of it.

use std::process::ExitCode;

use presence_router_engine::policy::wording::count;
use presence_router_proto::v1::{ReloadOutcome, ReloadPolicyRequest, ReloadPolicyResponse};

use crate::cli::Reload;
use crate::{CANNOT_RUN, FAILED, check, fail, printed, remote};

pub(crate) fn reload(Reload { daemon, force }: &Reload) -> ExitCode {
    let request = ReloadPolicyRequest { force: *force };
    let load = async |mut client: remote::Client| client.reload_policy(request).await;
    let answer = match remote::ask(daemon.addr.as_ref(), load) {
        Ok(answer) => answer,
        Err(why) => return fail(CANNOT_RUN, why),
    };
    let outcome = answer.outcome();
    let ReloadPolicyResponse { revision, file, problems, warnings, differences, .. } = answer;
    let done = match outcome {
        ReloadOutcome::Replaced => format!("loaded {file}: revision {revision}; {differences}\n"),
        ReloadOutcome::Unchanged => format!("{file} is unchanged: revision {revision}\n"),
        ReloadOutcome::Refused => {
            let code = printed(&check::lines(&file, "", &problems));
            if code != ExitCode::SUCCESS {
                return code;
            }
            let problems = count(problems.len(), "problem");
            let why =
                format!("{problems}; the previous policy stays active, at revision {revision}");
            return fail(FAILED, why);
        }
        ReloadOutcome::Unspecified => {
            return fail(CANNOT_RUN, "the daemon's answer is of a later version");
        }
    };
    printed(&format!("{}{done}", check::lines(&file, "warning: ", &warnings)))
}
