//! `presence-router explain`: prints why a user's presence is visible to another user, or not
//! visible.

mod json;
mod relations;
mod tree;

use std::path::{Path, PathBuf};

use clap::Args;
use presence_router_engine::GivenRooms;
use presence_router_engine::unstable::policy::analyse::explain;
use presence_router_engine::unstable::policy::parse::unescaped;
use presence_router_engine::unstable::policy::wording::quoted;
use presence_router_ids::UserId;
use presence_router_proto::v1::{ExplainPairRequest, ExplainPairResponse};
use presence_router_server::rpc::convert::policy as convert;
use presence_router_server::source::files;

use self::relations::evaluate_relations;
use super::args::PolicySource;
use super::daemon_client;
use super::output::{Failure, Outcome, print_text};
use super::policy_input::load_policy;

/// The pair to explain.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Id of the user whose presence is shown, such as `@ann:example.org`
    pub(crate) sender: String,

    /// Id of the user who may see the presence
    pub(crate) recipient: String,

    #[command(flatten)]
    pub(crate) source: PolicySource,

    /// Evaluate `share_room` by the rooms in this file, which has the form of `given.rooms` in a
    /// test. Without it, the verdict says which shared rooms it depends on
    #[arg(long, value_name = "FILE")]
    pub(crate) rooms: Option<PathBuf>,

    /// Print JSON instead of a tree
    #[arg(long)]
    pub(crate) json: bool,

    /// Print errors only; the exit code is 0 for visible, and 1 for not visible or if this
    /// depends on shared rooms
    #[arg(long, short, conflicts_with = "json")]
    pub(crate) quiet: bool,
}

pub(super) fn print_explanation(
    ExplainArgs { sender, recipient, source, rooms, json, quiet }: &ExplainArgs,
) -> Outcome {
    let [sender, recipient] = [sender, recipient].map(|user| match unescaped(user) {
        Some(user) => user,
        // `explain_pair` reports it, like any other text that is not a user id.
        None => user.into(),
    });
    let rooms = rooms.as_deref().map(read_rooms).transpose().map_err(Failure::cannot_run)?;
    let answer = explain_pair(&sender, &recipient, source).map_err(Failure::cannot_run)?;
    let answer = evaluate_relations(answer, rooms.as_ref(), [&sender, &recipient]);
    if *quiet {
        return if answer.visible { Ok(()) } else { Err(Failure::failed_silently()) };
    }
    print_text(&if *json {
        json::explanation_json(&sender, &recipient, &answer)
    } else {
        tree::explanation_tree(&sender, &recipient, &answer)
    })
}

fn read_rooms(path: &Path) -> Result<GivenRooms, String> {
    let name = path.display();
    let text = files::read_any(path)
        .map_err(|error| format!("cannot read the rooms `{name}`: {error}"))?;
    let rooms = GivenRooms::parse(&name.to_string(), &text);
    rooms.map_err(|problems| format!("the rooms have problems:\n{problems}"))
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
    Ok(convert::explanation_to_proto(&policy, &explained, String::new()))
}
