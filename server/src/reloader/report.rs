//! Says in the log what came of a load: everything of one that somebody asked for, and
//! of others only news.

use std::sync::Arc;

use tracing::{error, info};

use crate::live::{Live, LoadError, Loaded, Source};
use crate::logging::LogFormat;
use crate::source::digest::Digest;
use crate::source::files;

/// Why the policy is loaded again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoadReason {
    /// Somebody asked for it.
    Signal,
    /// The files have changed, or the load before failed for a reason that may pass.
    Files,
}

/// What came of a load.
#[derive(Debug)]
pub(super) struct LoadReport {
    pub(super) reason: LoadReason,
    pub(super) loaded: Result<Loaded, Arc<LoadError>>,
}

/// What the log last said.
#[derive(Debug)]
pub(super) struct Reporter {
    format: LogFormat,
    failure: Option<Failure>,
}

/// A load that failed. Reported once for each text and each message.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    text: Digest,
    message: String,
}

// === impl Reporter ===

impl Reporter {
    /// Of a log in this format.
    pub(super) fn new(format: LogFormat) -> Self {
        Self { format, failure: None }
    }

    /// Reports a load.
    pub(super) fn report(&mut self, live: &Live, LoadReport { reason, loaded }: &LoadReport) {
        let failure = loaded.as_ref().err().map(|error| Failure::new(live, error));
        // Whoever sends a signal waits for the line.
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
                // A record for each, so that none is glued to what stands after it.
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
        Self { text: Digest::of(&text), message: error.to_string() }
    }
}
