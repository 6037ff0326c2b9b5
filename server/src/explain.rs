//! `presence-router explain`: why one user sees another, or does not.

mod json;
mod tree;

pub(crate) use self::json::{effect, word};
pub(crate) use self::tree::hidden;

use std::process::ExitCode;

use presence_router_engine::policy::analyse::explain::explain as explain_pair;
use presence_router_engine::policy::parse::unescaped;
use presence_router_engine::policy::wording::quoted;
use presence_router_ids::UserId;
use presence_router_proto::v1::{ExplainPairRequest, ExplainPairResponse, PolicyRule, RuleEffect};
use presence_router_server::rpc::convert::policy as convert;

use crate::cli::{Explain, Subject};
use crate::{CANNOT_RUN, FAILED, check, fail, printed, remote};

pub(crate) fn explain(Explain { sender, recipient, subject, json, quiet }: &Explain) -> ExitCode {
    let [sender, recipient] = [sender, recipient].map(|user| match unescaped(user) {
        Some(user) => user,
        // It is reported below, like any other text that is no id.
        None => user.into(),
    });
    match ask(&sender, &recipient, subject) {
        Ok(answer) if *quiet && answer.visible => ExitCode::SUCCESS,
        Ok(_) if *quiet => ExitCode::from(FAILED),
        Ok(answer) if *json => printed(&json::text(&sender, &recipient, &answer)),
        Ok(answer) => printed(&tree::text(&sender, &recipient, &answer)),
        Err(why) => fail(CANNOT_RUN, why),
    }
}

fn ask(sender: &str, recipient: &str, subject: &Subject) -> Result<ExplainPairResponse, String> {
    let user =
        |id| UserId::parse(id).map_err(|error| format!("{} is not a user id: {error}", quoted(id)));
    let (from, to) = (user(sender)?, user(recipient)?);
    let Some(path) = &subject.policy else {
        let pair = ExplainPairRequest { sender: sender.into(), recipient: recipient.into() };
        return remote::ask(subject.daemon.addr.as_ref(), async |mut client| {
            client.explain_pair(pair).await
        });
    };
    let policy = check::load(path, subject.limit)?;
    let explained = explain_pair(&policy, &policy.snapshot, from, to);
    Ok(convert::explanation(&policy, &explained, String::new()))
}

/// Rules that hide something of a visible presence.
fn hides(answer: &ExplainPairResponse) -> impl Iterator<Item = &PolicyRule> {
    let matching = answer.rules.iter().filter(|rule| answer.visible && rule.matches);
    let rules = matching.filter_map(|explained| explained.rule.as_ref());
    rules.filter(|rule| rule.effect() == RuleEffect::Hide && !rule.shadow)
}
