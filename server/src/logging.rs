//! The log of the daemon: formatted by `tracing-subscriber`, written to standard
//! error by a thread of its own behind a bounded [`queue`].
//!
//! So nothing that serves callers ever waits for standard error: not for a slow
//! reader, not for one that is gone, and not when a task panics. Lines about calls
//! are left out when the queue is full; warnings, errors and refusals are kept, up
//! to a bound of their own, and a line says how many were left out. [`flush`] makes
//! sure that nothing is lost at the end.
//!
//! `tracing-appender` has such a thread too, but cannot tell one line from another:
//! its queue drops an error as readily as a call.

#[cfg(test)]
pub(crate) mod captured;
mod filter;
mod json;
mod queue;
mod writer;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::ValueEnum;
use tracing::error;
use tracing::field::display;
use tracing_subscriber::fmt::format::JsonFields;

use self::json::JsonLines;
use self::queue::{Importance, Queue};
use self::writer::LineWriters;

/// The filter that holds when nobody sets one.
pub const DEFAULT_FILTER: &str = "info,h2=error";

/// The target of lines that the log may leave out when nobody reads it: calls that
/// succeeded, and streams that ended. Part of the daemon's interface, as operators
/// filter by it; targets below it are for lines about calls that are kept.
pub const CALLS: &str = "presence_router::calls";

/// The longest wait at the end for somebody to read the log: in all, and while
/// nothing of it is read.
const FLUSH: Duration = Duration::from_secs(10);
const FLUSH_STALLED: Duration = Duration::from_secs(2);

/// The same when the process must end at once.
const FLUSH_AT_ONCE: Duration = Duration::from_millis(500);

/// The log of this process, once it was started.
static LOG: OnceLock<Arc<Queue>> = OnceLock::new();

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Plain,

    /// One JSON object a line.
    Json,
}

/// Why the log cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The text is no filter.
    #[error("{0}")]
    Filter(String),

    /// The operating system refused.
    #[error("cannot write the log to standard error: {0}")]
    System(#[from] io::Error),

    /// There is one log in a process.
    #[error("the log was started already")]
    Repeated,
}

/// Starts the log of this process. From then on, panics are lines of it, too.
///
/// # Errors
///
/// The filter is not valid, or the system gives no descriptor or thread.
pub fn start(format: LogFormat, filter: &str) -> Result<(), LogError> {
    let filter = filter::parse(filter).map_err(LogError::Filter)?;
    // A descriptor of its own: whoever holds the lock of `io::stderr` while it is
    // full would stop all others that write to it.
    let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let queue = Arc::new(Queue::default());
    LOG.set(Arc::clone(&queue)).map_err(|_| LogError::Repeated)?;
    let lines = Arc::clone(&queue);
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || writer::write_lines(&lines, stderr))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(LineWriters(queue))
        // It would write to standard error by itself, and wait for it.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Plain => log.init(),
        LogFormat::Json => {
            let lines = JsonLines(tracing_subscriber::fmt::format().json().flatten_event(true));
            log.fmt_fields(JsonFields::new()).event_format(lines).init();
        }
    }
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Checks a filter.
///
/// # Errors
///
/// Says what is valid.
pub fn check_filter(text: &str) -> Result<(), String> {
    filter::parse(text).map(drop)
}

/// Writes a line as it stands, after all that was logged before.
pub fn write_line(line: &str) {
    if let Some(queue) = LOG.get() {
        queue.push(Importance::Kept, format!("{line}\n").as_bytes());
    }
}

/// Waits until all lines are written, but not for ever: if nobody reads them, they
/// are lost.
pub fn flush() {
    if let Some(queue) = LOG.get() {
        queue.flush(FLUSH, FLUSH_STALLED);
    }
}

/// The same for a process that must end at once.
pub fn flush_at_once() {
    if let Some(queue) = LOG.get() {
        queue.flush(FLUSH_AT_ONCE, FLUSH_AT_ONCE);
    }
}

/// A panic as a line of the log. The standard library's own hook would write to
/// standard error, and wait for it.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("a value that is no text");
    let position = panic.location().map(display);
    let thread = std::thread::current();
    let backtrace = Backtrace::capture();
    let backtrace = Some(&backtrace).filter(|trace| trace.status() == BacktraceStatus::Captured);
    error!(
        position,
        thread = thread.name(),
        backtrace = backtrace.map(display),
        "a fault of the daemon, please report it: {message}"
    );
}

#[cfg(test)]
mod tests {
    use super::captured::Captured;
    use super::*;

    #[test]
    fn a_panic_is_a_line_with_its_position() {
        // Of this thread only, as the hook runs on the thread that panics.
        let captured = Captured::start();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(log_panic));
        let _ = std::panic::catch_unwind(|| panic!("seven is {}", 8));
        std::panic::set_hook(before);
        let lines = captured.lines("ERROR");
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert!(line.contains("please report it: seven is 8"), "{line}");
        assert!(line.contains("position=server/src/logging.rs:"), "{line}");
    }
}
