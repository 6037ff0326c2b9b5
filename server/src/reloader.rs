//! Loads the policy again: on a signal, after a change of its files, and after a load that
//! failed for a reason that may pass.
//!
//! The reloader loads changed files once they are complete, see
//! [`settling`](crate::source::settling). A poll finds changes that the system does not
//! announce. A load on a signal does not wait, since the sender vouches for the files.

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
use self::poll::{POLL_INTERVAL, Poll, find_changed_files};
use self::report::{LoadReason, LoadReport, Reporter};
use self::retry::Retry;
use crate::live::{Live, LoadError, LoadOptions};
use crate::logging::LogFormat;
use crate::source::inbox::{Changes, Inbox};
use crate::source::links::deciding_entries;
use crate::source::settling::{STABLE, Settling, Step};
use crate::source::stamp::{Fingerprint, SeenFile};

/// An unknown change: any file may have changed.
const ANY_CHANGE: Changes = Changes { by_path: BTreeMap::new(), unknown: true };

/// An event that the reloader acts on.
#[derive(Debug)]
enum Trigger {
    /// SIGHUP asks for a load.
    Signal,
    /// The system announced changes of the files.
    FilesChanged(Changes),
    /// A call of `ReloadPolicy` has loaded the policy.
    LoadedElsewhere,
    /// The next poll of the files is due.
    PollDue,
    /// A poll has finished, and found that these files changed.
    PollFinished(Vec<PathBuf>),
    /// The next check for complete files is due.
    StepDue,
    /// The next try after a failed load is due.
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
    /// The files of the latest load, including loads by `ReloadPolicy`.
    loads: watch::Receiver<Vec<SeenFile>>,
    retry: Retry,
    poll: Poll,
}

// === impl Reloader ===

impl Reloader {
    /// Creates a reloader for the files of the active policy. With `watch`, it watches the
    /// files, if there are any. `format` is the format of the log.
    pub fn new(live: Arc<Live>, watch: bool, format: LogFormat) -> Self {
        let loads = live.subscribe_files();
        let inbox = Inbox::default();
        let file_watch = if watch && !loads.borrow().is_empty() {
            FileWatch::start(inbox.clone())
        } else {
            FileWatch::disabled()
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

    /// Reloads the policy on triggers until the future is dropped. `hangup` asks for a load at
    /// once; any number of signals during a load causes one more load.
    pub async fn reload_on_triggers(mut self, mut hangup: Signal) {
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
                Trigger::PollDue => self.poll.begin_poll(self.seen_files()),
                Trigger::PollFinished(different) => self.note_differences(different),
                Trigger::StepDue => {}
                Trigger::RetryDue => {
                    self.retry.begin_try();
                    self.settling.note_changes(ANY_CHANGE, Instant::now());
                }
            }
        }
    }

    /// Takes all steps that are due, and loads changed files once they are complete. Returns
    /// the time of the next step, if there is one.
    async fn take_due_steps(&mut self) -> Option<Instant> {
        loop {
            match self.settling.next_step(Instant::now()) {
                Step::Idle => return None,
                Step::Wait(until) => return Some(until),
                Step::Compare => {
                    let contents = self.read_contents().await;
                    self.settling.note_changes(self.inbox.take_changes(), Instant::now());
                    self.settling.compare_contents(contents, Instant::now());
                }
                Step::Report(files) => {
                    warn!(
                        files = join_paths(&files),
                        "files of the policy are not complete yet; the previous policy stays \
                         active until their writer closes them, or until they stay the same for \
                         {STABLE:?}"
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
            changes = self.inbox.wait_for_changes() => Trigger::FilesChanged(changes),
            Ok(()) = self.loads.changed() => Trigger::LoadedElsewhere,
            _ = poll_times.tick(), if self.file_watch.is_on() && !self.poll.is_running() => {
                Trigger::PollDue
            }
            different = self.poll.changed_files() => Trigger::PollFinished(different),
            () = wait_until(due) => Trigger::StepDue,
            () = wait_until(self.retry.next_try()) => Trigger::RetryDue,
        }
    }

    fn note_changes(&mut self, changes: Changes) {
        debug!(?changes, "the policy's files changed");
        self.settling.note_changes(changes, Instant::now());
        if self.settling.is_unfinished() {
            debug!(
                "another program is writing a file of the policy: waiting until the file is closed"
            );
        }
    }

    fn note_differences(&mut self, different: Vec<PathBuf>) {
        for file in different {
            let entries = deciding_entries(&file);
            self.settling.note_difference(&file, entries, Instant::now());
        }
    }

    /// Loads the changed files, unless a last check finds that some are not complete.
    async fn load_changed_files(&mut self, unclosed: &[PathBuf]) {
        let files = if self.file_watch.is_on() { self.seen_files() } else { Vec::new() };
        let different = tokio::task::spawn_blocking(|| find_changed_files(files)).await;
        self.settling.note_changes(self.inbox.take_changes(), Instant::now());
        self.note_differences(different.unwrap_or_default());
        if !matches!(self.settling.next_step(Instant::now()), Step::Load(_)) {
            return;
        }
        if !unclosed.is_empty() {
            warn!(
                files = join_paths(unclosed),
                "another program wrote files of the policy and never closed them; the daemon loads \
                 them now, since they stayed the same for {STABLE:?}"
            );
        }
        self.load(LoadReason::Files).await;
    }

    /// Loads the policy, and logs the result.
    async fn load(&mut self, reason: LoadReason) {
        // First, so that the watch does not miss a change during the load.
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
                debug!("another program wrote the policy's files while the daemon read them");
                self.settling.note_changes(ANY_CHANGE, Instant::now());
            }
            Ok(loaded) => self.reporter.report(&self.live, &LoadReport { reason, loaded }),
            Err(panic) => {
                error!(
                    %panic,
                    "a fault of the daemon stopped the load; the previous policy stays active"
                );
            }
        }
        self.loads.mark_unchanged();
        self.watch_files().await;
        self.schedule_retry();
    }

    /// Schedules another try after a load that failed for a reason that may pass.
    fn schedule_retry(&mut self) {
        let failed = self.live.subscribe_failed_load();
        let may_pass = failed.borrow().as_ref().is_some_and(|failed| failed.may_pass);
        self.retry.schedule(may_pass);
    }

    /// Watches the files of the latest load, including loads by `ReloadPolicy`.
    async fn watch_files(&mut self) {
        let paths = self.seen_paths();
        self.file_watch.watch_only(paths).await;
    }

    async fn read_contents(&self) -> Fingerprint {
        let files = self.seen_paths();
        debug!("comparing the policy's files with their contents before");
        let read = tokio::task::spawn_blocking(|| Fingerprint::read(files));
        read.await.unwrap_or_else(|_| Fingerprint::read([]))
    }

    fn seen_files(&self) -> Vec<SeenFile> {
        self.loads.borrow().clone()
    }

    fn seen_paths(&self) -> Vec<PathBuf> {
        self.loads.borrow().iter().map(|file| file.path.clone()).collect()
    }
}

/// Waits until a time. Without a time, waits for ever.
async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn join_paths(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}
