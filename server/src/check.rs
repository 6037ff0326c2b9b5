//! `presence-router check`: problems and warnings of a policy, for a person, an
//! editor or a pipeline to read.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use presence_router_server::files::Folder;
use presence_router_server::policy::problem::{Problem, Problems};
use presence_router_server::policy::{Policy, count, synapse};

use crate::cli::{Check, Homeserver};
use crate::{CANNOT_RUN, FAILED, fail, print};

pub(crate) fn check(Check { policy: path, homeserver, tests }: &Check) -> ExitCode {
    let file = path.display().to_string();
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) => {
            return fail(CANNOT_RUN, format!("cannot read the policy `{file}`: {error}"));
        }
    };
    let policy = match Policy::load(&file, &text, &Folder::of(path)) {
        Ok(policy) => policy,
        Err(problems) => return failed(&[problems]),
    };
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

enum TestsError {
    Folder(String),
    Problems(Vec<Problems>),
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
    files.retain(|file| file.extension().is_some_and(|end| end == "yaml"));
    files.sort();
    // A path with a slip of the fingers must not pass for tests that pass.
    if files.is_empty() {
        let message = format!("there are no tests, `*.yaml`, in `{}`", folder.display());
        return Err(TestsError::Folder(message));
    }
    let (mut passed, mut problems) = (0, Vec::new());
    for file in files {
        let text = std::fs::read(&file).map_err(|error| unreadable(&file, error))?;
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
