//! `presence-router conformance`: the scenarios, asked of any server that speaks
//! the contract, for authors of other ones.
//!
//! To read in this order: `scenario` has the requests, and `expectation` the answers to
//! them; `target_server` is the server under test, perhaps started as a `process`, with the
//! policy of a scenario active; `unary` and `stream` are the two ways to ask, about the
//! states of one `batch`; `sets` checks the sets of a stream, `mistakes` the answers to a
//! client that breaks the contract, and `table` prints the results. All are stricter than a client need be:
//! what the contract promises is checked, not used.

mod args;
mod batch;
mod difference;
mod expectation;
mod mistakes;
mod process;
mod scenario;
mod sets;
mod stream;
mod table;
mod target_server;
mod unary;

pub(crate) use self::args::ConformanceArgs;
use self::difference::{CannotRun, Difference};
use self::expectation::{Answers, Expectation};
use self::scenario::Scenario;
use self::table::Row;
use self::target_server::TargetServer;
use super::output::{Failure, Outcome, print};

pub(super) fn conformance(arguments: &ConformanceArgs) -> Outcome {
    let scenarios = scenario::read_scenarios(arguments.scenarios.as_deref(), &arguments.only)?;
    if let Some(folder) = &arguments.write_policies {
        return Ok(scenario::write_policies(&scenarios, folder)?);
    }
    if arguments.serve.is_none() && arguments.apply.is_none() && scenarios.len() != 1 {
        return Err(Failure::cannot_run(
            "each scenario needs its policy to be active: say how to make it so by `--serve` or \
             `--apply`, or name the one that is active by `--only`",
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
    print(&table::results_table(&rows))?;
    if rows.iter().all(Row::passed) { Ok(()) } else { Err(Failure::failed_silently()) }
}

async fn run_scenarios(
    arguments: &ConformanceArgs,
    scenarios: &[Scenario],
) -> Result<Vec<Row>, CannotRun> {
    let mut rows = Vec::new();
    for scenario in scenarios {
        let server = TargetServer::with_policy_of(scenario, arguments).await?;
        let (mut unary, mut stream) = (Ok(()), Ok(()));
        for caller in &scenario.callers {
            if unary.is_ok() {
                unary = compare_answers(
                    scenario,
                    caller,
                    unary::ask_by_calls(&server, scenario, caller).await,
                );
            }
            if stream.is_ok() {
                stream = compare_answers(
                    scenario,
                    caller,
                    stream::ask_by_stream(&server, scenario, caller).await,
                );
            }
        }
        rows.push(Row { scenario: scenario.name.clone(), unary, stream });
        // Whatever the policy is.
        if rows.len() == scenarios.len() && arguments.only.is_empty() {
            let (unary, stream) = (mistakes::unary(&server).await, mistakes::stream(&server).await);
            rows.push(Row { scenario: "(mistakes)".into(), unary, stream });
        }
        server.end().await;
    }
    Ok(rows)
}

/// The first difference between what was said to a caller and what should have
/// been.
fn compare_answers(
    scenario: &Scenario,
    caller: &Expectation,
    found: Result<Answers, Difference>,
) -> Result<(), Difference> {
    let difference = found.and_then(|found| caller.expects(&scenario.users, &found));
    difference.map_err(|Difference(what)| {
        Difference(format!("caller {}: {what}", caller.server_names.join(", ")))
    })
}
