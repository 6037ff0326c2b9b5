//! `presence-router verify`: whether the answers are what the policy says.

use std::process::ExitCode;

use presence_router_proto::v1::{
    CounterExample, VerifiedCallback, VerifyPolicyRequest, VerifyPolicyResponse,
};
use presence_router_server::policy::problem::quoted;
use presence_router_server::revision::Epoch;
use presence_router_server::rpc::policy::express;

use crate::cli::Verify;
use crate::{CANNOT_RUN, FAILED, check, fail, printed, remote};

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
        let request = VerifyPolicyRequest { pairs: *pairs, seed: *seed };
        return remote::ask(&subject.daemon.addr, async |mut client| {
            client.verify_policy(request).await
        });
    };
    let policy = check::load(path)?;
    let seed = match seed {
        Some(seed) => *seed,
        None => Epoch::random().map_err(|error| format!("cannot draw a seed: {error}"))?.as_u64(),
    };
    let verified = policy.verify(&policy.snapshot, *pairs, seed);
    Ok(express::verified(verified, String::new()))
}

fn said(answer: &VerifyPolicyResponse) -> String {
    let VerifyPolicyResponse { revision, pairs, exhaustive, seed, named_users, counter_example } =
        answer;
    let which = if *exhaustive { "all pairs" } else { "pairs drawn" };
    let of = format!("{which} of {named_users} named users and some made up, seed {seed}");
    let at = if revision.is_empty() { String::new() } else { format!(", revision {revision}") };
    match counter_example {
        None => format!("verified: {pairs} pairs ({of}{at})"),
        Some(CounterExample { sender, recipient, visible, .. }) => {
            let callback = counter_example.as_ref().map(CounterExample::callback);
            let whose = match callback {
                Some(VerifiedCallback::Audience) => format!("audience of {}", quoted(sender)),
                Some(VerifiedCallback::Interest) => format!("interest of {}", quoted(recipient)),
                _ => "answer".to_owned(),
            };
            let (is, says) = if *visible { ("is", "leaves it out") } else { ("is not", "has it") };
            format!(
                "wrong: {} {is} visible to {} by the policy, and the {whose} {says} ({of}{at})",
                quoted(sender),
                quoted(recipient),
            )
        }
    }
}
