//! `presence-router reload`: makes a daemon load its policy again, and tells what
//! came of it.

use clap::Args;
use presence_router_engine::unstable::policy::wording::count;
use presence_router_proto::v1::{ReloadOutcome, ReloadPolicyRequest, ReloadPolicyResponse};

use super::args::DaemonAddr;
use super::daemon_client;
use super::output::{Failure, Outcome, print};
use super::words::problem_lines;

/// How to load.
#[derive(Debug, Args)]
pub(crate) struct ReloadArgs {
    #[command(flatten)]
    pub(crate) daemon: DaemonAddr,

    /// Load it even if a members file that listed users lists nobody
    #[arg(long)]
    pub(crate) force: bool,
}

pub(super) fn reload(ReloadArgs { daemon, force }: &ReloadArgs) -> Outcome {
    let request = ReloadPolicyRequest { force: *force };
    let load = async |mut client: daemon_client::Client| client.reload_policy(request).await;
    let answer =
        daemon_client::ask_daemon(daemon.addr.as_ref(), load).map_err(Failure::cannot_run)?;
    let outcome = answer.outcome();
    let ReloadPolicyResponse { revision, file, problems, warnings, differences, .. } = answer;
    let done = match outcome {
        ReloadOutcome::Replaced => format!("loaded {file}: revision {revision}; {differences}\n"),
        ReloadOutcome::Unchanged => format!("{file} is unchanged: revision {revision}\n"),
        ReloadOutcome::Refused => {
            print(&problem_lines(&file, "", &problems))?;
            let problems = count(problems.len(), "problem");
            return Err(Failure::failed(format!(
                "{problems}; the previous policy stays active, at revision {revision}"
            )));
        }
        ReloadOutcome::Unspecified => {
            return Err(Failure::cannot_run("the daemon's answer is of a later version"));
        }
    };
    print(&format!("{}{done}", problem_lines(&file, "warning: ", &warnings)))
}
