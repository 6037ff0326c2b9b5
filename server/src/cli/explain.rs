//! `presence-router explain`: why one user sees another, or does not.

mod hides;
mod json;
mod tree;

use clap::Args;
use presence_router_engine::unstable::policy::analyse::explain;
use presence_router_engine::unstable::policy::parse::unescaped;
use presence_router_engine::unstable::policy::wording::quoted;
use presence_router_ids::UserId;
use presence_router_proto::v1::{ExplainPairRequest, ExplainPairResponse};
use presence_router_server::rpc::convert::policy as convert;

use super::args::PolicySource;
use super::daemon_client;
use super::output::{Failure, Outcome, print};
use super::policy_input::load_policy;

/// Which pair to explain.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// User id of the user whose presence it is, such as `@ann:example.org`
    pub(crate) sender: String,

    /// User id of the user who may see it
    pub(crate) recipient: String,

    #[command(flatten)]
    pub(crate) source: PolicySource,

    /// Print JSON instead of a tree
    #[arg(long)]
    pub(crate) json: bool,

    /// Print nothing but errors, and say by the exit code whether the pair is visible
    #[arg(long, short, conflicts_with = "json")]
    pub(crate) quiet: bool,
}

pub(super) fn explain(
    ExplainArgs { sender, recipient, source, json, quiet }: &ExplainArgs,
) -> Outcome {
    let [sender, recipient] = [sender, recipient].map(|user| match unescaped(user) {
        Some(user) => user,
        // It is reported below, like any other text that is no id.
        None => user.into(),
    });
    let answer = explain_pair(&sender, &recipient, source).map_err(Failure::cannot_run)?;
    if *quiet {
        return if answer.visible { Ok(()) } else { Err(Failure::failed_silently()) };
    }
    print(&if *json {
        json::explanation_json(&sender, &recipient, &answer)
    } else {
        tree::explanation_tree(&sender, &recipient, &answer)
    })
}

fn explain_pair(
    sender: &str,
    recipient: &str,
    source: &PolicySource,
) -> Result<ExplainPairResponse, String> {
    let user =
        |id| UserId::parse(id).map_err(|error| format!("{} is not a user id: {error}", quoted(id)));
    let (from, to) = (user(sender)?, user(recipient)?);
    let Some(path) = &source.policy else {
        let pair = ExplainPairRequest { sender: sender.into(), recipient: recipient.into() };
        return daemon_client::ask_daemon(source.daemon.addr.as_ref(), async |mut client| {
            client.explain_pair(pair).await
        });
    };
    let policy = load_policy(path, source.limit)?;
    let explained = explain::explain(&policy, &policy.snapshot, from, to);
    Ok(convert::explanation(&policy, &explained, String::new()))
}
