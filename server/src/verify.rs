//! `presence-router verify`: whether the answers are what the policy says.

use std::process::ExitCode;

use presence_router_engine::policy::analyse::verify::verify as verify_policy;
use presence_router_engine::policy::wording::quoted;
use presence_router_proto::v1::{
    ComparedHides, CounterExample, Hide, VerifiedCallback, VerifyPolicyRequest,
    VerifyPolicyResponse,
};
use presence_router_server::revision::Epoch;
use presence_router_server::rpc::convert::policy as convert;

use crate::cli::Verify;
use crate::{CANNOT_RUN, FAILED, check, explain, fail, printed, remote};

pub(crate) fn verify(arguments: &Verify) -> ExitCode {
    let answer = match ask(arguments) {
        Ok(answer) => answer,
        Err(why) => return fail(CANNOT_RUN, why),
    };
    let code = printed(&format!("{}\n", said(&answer)));
    match answer.counter_example {
        Some(_) if code == ExitCode::SUCCESS => fail(
            FAILED,
            "this is a fault of presence-router: please report it, with the policy and the seed",
        ),
        _ => code,
    }
}

fn ask(Verify { subject, pairs, seed }: &Verify) -> Result<VerifyPolicyResponse, String> {
    let Some(path) = &subject.policy else {
        let request = VerifyPolicyRequest { max_pairs: *pairs, seed: *seed };
        return remote::ask(subject.daemon.addr.as_ref(), async |mut client| {
            client.verify_policy(request).await
        });
    };
    let policy = check::load(path, subject.limit)?;
    let seed = match seed {
        Some(seed) => *seed,
        None => Epoch::random().map_err(|error| format!("cannot draw a seed: {error}"))?.as_u64(),
    };
    let verified = verify_policy(&policy, &policy.snapshot, *pairs, seed);
    Ok(convert::verified(verified, String::new()))
}

fn said(answer: &VerifyPolicyResponse) -> String {
    let VerifyPolicyResponse { revision, pairs, exhaustive, seed, listed_users, counter_example } =
        answer;
    let which = if *exhaustive { "all pairs" } else { "pairs drawn" };
    let of = format!("{which} of {listed_users} named users and some made up, seed {seed}");
    let at = if revision.is_empty() { String::new() } else { format!(", revision {revision}") };
    match counter_example {
        None => format!("verified: {pairs} pairs ({of}{at})"),
        Some(found) => format!("wrong: {} ({of}{at})", wrong(found)),
    }
}

fn wrong(found: &CounterExample) -> String {
    let [sender, recipient] = [&found.sender, &found.recipient].map(|user| quoted(user));
    let whose = match found.callback() {
        VerifiedCallback::Audience => format!("audience of {sender}"),
        VerifiedCallback::Interest => format!("interest of {recipient}"),
        VerifiedCallback::Unspecified => "answer".to_owned(),
    };
    if let Some(ComparedHides { defined, answered }) = &found.hides {
        let [defined, answered] = [defined, answered].map(|hides| hidden(hides));
        return format!(
            "the policy hides {defined} of {sender} from {recipient}, and the {whose} hides {answered}"
        );
    }
    let (is, says) = if found.visible { ("is", "leaves it out") } else { ("is not", "has it") };
    format!("{sender} {is} visible to {recipient} by the policy, and the {whose} {says}")
}

fn hidden(hides: &[Hide]) -> String {
    let hides: Vec<_> =
        hides.iter().map(|hide| explain::hidden(&hide.fields, &hide.unless_presence)).collect();
    if hides.is_empty() { "nothing".to_owned() } else { hides.join(" and ") }
}
