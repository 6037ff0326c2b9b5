//! Loads the policy again: on a signal, when its files have changed, and after a load
//! that failed for a reason that may pass.
//!
//! A change is loaded once the files are complete, see [`settling`](crate::source::settling).
//! Where the system announces nothing, a look at the files every [`LOOK_EVERY`] finds it.
//! A signal does not wait: whoever sends one says that the files are as they are to be.

mod report;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use tracing::{debug, error, info, warn};

use self::report::Reporter;
use crate::config::LogFormat;
use crate::live::{Live, LoadError, LoadOptions};
use crate::source::inbox::{Changes, Inbox};
use crate::source::settling::{STABLE, Settling, Step};
use crate::source::stamp::{Fingerprint, SeenFile, Stamp};
use crate::source::watcher::{Watcher, deciding_entries};

/// How often the files are looked at for changes that the system does not announce.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long an announcement may be on its way while a load asks whether somebody writes
/// to a file that it has read.
const ANNOUNCEMENT: Duration = Duration::from_millis(50);

/// The first pause after a load that failed for a reason that may pass, and the longest:
/// each is twice the one before it.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Some change, nobody knows which.
const ANYTHING: Changes = Changes { by_path: BTreeMap::new(), unknown: true };

/// Why the policy is loaded again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trigger {
    /// Somebody asked for it.
    Signal,
    /// The files have changed, or the load before failed for a reason that may pass.
    Files,
}

/// The task that loads the policy again.
#[derive(Debug)]
pub struct Reloader {
    live: Arc<Live>,
    reporter: Reporter,
    inbox: Inbox,
    /// `None`: the files are not watched.
    watcher: Option<Arc<Mutex<Watcher>>>,
    settling: Settling,
    /// What the log last said about watching.
    watched: Option<Result<(), String>>,
    loads: watch::Receiver<Vec<SeenFile>>,
    /// When to load again after a load that failed for a reason that may pass.
    retry: Option<Instant>,
    /// The pause before that, or before the latest such load.
    pause: Duration,
    /// A look at the files that is under way. On a network file system it may hang.
    look: Option<JoinHandle<Vec<PathBuf>>>,
}

// === impl Reloader ===

impl Reloader {
    /// For the files of the active policy. Watches them if `watch`, and if there are any.
    /// `format` is that of the log.
    pub fn new(live: Arc<Live>, watch: bool, format: LogFormat) -> Self {
        let loads = live.files();
        let inbox = Inbox::default();
        let watched = watch && !loads.borrow().is_empty();
        let watcher = watched.then(|| Arc::new(Mutex::new(Watcher::new(inbox.clone()))));
        Self {
            live,
            reporter: Reporter::new(format),
            inbox,
            watcher,
            settling: Settling::default(),
            watched: None,
            loads,
            retry: None,
            pause: Duration::ZERO,
            look: None,
        }
    }

    /// Serves until it is dropped. `asked` is notified by whoever wants a load now;
    /// however often that is during a load, one more load follows it.
    pub async fn run(mut self, asked: Arc<Notify>) {
        let mut looks = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.watch_files().await;
        loop {
            let due = match self.settling.next_step(Instant::now()) {
                Step::Idle => None,
                Step::Wait(until) => Some(until),
                Step::Compare => {
                    let contents = self.read_contents().await;
                    self.settling.note(self.inbox.take(), Instant::now());
                    self.settling.compare(contents, Instant::now());
                    continue;
                }
                Step::Report(files) => {
                    warn!(
                        files = list(&files),
                        "the policy's files are still being written; the active policy stays \
                         until they are closed, or stay the same for {STABLE:?}"
                    );
                    continue;
                }
                Step::Load(unclosed) => {
                    self.load_changed_files(&unclosed).await;
                    continue;
                }
            };
            tokio::select! {
                () = asked.notified() => self.load(Trigger::Signal).await,
                changes = self.inbox.changed() => self.note(changes),
                Ok(()) = self.loads.changed() => {
                    self.watch_files().await;
                    self.schedule_retry();
                }
                _ = looks.tick(), if self.watcher.is_some() && self.look.is_none() => {
                    self.begin_look();
                }
                different = finished(&mut self.look) => self.note_differences(different),
                () = at(due) => {}
                () = at(self.retry) => {
                    self.retry = None;
                    self.settling.note(ANYTHING, Instant::now());
                }
            }
        }
    }

    fn note(&mut self, changes: Changes) {
        debug!(?changes, "the policy's files change");
        self.settling.note(changes, Instant::now());
        if self.settling.is_unfinished() {
            debug!("a file of the policy is being written: waiting until it is closed");
        }
    }

    /// Loads files that are complete, unless another look says that some are not.
    async fn load_changed_files(&mut self, unclosed: &[PathBuf]) {
        let different = self.different_files();
        let different = tokio::task::spawn_blocking(different).await.unwrap_or_default();
        self.settling.note(self.inbox.take(), Instant::now());
        self.note_differences(different);
        if !matches!(self.settling.next_step(Instant::now()), Step::Load(_)) {
            return;
        }
        if !unclosed.is_empty() {
            warn!(
                files = list(unclosed),
                "files of the policy were written and never closed; they have stayed the same for \
                 {STABLE:?} and count as complete"
            );
        }
        self.load(Trigger::Files).await;
    }

    /// Loads, and says in the log what came of it.
    async fn load(&mut self, trigger: Trigger) {
        // First, so that no change is missed that is made while it loads.
        self.watch_files().await;
        self.settling.clear();
        let (live, inbox) = (Arc::clone(&self.live), self.inbox.clone());
        let load = tokio::task::spawn_blocking(move || match trigger {
            Trigger::Signal => live.reload(LoadOptions::AT_ONCE),
            Trigger::Files => live.reload(LoadOptions {
                were_complete: &|files| were_complete(files, &inbox),
                ..LoadOptions::AT_ONCE
            }),
        });
        let progress = self.live.progress().clone();
        match progress.log_during(load).await {
            Ok(Err(error)) if matches!(*error, LoadError::Incomplete) => {
                debug!("the policy's files were being written while they were read");
                self.settling.note(ANYTHING, Instant::now());
            }
            Ok(loaded) => self.reporter.report(&self.live, trigger == Trigger::Signal, &loaded),
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
        let may_pass = self.live.failed().borrow().as_ref().is_some_and(|failed| failed.may_pass);
        if !may_pass {
            (self.retry, self.pause) = (None, Duration::ZERO);
            return;
        }
        let (first, longest) = RETRY;
        if self.pause.is_zero() {
            info!(
                "the policy will be loaded again and again until that succeeds or says something else"
            );
        }
        self.pause = (self.pause * 2).clamp(first, longest);
        self.retry = Some(Instant::now() + self.pause);
    }

    /// Watches the files of the latest load, whoever asked for it.
    async fn watch_files(&mut self) {
        let Some(watcher) = &self.watcher else { return };
        let files: Vec<PathBuf> =
            self.loads.borrow().iter().map(|file| file.path.clone()).collect();
        let (watcher, count) = (Arc::clone(watcher), files.len());
        let followed = tokio::task::spawn_blocking(move || {
            // Poison is no harm: a watch that was not replaced is still one.
            watcher.lock().unwrap_or_else(PoisonError::into_inner).follow(&files)
        });
        let watched = followed.await.unwrap_or_else(|panic| Err(panic.to_string()));
        if self.watched.as_ref() != Some(&watched) {
            match &watched {
                Ok(()) => info!(files = count, "watching the policy for changes"),
                Err(reason) => warn!(
                    reason,
                    files = count,
                    "looking at the policy every {LOOK_EVERY:?} for changes, since not all of \
                     them are announced"
                ),
            }
            self.watched = Some(watched);
        }
    }

    fn begin_look(&mut self) {
        self.look = Some(tokio::task::spawn_blocking(self.different_files()));
    }

    /// A look at the files: finds those that are not as they were last read.
    fn different_files(&self) -> impl FnOnce() -> Vec<PathBuf> + Send + 'static {
        let files = self.loads.borrow().clone();
        let watched = self.watcher.is_some();
        move || {
            let changed = files.into_iter().filter(|file| watched && file.has_changed());
            changed.map(|file| file.path).collect()
        }
    }

    fn note_differences(&mut self, different: Vec<PathBuf>) {
        for file in different {
            let entries = deciding_entries(&file);
            self.settling.note_difference(&file, entries, Instant::now());
        }
    }

    async fn read_contents(&self) -> Fingerprint {
        let files: Vec<PathBuf> =
            self.loads.borrow().iter().map(|file| file.path.clone()).collect();
        debug!("comparing the policy's files with what they were");
        let read = tokio::task::spawn_blocking(|| Fingerprint::read(files));
        read.await.unwrap_or_else(|_| Fingerprint::read([]))
    }
}

/// Whether nobody was writing to files while they were read.
fn were_complete(files: &[SeenFile], inbox: &Inbox) -> bool {
    !inbox.any_unfinished_within(ANNOUNCEMENT)
        && !files.iter().any(|file| Stamp::of_path(&file.path).is_rewritten_since(&file.stamp))
}

/// Waits until a time; for ever without one.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Waits for a look at the files, and takes it out; for ever without one.
async fn finished(look: &mut Option<JoinHandle<Vec<PathBuf>>>) -> Vec<PathBuf> {
    match look {
        Some(handle) => {
            let different = handle.await.unwrap_or_default();
            *look = None;
            different
        }
        None => std::future::pending().await,
    }
}

fn list(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::source::inbox::Change;

    #[test]
    fn what_somebody_wrote_to_meanwhile_was_not_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        std::fs::write(&path, "one").unwrap();
        let read = [SeenFile::look_at(path.clone())];
        let inbox = Inbox::default();
        assert!(were_complete(&read, &inbox));

        // Another file in its place was complete, and so was the one that was read.
        std::fs::write(dir.path().join("next"), "two").unwrap();
        std::fs::rename(dir.path().join("next"), &path).unwrap();
        assert!(were_complete(&read, &inbox));

        let read = [SeenFile::look_at(path.clone())];
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();
        assert!(!were_complete(&read, &inbox), "without a word from the system");

        let read = [SeenFile::look_at(path.clone())];
        inbox.put(path.clone(), Change::Unfinished);
        assert!(!were_complete(&read, &inbox));
        inbox.put(path, Change::Complete);
        assert!(were_complete(&read, &inbox));
    }
}
