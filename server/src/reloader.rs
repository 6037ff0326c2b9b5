//! Loads the policy again: on a signal, when its files have changed, and after a load
//! that failed for a reason that may pass.
//!
//! A change is loaded once the files are complete, see [`settling`](crate::source::settling).
//! Where the system announces nothing, a poll of the files finds it.
//! A signal does not wait: whoever sends one says that the files are as they are to be.

mod completeness;
mod file_watch;
mod poll;
mod report;
mod retry;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};
use tracing::{debug, error, warn};

use self::completeness::were_complete;
use self::file_watch::FileWatch;
use self::poll::{POLL_INTERVAL, Poll, changed_files};
use self::report::{LoadReason, LoadReport, Reporter};
use self::retry::Retry;
use crate::live::{Live, LoadError, LoadOptions};
use crate::logging::LogFormat;
use crate::source::inbox::{Changes, Inbox};
use crate::source::links::deciding_entries;
use crate::source::settling::{STABLE, Settling, Step};
use crate::source::stamp::{Fingerprint, SeenFile};

/// Some change, nobody knows which.
const ANYTHING: Changes = Changes { by_path: BTreeMap::new(), unknown: true };

/// What the reloader waits for.
#[derive(Debug)]
enum Trigger {
    /// Somebody asks for a load by SIGHUP.
    Signal,
    /// The system announces changes of the files.
    FilesChanged(Changes),
    /// A call of `ReloadPolicy` has loaded the policy.
    LoadedElsewhere,
    /// It is time to poll the files.
    PollDue,
    /// A poll has found these files changed.
    PollFinished(Vec<PathBuf>),
    /// It is time to see whether the files are complete.
    StepDue,
    /// It is time to try again.
    RetryDue,
}

/// The task that loads the policy again.
#[derive(Debug)]
pub struct Reloader {
    live: Arc<Live>,
    reporter: Reporter,
    inbox: Inbox,
    file_watch: FileWatch,
    settling: Settling,
    /// The files of the latest load, whoever asked for it.
    loads: watch::Receiver<Vec<SeenFile>>,
    retry: Retry,
    poll: Poll,
}

// === impl Reloader ===

impl Reloader {
    /// For the files of the active policy. Watches them if `watch`, and if there are any.
    /// `format` is that of the log.
    pub fn new(live: Arc<Live>, watch: bool, format: LogFormat) -> Self {
        let loads = live.files();
        let inbox = Inbox::default();
        let file_watch = if watch && !loads.borrow().is_empty() {
            FileWatch::start(inbox.clone())
        } else {
            FileWatch::none()
        };
        Self {
            live,
            reporter: Reporter::new(format),
            inbox,
            file_watch,
            settling: Settling::default(),
            loads,
            retry: Retry::default(),
            poll: Poll::default(),
        }
    }

    /// Serves until it is dropped. `hangup` asks for a load now; however often it comes
    /// during a load, one more load follows.
    pub async fn run(mut self, mut hangup: Signal) {
        let mut poll_times = interval_at(Instant::now() + POLL_INTERVAL, POLL_INTERVAL);
        poll_times.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.watch_files().await;
        loop {
            let due = self.take_due_steps().await;
            match self.next_trigger(&mut hangup, &mut poll_times, due).await {
                Trigger::Signal => self.load(LoadReason::Signal).await,
                Trigger::FilesChanged(changes) => self.note_changes(changes),
                Trigger::LoadedElsewhere => {
                    self.watch_files().await;
                    self.schedule_retry();
                }
                Trigger::PollDue => self.poll.begin(self.files()),
                Trigger::PollFinished(different) => self.note_differences(different),
                Trigger::StepDue => {}
                Trigger::RetryDue => {
                    self.retry.begin();
                    self.settling.note_changes(ANYTHING, Instant::now());
                }
            }
        }
    }

    /// Takes the steps that are due until changed files are complete, and loads them then.
    /// Returns when the next step is due, if one is.
    async fn take_due_steps(&mut self) -> Option<Instant> {
        loop {
            match self.settling.next_step(Instant::now()) {
                Step::Idle => return None,
                Step::Wait(until) => return Some(until),
                Step::Compare => {
                    let contents = self.read_contents().await;
                    self.settling.note_changes(self.inbox.take(), Instant::now());
                    self.settling.compare_contents(contents, Instant::now());
                }
                Step::Report(files) => {
                    warn!(
                        files = join_paths(&files),
                        "the policy's files are still being written; the active policy stays \
                         until they are closed, or stay the same for {STABLE:?}"
                    );
                }
                Step::Load(unclosed) => self.load_changed_files(&unclosed).await,
            }
        }
    }

    async fn next_trigger(
        &mut self,
        hangup: &mut Signal,
        poll_times: &mut Interval,
        due: Option<Instant>,
    ) -> Trigger {
        tokio::select! {
            Some(()) = hangup.recv() => Trigger::Signal,
            changes = self.inbox.changed() => Trigger::FilesChanged(changes),
            Ok(()) = self.loads.changed() => Trigger::LoadedElsewhere,
            _ = poll_times.tick(), if self.file_watch.is_on() && !self.poll.is_under_way() => {
                Trigger::PollDue
            }
            different = self.poll.finished() => Trigger::PollFinished(different),
            () = wait_until(due) => Trigger::StepDue,
            () = wait_until(self.retry.due()) => Trigger::RetryDue,
        }
    }

    fn note_changes(&mut self, changes: Changes) {
        debug!(?changes, "the policy's files change");
        self.settling.note_changes(changes, Instant::now());
        if self.settling.is_unfinished() {
            debug!("a file of the policy is being written: waiting until it is closed");
        }
    }

    fn note_differences(&mut self, different: Vec<PathBuf>) {
        for file in different {
            let entries = deciding_entries(&file);
            self.settling.note_difference(&file, entries, Instant::now());
        }
    }

    /// Loads files that are complete, unless another look says that some are not.
    async fn load_changed_files(&mut self, unclosed: &[PathBuf]) {
        let files = if self.file_watch.is_on() { self.files() } else { Vec::new() };
        let different = tokio::task::spawn_blocking(|| changed_files(files)).await;
        self.settling.note_changes(self.inbox.take(), Instant::now());
        self.note_differences(different.unwrap_or_default());
        if !matches!(self.settling.next_step(Instant::now()), Step::Load(_)) {
            return;
        }
        if !unclosed.is_empty() {
            warn!(
                files = join_paths(unclosed),
                "files of the policy were written and never closed; they have stayed the same for \
                 {STABLE:?} and count as complete"
            );
        }
        self.load(LoadReason::Files).await;
    }

    /// Loads, and says in the log what came of it.
    async fn load(&mut self, reason: LoadReason) {
        // First, so that no change is missed that is made while it loads.
        self.watch_files().await;
        self.settling.clear();
        let (live, inbox) = (Arc::clone(&self.live), self.inbox.clone());
        let load = tokio::task::spawn_blocking(move || match reason {
            LoadReason::Signal => live.reload(LoadOptions::AT_ONCE),
            LoadReason::Files => live.reload(LoadOptions {
                were_complete: &|files| were_complete(files, &inbox),
                ..LoadOptions::AT_ONCE
            }),
        });
        let progress = self.live.progress().clone();
        match progress.log_during(load).await {
            Ok(Err(error)) if matches!(*error, LoadError::Incomplete) => {
                debug!("the policy's files were being written while they were read");
                self.settling.note_changes(ANYTHING, Instant::now());
            }
            Ok(loaded) => self.reporter.report(&self.live, &LoadReport { reason, loaded }),
            Err(panic) => {
                error!(%panic, "loading the policy failed; the previous one stays active")
            }
        }
        self.loads.mark_unchanged();
        self.watch_files().await;
        self.schedule_retry();
    }

    /// Plans another load after one that failed for a reason that may pass.
    fn schedule_retry(&mut self) {
        let failed = self.live.failed_load();
        let may_pass = failed.borrow().as_ref().is_some_and(|failed| failed.may_pass);
        self.retry.schedule(may_pass);
    }

    /// Watches the files of the latest load, whoever asked for it.
    async fn watch_files(&mut self) {
        let paths = self.paths();
        self.file_watch.follow(paths).await;
    }

    async fn read_contents(&self) -> Fingerprint {
        let files = self.paths();
        debug!("comparing the policy's files with what they were");
        let read = tokio::task::spawn_blocking(|| Fingerprint::read(files));
        read.await.unwrap_or_else(|_| Fingerprint::read([]))
    }

    fn files(&self) -> Vec<SeenFile> {
        self.loads.borrow().clone()
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.loads.borrow().iter().map(|file| file.path.clone()).collect()
    }
}

/// Waits until a time; for ever without one.
async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn join_paths(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}
