//! `presence-router show`: the policy that a daemon has in force.

use std::fmt::Write as _;
use std::process::ExitCode;

use presence_router_engine::policy::wording::{count, quoted};
use presence_router_proto::v1::{FailedPolicyLoad, GetPolicyRequest, GetPolicyResponse};

use crate::cli::Show;
use crate::explain::effect;
use crate::{CANNOT_RUN, check, fail, printed, remote};

pub(crate) fn show(Show { daemon, about }: &Show) -> ExitCode {
    let request = GetPolicyRequest { omit_text: *about };
    let get = async |mut client: remote::Client| client.get_policy(request).await;
    match remote::ask(daemon.addr.as_ref(), get) {
        Ok(policy) if *about => printed(&said(&policy)),
        Ok(policy) => printed(&policy.text),
        Err(why) => fail(CANNOT_RUN, why),
    }
}

/// Why the file is not what is active.
fn failure(file: &str, failed: &FailedPolicyLoad) -> String {
    let FailedPolicyLoad { since_time, latest_time: _, problem_count, problems } = failed;
    let since = since_time.map(|time| format!(" since {time}")).unwrap_or_default();
    let number = usize::try_from(*problem_count).unwrap_or(usize::MAX);
    let more = number.saturating_sub(problems.len());
    let mut text = check::lines(file, "", problems);
    if more > 0 {
        text.push_str(&format!("{file}: and {}\n", count(more, "more problem")));
    }
    format!(
        "{text}{file}: it has {}{since}; an earlier policy stays active, as follows\n",
        count(number, "problem")
    )
}

fn said(policy: &GetPolicyResponse) -> String {
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
    let mut said = check::lines(file, "warning: ", warnings);
    if let Some(failed) = failed_load {
        said.push_str(&failure(file, failed));
    }
    // Writing to a string never fails.
    let _ = writeln!(said, "file      {file}\nrevision  {revision}\nsha256    {digest}");
    for file in files {
        let _ = writeln!(said, "members   {}  {}", file.digest, quoted(&file.name));
    }
    if let Some(time) = load_time {
        let _ = writeln!(said, "loaded    {time}");
    }
    for rule in rules {
        let shadow = if rule.shadow { " (shadow)" } else { "" };
        let _ = writeln!(
            said,
            "rule      line {}: {}{shadow} {}",
            rule.line,
            effect(rule),
            quoted(&rule.name)
        );
    }
    for shadow in shadow_counts {
        let states = count(usize::try_from(shadow.states).unwrap_or(usize::MAX), "state");
        let _ = writeln!(said, "shadow    {} would have changed {states}", quoted(&shadow.name));
    }
    said
}
