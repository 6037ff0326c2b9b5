//! Log lines about the result of a load. A load on a signal always gets a line; other loads
//! get a line only if their result is new.

use std::sync::Arc;

use tracing::{error, info};

use crate::live::{Live, LoadError, Loaded, Source};
use crate::logging::LogFormat;
use crate::source::digest::Digest;
use crate::source::files;

/// The reason for another load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoadReason {
    /// An operator sent SIGHUP.
    Signal,
    /// The files changed, or the load before failed for a reason that may pass.
    Files,
}

/// A load and its result.
#[derive(Debug)]
pub(super) struct LoadReport {
    pub(super) reason: LoadReason,
    pub(super) loaded: Result<Loaded, Arc<LoadError>>,
}

/// Logs the results of loads, and remembers the latest failure in the log.
#[derive(Debug)]
pub(super) struct Reporter {
    format: LogFormat,
    failure: Option<Failure>,
}

/// A failed load. The log gets one report for each combination of text and message.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    text: Digest,
    message: String,
}

// === impl Reporter ===

impl Reporter {
    /// Creates a reporter for a log in this format.
    pub(super) fn new(format: LogFormat) -> Self {
        Self { format, failure: None }
    }

    /// Reports a load.
    pub(super) fn report(&mut self, live: &Live, LoadReport { reason, loaded }: &LoadReport) {
        let failure = loaded.as_ref().err().map(|error| Failure::new(live, error));
        // The sender of a signal waits for the line.
        let is_news = *reason == LoadReason::Signal || failure != self.failure;
        self.failure = failure;
        let policy = live.source();
        match loaded {
            Ok(Loaded::Replaced(revision, differences)) => {
                info!(%policy, %revision, "policy loaded: {differences}");
            }
            Ok(Loaded::Unchanged(revision)) if is_news => {
                info!(%policy, %revision, "policy is unchanged");
            }
            Err(problem) if is_news => self.report_rejected(live, problem),
            Ok(Loaded::Unchanged(_)) | Err(_) => {}
        }
    }

    fn report_rejected(&self, live: &Live, problem: &LoadError) {
        let (policy, revision) = (live.source(), live.current().revision);
        match self.format {
            LogFormat::Json => {
                let problems = problem.problems_as_json(&policy.to_string());
                error!(%policy, %revision, problems, "policy rejected; the previous one stays active");
            }
            LogFormat::Plain => {
                error!(%policy, %revision, "policy rejected; the previous one stays active");
                // One record per line, so that no line runs into the next record.
                for line in problem.to_string().lines() {
                    error!("{line}");
                }
            }
        }
    }
}

// === impl Failure ===

impl Failure {
    fn new(live: &Live, error: &LoadError) -> Self {
        let text = match live.source() {
            Source::File(path) => {
                files::read_regular(path).map(|(text, _)| text).unwrap_or_default()
            }
            Source::Example => Vec::new(),
        };
        Self { text: Digest::of_text(&text), message: error.to_string() }
    }
}
