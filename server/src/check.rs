//! `presence-router check`: problems and warnings of a policy, for a person, an
//! editor or a pipeline to read.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use presence_router_engine::policy::Policy;
use presence_router_engine::policy::lint::synapse;
use presence_router_engine::policy::problem::{Position, Problem, Problems};
use presence_router_engine::policy::wording::count;
use presence_router_proto::v1::{CheckPolicyRequest, CheckPolicyResponse, PolicyProblem};
use presence_router_server::files;

use crate::cli::{Check, Homeserver, MembersLimit};
use crate::policy_input::PolicyInput;
use crate::remote::Address;
use crate::{CANNOT_RUN, FAILED, fail, print, printed, remote};

pub(crate) fn check(Check { policy: path, limit, homeserver, tests, addr }: &Check) -> ExitCode {
    let input = match PolicyInput::read(path, *limit) {
        Ok(input) => input,
        Err(why) => return fail(CANNOT_RUN, why),
    };
    if let Some(addr) = addr {
        return by_daemon(input, addr);
    }
    let policy = match input.parse() {
        Ok(policy) => policy,
        Err(problems) => return failed(&[problems]),
    };
    let file = input.name;
    let mut found = String::new();
    let mut warn = |warning: &Problem| {
        let message = format!("warning: {}", warning.message);
        let warning = Problem { message, ..warning.clone() };
        found.push_str(&format!("{}\n", warning.line(&file)));
    };
    policy.warnings.iter().for_each(&mut warn);
    if let Some(Homeserver::Synapse) = homeserver {
        synapse::warnings(&policy).iter().for_each(&mut warn);
    }
    let mut summary = format!("{file}: {}", policy.summary());
    if let Some(folder) = tests {
        match run_tests(&policy, folder) {
            Ok(passed) => {
                let folder = folder.display();
                summary.push_str(&format!("; {} passed in {folder}", count(passed, "test")));
            }
            Err(TestsError::Folder(why)) => return fail(CANNOT_RUN, why),
            Err(TestsError::Problems(problems)) => return failed(&problems),
        }
    }
    written(&format!("{found}{summary}\n")).unwrap_or(ExitCode::SUCCESS)
}

/// What a daemon says of a policy.
fn by_daemon(input: PolicyInput, addr: &Address) -> ExitCode {
    let file = input.name.clone();
    let text = match input.into_utf8() {
        Ok(text) => text,
        Err(why) => return fail(CANNOT_RUN, format!("{why}; check it without `--addr`")),
    };
    let request = CheckPolicyRequest { text };
    let answer = remote::ask(Some(addr), async |mut client| client.check_policy(request).await);
    let CheckPolicyResponse { problems, warnings, summary } = match answer {
        Ok(answer) => answer,
        Err(why) => return fail(CANNOT_RUN, why),
    };
    if problems.is_empty() {
        let warnings = lines(&file, "warning: ", &warnings);
        return printed(&format!("{warnings}{file}: {summary}\n"));
    }
    written(&lines(&file, "", &problems))
        .unwrap_or_else(|| fail(FAILED, count(problems.len(), "problem")))
}

/// What a daemon found, as `check` prints what it finds itself.
pub(crate) fn lines(file: &str, kind: &str, problems: &[PolicyProblem]) -> String {
    let line = |problem: &PolicyProblem| {
        let position = Position { line: problem.line, column: problem.column };
        let message = format!("{kind}{}", problem.message);
        let file = if problem.file.is_empty() { file } else { &problem.file };
        format!("{}\n", Problem { file: None, position, message }.line(file))
    };
    problems.iter().map(line).collect()
}

/// A policy without problems, to ask about.
pub(crate) fn load(path: &Path, limit: MembersLimit) -> Result<Policy, String> {
    let policy = PolicyInput::read(path, limit)?.parse();
    policy.map_err(|problems| format!("the policy has problems:\n{problems}"))
}

enum TestsError {
    Folder(String),
    Problems(Vec<Problems>),
}

/// Whether a file has tests by its name. Not one that is hidden, such as what editors
/// leave beside a file that is being edited; but one of the other ending of YAML, or
/// its tests would seem to pass.
fn is_of_tests(file: &Path) -> bool {
    let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && file.extension().is_some_and(|end| end == "yaml" || end == "yml")
}

/// Runs every file of tests. How many tests there are.
fn run_tests(policy: &Policy, folder: &Path) -> Result<usize, TestsError> {
    let unreadable = |path: &Path, error: io::Error| {
        TestsError::Folder(format!("cannot read the tests `{}`: {error}", path.display()))
    };
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
    let files = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut files: Vec<PathBuf> =
        files.collect::<io::Result<_>>().map_err(|error| unreadable(folder, error))?;
    files.retain(|file| is_of_tests(file));
    files.sort();
    // A path with a slip of the fingers must not pass for tests that pass.
    if files.is_empty() {
        let message = format!("there are no tests, `*.yaml` or `*.yml`, in `{}`", folder.display());
        return Err(TestsError::Folder(message));
    }
    let (mut passed, mut problems) = (0, Vec::new());
    for file in files {
        let (text, _) = files::regular(&file).map_err(|error| unreadable(&file, error))?;
        match policy.test(&file.display().to_string(), &text) {
            Ok(tests) => passed += tests,
            Err(found) => problems.push(found),
        }
    }
    if problems.is_empty() { Ok(passed) } else { Err(TestsError::Problems(problems)) }
}

fn failed(problems: &[Problems]) -> ExitCode {
    let found: String = problems.iter().map(|problems| format!("{problems}\n")).collect();
    let count = count(problems.iter().map(|problems| problems.list.len()).sum(), "problem");
    written(&found).unwrap_or_else(|| fail(FAILED, count))
}

/// Prints what was found; the exit code if that is not possible.
fn written(found: &str) -> Option<ExitCode> {
    match print(found) {
        Ok(()) => None,
        // Whoever reads has enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
        Err(error) => Some(fail(CANNOT_RUN, format!("cannot write: {error}"))),
    }
}
