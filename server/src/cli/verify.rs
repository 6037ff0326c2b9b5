//! `presence-router verify`: compares the answers for pairs of users with a second, simpler
//! evaluation of the policy.

use clap::{Args, value_parser};
use presence_router_engine::unstable::policy::analyse::verify::{self, DEFAULT_PAIRS, MAX_PAIRS};
use presence_router_engine::unstable::policy::wording::{count, quoted};
use presence_router_proto::v1::{
    ComparedHides, CounterExample, Hide, VerifiedCallback, VerifyPolicyRequest,
    VerifyPolicyResponse,
};
use presence_router_server::revision::Epoch;
use presence_router_server::rpc::convert::policy as convert;

use super::args::PolicySource;
use super::daemon_client;
use super::output::{Failure, Outcome, print_text};
use super::policy_input::load_policy;
use super::words::describe_hidden_fields;

/// The pairs to compare.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) source: PolicySource,

    /// Maximum number of pairs to compare; if there are more, the pairs are drawn at random
    #[arg(long, default_value_t = DEFAULT_PAIRS, value_parser = value_parser!(u64).range(1..=MAX_PAIRS))]
    pub(crate) pairs: u64,

    /// Draw the same pairs as an earlier run, which printed its seed
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
}

pub(super) fn verify_answers(arguments: &VerifyArgs) -> Outcome {
    let answer = verify_policy(arguments).map_err(Failure::cannot_run)?;
    print_text(&format!("{}\n", describe_result(&answer)))?;
    match answer.counter_example {
        Some(_) => Err(Failure::failed(
            "this is a bug in presence-router: please report it, with the policy and the seed",
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
    Ok(convert::verification_to_proto(verified, String::new()))
}

fn describe_result(answer: &VerifyPolicyResponse) -> String {
    let VerifyPolicyResponse { revision, pairs, exhaustive, seed, listed_users, .. } = answer;
    let drawn = if *exhaustive { "all pairs of" } else { "drawn at random from" };
    let users = count(usize::try_from(*listed_users).unwrap_or(usize::MAX), "listed user");
    let at = if revision.is_empty() { String::new() } else { format!(", revision {revision}") };
    let invented = if answer.invented_rooms { "users and rooms" } else { "users" };
    let scope = format!("{drawn} {users} and some invented {invented}; seed {seed}{at}");
    match &answer.counter_example {
        None => format!("verified: {pairs} pairs ({scope})"),
        Some(found) => format!("wrong: {} ({scope})", describe_counter_example(found)),
    }
}

fn describe_counter_example(found: &CounterExample) -> String {
    let [sender, recipient] = [&found.sender, &found.recipient].map(|user| quoted(user));
    let (answer, member) = match found.callback() {
        VerifiedCallback::Audience => (format!("the audience of {sender}"), &recipient),
        VerifiedCallback::Interest => (format!("the interest of {recipient}"), &sender),
        VerifiedCallback::Unspecified => ("an answer".to_owned(), &recipient),
    };
    if let Some(ComparedHides { defined, answered }) = &found.hides {
        let [defined, answered] = [defined, answered].map(|hides| describe_hides(hides));
        return format!(
            "the policy hides {defined} of {sender} from {recipient}, but {answer} hides {answered}"
        );
    }
    let (is, has) = if found.visible { ("is", "lacks") } else { ("is not", "contains") };
    format!("by the policy, {sender} {is} visible to {recipient}, but {answer} {has} {member}")
}

fn describe_hides(hides: &[Hide]) -> String {
    let hides: Vec<_> = hides
        .iter()
        .map(|hide| describe_hidden_fields(&hide.fields, &hide.unless_presence))
        .collect();
    if hides.is_empty() { "nothing".to_owned() } else { hides.join(" and ") }
}
