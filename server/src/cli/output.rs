//! The end of a command: its result on standard output, a failure on standard error, and
//! the exit code. Knows no command.

use std::fmt::Display;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

/// The exit code of a command with a negative result, and of a daemon that failed.
const FAILED: u8 = 1;

/// The exit code of a command that checked, asked or served nothing.
const CANNOT_RUN: u8 = 2;

/// The end of a command.
pub(crate) type Outcome = Result<(), Failure>;

/// An end without success, to be reported once by [`exit_code`].
#[derive(Debug)]
pub(crate) struct Failure {
    exit_code: u8,
    /// One line for standard error. `None`: standard output or the log has the reason.
    message: Option<String>,
}

/// Reports a failure, and returns the exit code of the process.
pub(crate) fn exit_code(outcome: Outcome) -> ExitCode {
    let Err(Failure { exit_code, message }) = outcome else { return ExitCode::SUCCESS };
    if let Some(message) = message {
        print_error(&message);
    }
    ExitCode::from(exit_code)
}

/// Prints a line to standard error, behind the name of the program. Never fails: if
/// standard error is closed, the exit code is still there.
pub(crate) fn print_error(message: &str) {
    let _ = writeln!(io::stderr(), "presence-router: {message}");
}

/// Prints a text to standard output.
///
/// # Errors
///
/// As [`print_with`].
pub(crate) fn print_text(text: &str) -> Outcome {
    print_with(|out| out.write_all(text.as_bytes()))
}

/// Prints the output of a function to standard output.
///
/// A closed pipe is no failure. In `presence-router schema | head`, `head` ends as soon as
/// it has its lines; Rust's runtime ignores SIGPIPE, so the next write fails instead of
/// ending this process. The reader has enough, and the exit code is the same as without
/// the pipe. `print!` would panic on the closed pipe, so no command uses it.
///
/// # Errors
///
/// Writing to standard output failed for another reason, such as a full disk.
pub(crate) fn print_with(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Outcome {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::cannot_run(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

// === impl Failure ===

impl Failure {
    /// A negative result, or a failure while serving, with a line about it.
    pub(crate) fn failed(message: impl Display) -> Self {
        Self { exit_code: FAILED, message: Some(message.to_string()) }
    }

    /// As [`Failure::failed`], if standard output or the log has the reason.
    pub(crate) fn failed_silently() -> Self {
        Self { exit_code: FAILED, message: None }
    }

    /// Nothing was checked, asked or served, for this reason.
    pub(crate) fn cannot_run(message: impl Display) -> Self {
        Self { exit_code: CANNOT_RUN, message: Some(message.to_string()) }
    }

    /// As [`Failure::cannot_run`], if the log has the reason.
    pub(crate) fn cannot_run_silently() -> Self {
        Self { exit_code: CANNOT_RUN, message: None }
    }
}
