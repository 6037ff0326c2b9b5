//! `presence-router conformance`: runs the scenarios against any server that implements the
//! contract, for authors of other servers.
//!
//! Reading order: `scenario` has the requests, by a `caller` that may evaluate rooms, and
//! `expectation` the right answers; `target_server` is the server under test, perhaps started
//! as a `process`, with the policy of a scenario active; `unary` and `stream` are the two ways
//! to ask about the states of one `batch`; `sets` checks the sets of a stream, `hides` the
//! fields that answers hide, and `named_servers` the servers that a stream names;
//! `kept_answers` are the answers that a client may keep over a change of policy,
//! `invalid_requests` checks the answers to a client that breaks the contract, and `table`
//! prints the results. All of them are stricter than a client: they check the promises of the
//! contract instead of relying on them.

mod args;
mod batch;
mod caller;
mod difference;
mod expectation;
mod hides;
mod invalid_requests;
mod kept_answers;
mod named_servers;
mod process;
mod scenario;
mod sets;
mod stream;
mod table;
mod target_server;
mod unary;

pub(crate) use self::args::ConformanceArgs;
use self::caller::Caller;
use self::difference::{CannotRun, Difference};
use self::expectation::{Answers, Expectation};
use self::scenario::Scenario;
use self::stream::AnsweredStream;
use self::table::Row;
use self::target_server::TargetServer;
use super::output::{Failure, Outcome, print_text};

pub(super) fn run_conformance(arguments: &ConformanceArgs) -> Outcome {
    let scenarios = scenario::read_scenarios(arguments.scenarios.as_deref(), &arguments.only)?;
    if let Some(folder) = &arguments.write_policies {
        return Ok(scenario::write_policies(&scenarios, folder)?);
    }
    if arguments.serve.is_none() && arguments.apply.is_none() && scenarios.len() != 1 {
        return Err(Failure::cannot_run(
            "the server must answer from the policy of each scenario: give a command for that with \
             `--serve` or `--apply`, or name the scenario whose policy is active with `--only`",
        ));
    }
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::cannot_run(format!("cannot start threads: {error}")))?;
    let rows = runtime.block_on(async {
        tokio::select! {
            rows = run_scenarios(arguments, &scenarios) => rows,
            _ = tokio::signal::ctrl_c() => Err(CannotRun("interrupted".into())),
        }
    })?;
    print_text(&table::results_table(&rows))?;
    if rows.iter().all(Row::passed) { Ok(()) } else { Err(Failure::failed_silently()) }
}

async fn run_scenarios(
    arguments: &ConformanceArgs,
    scenarios: &[Scenario],
) -> Result<Vec<Row>, CannotRun> {
    let mut rows = Vec::new();
    // Streams of the scenario before, if the server is still the same one.
    let mut earlier: Vec<(&Caller, AnsweredStream)> = Vec::new();
    for scenario in scenarios {
        let server = TargetServer::with_policy_of(scenario, arguments).await?;
        let (mut unary, mut stream) = (Ok(()), Ok(()));
        for (caller, answered) in earlier.drain(..) {
            if stream.is_ok() {
                stream = name_caller(caller, answered.compare_kept_answers(&server).await);
            }
        }
        for (caller, expected) in &scenario.callers {
            if unary.is_ok() {
                let answers = unary::ask_by_calls(&server, &scenario.users, caller).await;
                unary = compare_answers(scenario, caller, expected, answers);
            }
            if stream.is_ok() {
                let asked = stream::ask_by_stream(&server, &scenario.users, caller).await;
                let answers = asked.map(|(answers, answered)| {
                    earlier.push((caller, answered));
                    answers
                });
                stream = compare_answers(scenario, caller, expected, answers);
            }
        }
        rows.push(Row { scenario: scenario.name.clone(), unary, stream });
        if arguments.apply.is_none() {
            earlier.clear();
        }
        // Once is enough: the answers do not depend on the policy.
        if rows.len() == scenarios.len() && arguments.only.is_empty() {
            rows.push(Row {
                scenario: "(invalid requests)".into(),
                unary: invalid_requests::check_calls(&server).await,
                stream: invalid_requests::check_stream(&server).await,
            });
        }
        server.shut_down().await;
    }
    Ok(rows)
}

/// Returns the first difference between the answers to a caller and the right answers.
fn compare_answers(
    scenario: &Scenario,
    caller: &Caller,
    expected: &Expectation,
    found: Result<Answers, Difference>,
) -> Result<(), Difference> {
    name_caller(caller, found.and_then(|found| expected.check_answers(&scenario.users, &found)))
}

/// Adds the caller to a difference.
fn name_caller(caller: &Caller, found: Result<(), Difference>) -> Result<(), Difference> {
    found.map_err(|Difference(text)| Difference(format!("caller {}: {text}", caller.describe())))
}
