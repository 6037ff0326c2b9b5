//! `presence-router check`: prints the problems and warnings of a policy for people, editors
//! and pipelines.

mod report;

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use presence_router_engine::unstable::policy::lint::synapse;
use presence_router_engine::unstable::policy::wording::count;
use presence_router_engine::{Policy, Problems};
use presence_router_proto::v1::{CheckPolicyRequest, CheckPolicyResponse};
use presence_router_server::rpc::convert::policy as convert;
use presence_router_server::source::files;

use self::report::Report;
use super::args::MembersLimit;
use super::daemon_client::{self, Address};
use super::output::{Failure, Outcome, print_text};
use super::policy_input::PolicyInput;

/// The policy to check.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The policy file; `-` reads standard input, with members files relative to the current
    /// directory
    pub(crate) policy: PathBuf,

    #[command(flatten)]
    pub(crate) limit: MembersLimit,

    /// Warn about each rule that this homeserver cannot enforce in full
    #[arg(long = "for", value_enum, value_name = "HOMESERVER")]
    pub(crate) homeserver: Option<Homeserver>,

    /// Also run the tests in each `*.yaml` and `*.yml` file of a directory
    #[arg(long, value_name = "DIR")]
    pub(crate) tests: Option<PathBuf>,

    /// Let the daemon at `host:port` or `unix:/path/to/socket` check the policy, which changes
    /// nothing. The daemon reads only the members files that its active policy names
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["homeserver", "tests"])]
    pub(crate) addr: Option<Address>,

    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Homeservers with a known list of the rules that they cannot enforce in full.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Homeserver {
    /// Unmodified Synapse, with `local: add` in the configuration of its module, the default
    Synapse,
    /// Unmodified Synapse, with `local: exact` and `federation: exact`
    SynapseExact,
}

enum TestsError {
    Folder(String),
    Problems(Vec<Problems>),
}

// === impl Homeserver ===

impl Homeserver {
    fn mode(self) -> synapse::Mode {
        match self {
            Self::Synapse => synapse::Mode::Add,
            Self::SynapseExact => synapse::Mode::Exact,
        }
    }
}

pub(super) fn check(arguments: &CheckArgs) -> Outcome {
    let CheckArgs { policy, limit, addr, json, .. } = arguments;
    let input = PolicyInput::read(policy, *limit).map_err(Failure::cannot_run)?;
    let report = match addr {
        Some(addr) => check_by_daemon(input, addr),
        None => check_here(&input, arguments),
    };
    let report = report.map_err(Failure::cannot_run)?;
    print_text(&if *json { report.to_json() } else { report.to_text() })?;
    match report.problem_count() {
        0 => Ok(()),
        problems => Err(Failure::failed(count(problems, "problem"))),
    }
}

/// Checks a policy, and runs its tests and the tests of a folder.
fn check_here(input: &PolicyInput, arguments: &CheckArgs) -> Result<Report, String> {
    let policy = match input.load() {
        Ok(policy) => policy,
        Err(problems) => return Ok(Report::rejected(&[problems])),
    };
    let mut warnings = policy.warnings.clone();
    if let Some(homeserver) = arguments.homeserver {
        warnings.extend(synapse::warnings(&policy, homeserver.mode()));
    }
    let mut summary = policy.summary();
    if let Some(folder) = &arguments.tests {
        match run_tests(&policy, folder) {
            Ok(passed) => {
                let folder = folder.display();
                summary.push_str(&format!("; {} passed in {folder}", count(passed, "test")));
            }
            Err(TestsError::Folder(why)) => return Err(why),
            Err(TestsError::Problems(problems)) => return Ok(Report::rejected(&problems)),
        }
    }
    Ok(Report::valid(&input.name, &convert::problems_to_proto(&warnings), summary))
}

/// Lets a daemon check a policy.
fn check_by_daemon(input: PolicyInput, addr: &Address) -> Result<Report, String> {
    let file = input.name.clone();
    let text = input.into_utf8().map_err(|why| format!("{why}; check it without `--addr`"))?;
    let request = CheckPolicyRequest { text };
    let CheckPolicyResponse { problems, warnings, summary } =
        daemon_client::ask_daemon(Some(addr), async |mut client| {
            client.check_policy(request).await
        })?;
    Ok(match problems.as_slice() {
        [] => Report::valid(&file, &warnings, summary),
        problems => Report::rejected_by_daemon(&file, problems),
    })
}

/// True if a file holds tests, by its name. Hidden files do not: editors create hidden files
/// beside an open file. Files with the ending `.yml` do, or their tests would seem to pass.
fn is_test_file(file: &Path) -> bool {
    let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && file.extension().is_some_and(|end| end == "yaml" || end == "yml")
}

/// Runs every file of tests in a folder, and returns the number of tests.
fn run_tests(policy: &Policy, folder: &Path) -> Result<usize, TestsError> {
    let unreadable = |path: &Path, error: io::Error| {
        TestsError::Folder(format!("cannot read the tests `{}`: {error}", path.display()))
    };
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
    let files = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut files: Vec<PathBuf> =
        files.collect::<io::Result<_>>().map_err(|error| unreadable(folder, error))?;
    files.retain(|file| is_test_file(file));
    files.sort();
    // With a misspelt path, the tests must not seem to pass.
    if files.is_empty() {
        let message = format!("there are no tests, `*.yaml` or `*.yml`, in `{}`", folder.display());
        return Err(TestsError::Folder(message));
    }
    let (mut passed, mut problems) = (0, Vec::new());
    for file in files {
        let (text, _) = files::read_regular(&file).map_err(|error| unreadable(&file, error))?;
        match policy.run_test_file(&file.display().to_string(), &text) {
            Ok(tests) => passed += tests,
            Err(found) => problems.push(found),
        }
    }
    if problems.is_empty() { Ok(passed) } else { Err(TestsError::Problems(problems)) }
}
