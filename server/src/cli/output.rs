//! How commands end: the result on standard output, a failure on standard error, and the
//! exit code. Knows no command.

use std::fmt::Display;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

/// The exit code of a command that found what should not be, and of a daemon that failed.
const FAILED: u8 = 1;

/// The exit code when nothing was checked, asked or served.
const CANNOT_RUN: u8 = 2;

/// The end of a command.
pub(crate) type Outcome = Result<(), Failure>;

/// An end without success, to be reported once by [`exit_code`].
#[derive(Debug)]
pub(crate) struct Failure {
    exit_code: u8,
    /// One line for standard error, unless the reason stands elsewhere already.
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

/// Prints a line to standard error, under the name of the program. Never fails: where
/// standard error is closed, the exit code still tells.
pub(crate) fn print_error(message: &str) {
    let _ = writeln!(io::stderr(), "presence-router: {message}");
}

/// Prints a text to standard output.
///
/// # Errors
///
/// As [`print_with`].
pub(crate) fn print(text: &str) -> Outcome {
    print_with(|out| out.write_all(text.as_bytes()))
}

/// Prints to standard output by a function.
///
/// A closed pipe is no failure. In `presence-router schema | head`, `head` ends as soon as
/// it has its lines; Rust's runtime ignores SIGPIPE, so the next write fails instead of
/// ending this process. The reader has what it wanted, and the command goes on to the exit
/// code that it would have had. `print!` would panic there, and is used nowhere.
///
/// # Errors
///
/// Standard output cannot be written for another reason, such as a full disk.
pub(crate) fn print_with(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Outcome {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::cannot_run(format!("cannot write: {error}")))
        }
        _ => Ok(()),
    }
}

// === impl Failure ===

impl Failure {
    /// The command found what should not be.
    pub(crate) fn failed(message: impl Display) -> Self {
        Self { exit_code: FAILED, message: Some(message.to_string()) }
    }

    /// As [`Failure::failed`], where standard output or the log has the reason.
    pub(crate) fn failed_silently() -> Self {
        Self { exit_code: FAILED, message: None }
    }

    /// Nothing was checked, asked or served.
    pub(crate) fn cannot_run(message: impl Display) -> Self {
        Self { exit_code: CANNOT_RUN, message: Some(message.to_string()) }
    }

    /// As [`Failure::cannot_run`], where the log has the reason.
    pub(crate) fn cannot_run_silently() -> Self {
        Self { exit_code: CANNOT_RUN, message: None }
    }
}
