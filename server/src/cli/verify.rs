//! `presence-router verify`: whether the answers are what the policy says.

use clap::{Args, value_parser};
use presence_router_engine::unstable::policy::analyse::verify::{self, DEFAULT_PAIRS, MAX_PAIRS};
use presence_router_engine::unstable::policy::wording::quoted;
use presence_router_proto::v1::{
    ComparedHides, CounterExample, Hide, VerifiedCallback, VerifyPolicyRequest,
    VerifyPolicyResponse,
};
use presence_router_server::revision::Epoch;
use presence_router_server::rpc::convert::policy as convert;

use super::args::PolicySource;
use super::daemon_client;
use super::output::{Failure, Outcome, print};
use super::policy_input::load_policy;
use super::words::hidden_fields;

/// How much to verify.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) source: PolicySource,

    /// Most pairs to compare; where there are more, some are drawn
    #[arg(long, default_value_t = DEFAULT_PAIRS, value_parser = value_parser!(u64).range(1..=MAX_PAIRS))]
    pub(crate) pairs: u64,

    /// Draw as a run before did, which told its seed
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
}

pub(super) fn verify(arguments: &VerifyArgs) -> Outcome {
    let answer = verify_policy(arguments).map_err(Failure::cannot_run)?;
    print(&format!("{}\n", describe(&answer)))?;
    match answer.counter_example {
        Some(_) => Err(Failure::failed(
            "this is a fault of presence-router: please report it, with the policy and the seed",
        )),
        None => Ok(()),
    }
}

fn verify_policy(
    VerifyArgs { source, pairs, seed }: &VerifyArgs,
) -> Result<VerifyPolicyResponse, String> {
    let Some(path) = &source.policy else {
        let request = VerifyPolicyRequest { max_pairs: *pairs, seed: *seed };
        return daemon_client::ask_daemon(source.daemon.addr.as_ref(), async |mut client| {
            client.verify_policy(request).await
        });
    };
    let policy = load_policy(path, source.limit)?;
    let seed = match seed {
        Some(seed) => *seed,
        None => Epoch::random().map_err(|error| format!("cannot draw a seed: {error}"))?.as_u64(),
    };
    let verified = verify::verify(&policy, &policy.snapshot, *pairs, seed);
    Ok(convert::verified(verified, String::new()))
}

fn describe(answer: &VerifyPolicyResponse) -> String {
    let VerifyPolicyResponse { revision, pairs, exhaustive, seed, listed_users, counter_example } =
        answer;
    let which = if *exhaustive { "all pairs" } else { "pairs drawn" };
    let of = format!("{which} of {listed_users} listed users and some invented ones, seed {seed}");
    let at = if revision.is_empty() { String::new() } else { format!(", revision {revision}") };
    match counter_example {
        None => format!("verified: {pairs} pairs ({of}{at})"),
        Some(found) => format!("wrong: {} ({of}{at})", describe_counter_example(found)),
    }
}

fn describe_counter_example(found: &CounterExample) -> String {
    let [sender, recipient] = [&found.sender, &found.recipient].map(|user| quoted(user));
    let whose = match found.callback() {
        VerifiedCallback::Audience => format!("audience of {sender}"),
        VerifiedCallback::Interest => format!("interest of {recipient}"),
        VerifiedCallback::Unspecified => "answer".to_owned(),
    };
    if let Some(ComparedHides { defined, answered }) = &found.hides {
        let [defined, answered] = [defined, answered].map(|hides| describe_hides(hides));
        return format!(
            "the policy hides {defined} of {sender} from {recipient}, and the {whose} hides {answered}"
        );
    }
    let (is, says) = if found.visible { ("is", "leaves it out") } else { ("is not", "has it") };
    format!("{sender} {is} visible to {recipient} by the policy, and the {whose} {says}")
}

fn describe_hides(hides: &[Hide]) -> String {
    let hides: Vec<_> =
        hides.iter().map(|hide| hidden_fields(&hide.fields, &hide.unless_presence)).collect();
    if hides.is_empty() { "nothing".to_owned() } else { hides.join(" and ") }
}
