//! `presence-router reload`: makes a daemon load its policy again, and prints the result.

use clap::Args;
use presence_router_engine::unstable::policy::wording::count;
use presence_router_proto::v1::{ReloadOutcome, ReloadPolicyRequest, ReloadPolicyResponse};

use super::args::DaemonAddr;
use super::daemon_client;
use super::output::{Failure, Outcome, print_text};
use super::words::problem_lines;

/// The daemon, and the conditions of the load.
#[derive(Debug, Args)]
pub(crate) struct ReloadArgs {
    #[command(flatten)]
    pub(crate) daemon: DaemonAddr,

    /// Load the policy even if a members file that listed users is empty now
    #[arg(long)]
    pub(crate) force: bool,
}

pub(super) fn reload_policy(ReloadArgs { daemon, force }: &ReloadArgs) -> Outcome {
    let request = ReloadPolicyRequest { force: *force };
    let load = async |mut client: daemon_client::Client| client.reload_policy(request).await;
    let answer =
        daemon_client::ask_daemon(daemon.addr.as_ref(), load).map_err(Failure::cannot_run)?;
    let outcome = answer.outcome();
    let ReloadPolicyResponse { revision, file, problems, warnings, differences, .. } = answer;
    let result = match outcome {
        ReloadOutcome::Replaced => format!("loaded {file}: revision {revision}; {differences}\n"),
        ReloadOutcome::Unchanged => format!("{file} is unchanged: revision {revision}\n"),
        ReloadOutcome::Refused => {
            print_text(&problem_lines(&file, "", &problems))?;
            let problems = count(problems.len(), "problem");
            return Err(Failure::failed(format!(
                "{problems}; the previous policy stays active, at revision {revision}"
            )));
        }
        ReloadOutcome::Unspecified => {
            return Err(Failure::cannot_run(
                "the daemon is of a later version, and this command does not know the outcome in its answer",
            ));
        }
    };
    print_text(&format!("{}{result}", problem_lines(&file, "warning: ", &warnings)))
}
