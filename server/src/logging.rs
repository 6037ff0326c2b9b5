//! The daemon's log. `tracing-subscriber` formats the lines, and a separate thread behind a
//! bounded [`queue`] writes them to standard error.
//!
//! Therefore no task that serves callers waits for standard error: not for a slow reader, not
//! for a reader that is gone, and not when a task panics. If the queue is full, the log drops
//! lines about calls; it keeps warnings, errors and refusals, up to a higher bound, and
//! writes a line with the number of dropped lines. [`flush`] writes all waiting lines at the
//! end of the process.
//!
//! `tracing-appender` has such a thread too, but cannot distinguish lines: its queue drops an
//! error as readily as a call.

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

/// The default filter.
pub const DEFAULT_FILTER: &str = "info,h2=error";

/// The target of lines that the log may drop when its reader is slow: successful calls and
/// ended streams. Operators filter by this target, so that it is part of the daemon's
/// interface. The log keeps lines of the targets below this one.
pub const CALLS: &str = "presence_router::calls";

/// The longest wait for the log's reader at the end of the process.
const FLUSH: Duration = Duration::from_secs(10);

/// The longest part of this wait in which the reader reads nothing.
const FLUSH_STALLED: Duration = Duration::from_secs(2);

/// The longest wait for the log's reader when the process must end at once.
const FLUSH_AT_ONCE: Duration = Duration::from_millis(500);

/// The log of this process, after its start.
static LOG: OnceLock<Arc<Queue>> = OnceLock::new();

/// The format of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    #[default]
    Plain,

    /// One JSON object on each line.
    Json,
}

/// The reason for which the log cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The text is not a filter.
    #[error("{0}")]
    Filter(String),

    /// The operating system refused a descriptor or a thread.
    #[error("cannot write the log to standard error: {0}")]
    System(#[from] io::Error),

    /// The process has a log already.
    #[error("the log was started already")]
    Repeated,
}

/// Starts the log of this process. From then on, the log contains panics, too.
///
/// # Errors
///
/// The filter is invalid, or the system refuses a descriptor or a thread.
pub fn start(format: LogFormat, filter: &str) -> Result<(), LogError> {
    let filter = filter::parse(filter).map_err(LogError::Filter)?;
    // A descriptor of its own: a thread that holds the lock of `io::stderr` while standard
    // error is full would block all other writers.
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
        // The subscriber would write its own errors to standard error directly, and wait.
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
/// The text is not a filter. The message describes valid filters.
pub fn check_filter(text: &str) -> Result<(), String> {
    filter::parse(text).map(drop)
}

/// Writes a line without any formatting, after all lines before it.
pub fn write_line(line: &str) {
    if let Some(queue) = LOG.get() {
        queue.push(Importance::Kept, format!("{line}\n").as_bytes());
    }
}

/// Waits until all lines are written, for ten seconds at most: without a reader, the remaining
/// lines are lost.
pub fn flush() {
    if let Some(queue) = LOG.get() {
        queue.flush(FLUSH, FLUSH_STALLED);
    }
}

/// Waits like [`flush`], but briefly, for a process that must end at once.
pub fn flush_at_once() {
    if let Some(queue) = LOG.get() {
        queue.flush(FLUSH_AT_ONCE, FLUSH_AT_ONCE);
    }
}

/// Logs a panic. The standard library's own hook would write to standard error directly, and
/// wait.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("a value that is not text");
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
        // Capturing this thread is enough, since the hook runs on the thread that panics.
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
