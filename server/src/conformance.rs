//! `presence-router conformance`: the scenarios, asked of any server that speaks
//! the contract, for authors of other ones.
//!
//! To read in this order: `scenario` is what is asked and expected, `subject` the
//! server under test with the policy of a scenario in force; `unary` and `stream`
//! are the two ways to ask, about the states of one `batch`; `sets` is what a
//! stream may say of sets, and `mistakes` what is answered to a client that does
//! not keep the contract. All are stricter than a client need be: what the
//! contract promises is checked, not used.

mod batch;
mod mistakes;
mod scenario;
mod sets;
mod stream;
mod subject;
mod unary;

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use self::scenario::{Answers, Caller, Scenario};
use self::subject::Subject;
use crate::cli::Conformance;
use crate::{CANNOT_RUN, FAILED, fail, print};

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the server under test differs from what it must do.
#[derive(Debug)]
struct Difference(String);

/// Nothing can be said about the server under test.
#[derive(Debug)]
struct CannotRun(String);

/// What became of a scenario, by each way.
struct Row {
    scenario: String,
    unary: Result<(), Difference>,
    stream: Result<(), Difference>,
}

pub(crate) fn conformance(arguments: &Conformance) -> ExitCode {
    let scenarios = match scenario::read(arguments.scenarios.as_deref(), &arguments.only) {
        Ok(scenarios) => scenarios,
        Err(CannotRun(why)) => return fail(CANNOT_RUN, why),
    };
    if let Some(folder) = &arguments.write_policies {
        return match scenario::write_policies(&scenarios, folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(CannotRun(why)) => fail(CANNOT_RUN, why),
        };
    }
    if arguments.serve.is_none() && arguments.apply.is_none() && scenarios.len() != 1 {
        let why = "each scenario needs its policy in force: say how to get it there by `--serve` \
                   or `--apply`, or name the one that is in force by `--only`";
        return fail(CANNOT_RUN, why);
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(CANNOT_RUN, format!("cannot start threads: {error}")),
    };
    let run = async {
        tokio::select! {
            rows = run(arguments, &scenarios) => rows,
            _ = tokio::signal::ctrl_c() => Err(CannotRun("interrupted".into())),
        }
    };
    let rows = match runtime.block_on(run) {
        Ok(rows) => rows,
        Err(CannotRun(why)) => return fail(CANNOT_RUN, why),
    };
    let failed = rows.iter().flat_map(Row::ways).filter(|(_, result)| result.is_err()).count();
    match print(&table(&rows)) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            fail(CANNOT_RUN, format!("cannot write: {error}"))
        }
        _ if failed > 0 => ExitCode::from(FAILED),
        _ => ExitCode::SUCCESS,
    }
}

async fn run(arguments: &Conformance, scenarios: &[Scenario]) -> Result<Vec<Row>, CannotRun> {
    let mut rows = Vec::new();
    for scenario in scenarios {
        let subject = Subject::with_policy_of(scenario, arguments).await?;
        let (mut unary, mut stream) = (Ok(()), Ok(()));
        for caller in &scenario.callers {
            if unary.is_ok() {
                unary = compare(scenario, caller, unary::ask(&subject, scenario, caller).await);
            }
            if stream.is_ok() {
                stream = compare(scenario, caller, stream::ask(&subject, scenario, caller).await);
            }
        }
        rows.push(Row { scenario: scenario.name.clone(), unary, stream });
        // Whatever the policy is.
        if rows.len() == scenarios.len() && arguments.only.is_empty() {
            let (unary, stream) =
                (mistakes::unary(&subject).await, mistakes::stream(&subject).await);
            rows.push(Row { scenario: "(mistakes)".into(), unary, stream });
        }
        subject.end().await;
    }
    Ok(rows)
}

/// The first difference between what was said to a caller and what should have
/// been.
fn compare(
    scenario: &Scenario,
    caller: &Caller,
    found: Result<Answers, Difference>,
) -> Result<(), Difference> {
    let difference = found.and_then(|found| caller.expects(&scenario.users, &found));
    difference.map_err(|Difference(what)| {
        Difference(format!("caller {}: {what}", caller.server_names.join(", ")))
    })
}

/// Waits for something that the server under test must do.
async fn within<T>(what: &str, future: impl Future<Output = T>) -> Result<T, Difference> {
    let waited = tokio::time::timeout(PATIENCE, future).await;
    waited.map_err(|_| Difference(format!("{what}: nothing comes for {} s", PATIENCE.as_secs())))
}

fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.scenario.len()).max().unwrap_or(0).max("scenario".len());
    let mut table = format!("{:width$}  {:6}  {:6}\n", "scenario", "unary", "stream");
    let mut differences = String::new();
    let mut passed = 0;
    let mut failed = 0;
    for row in rows {
        let _ = write!(table, "{:width$}", row.scenario);
        for (way, result) in row.ways() {
            let said = match result {
                Ok(()) => {
                    passed += 1;
                    "passed"
                }
                Err(Difference(what)) => {
                    failed += 1;
                    let _ = writeln!(differences, "{}, {way}: {what}", row.scenario);
                    "FAILED"
                }
            };
            let _ = write!(table, "  {said}");
        }
        table.push('\n');
    }
    format!("{table}{differences}{passed} passed, {failed} failed\n")
}

// === impl Row ===

impl Row {
    fn ways(&self) -> [(&'static str, &Result<(), Difference>); 2] {
        [("unary", &self.unary), ("stream", &self.stream)]
    }
}
