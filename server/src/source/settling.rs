//! Decides when changed files are complete, so that they may be read.
//!
//! A file that its writer has closed, and one that another file was renamed to, are
//! complete. A file that was only written to may be half of what it is to be, and half
//! a list of users whom a rule denies is a leak. Such a file is waited for; if it is
//! never closed, or if the system announced nothing of the change (as network file
//! systems do), it counts as complete once its content has stayed the same for
//! [`STABLE`].
//!
//! Pure: the caller brings the time, the changes and the contents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::inbox::{Change, Changes};
use super::stamp::Fingerprint;

/// How long nothing must happen: an editor takes several steps to save a file.
pub const QUIET: Duration = Duration::from_millis(250);

/// Longest wait for that. Somebody who replaces complete files all the time gets a load
/// now and then.
pub const MAX_WAIT: Duration = Duration::from_secs(2);

/// How long a file that nobody closed must stay the same before it counts as complete.
pub const STABLE: Duration = Duration::from_secs(10);

/// When a wait for a file is worth a line in the log: later than one that ends after
/// [`STABLE`].
const OVERDUE: Duration = Duration::from_secs(15);

/// Changes that wait to be read.
#[derive(Debug, Default)]
pub struct Settling(Option<Round>);

/// From the first change to the read that takes them all.
#[derive(Debug)]
struct Round {
    first: Instant,
    last: Instant,
    /// Paths that were announced to have changed.
    announced: BTreeSet<PathBuf>,
    /// Files that somebody writes to and has not closed.
    unfinished: BTreeSet<PathBuf>,
    /// Files that changed without an announcement, and the paths that would have been
    /// in it.
    silent: BTreeMap<PathBuf, Vec<PathBuf>>,
    /// The latest contents, and since when they are the same.
    contents: Option<(Fingerprint, Instant)>,
    /// Whether these contents count as complete.
    stable: bool,
    /// Whether the log has a line about the wait.
    reported: bool,
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing has changed.
    Idle,

    /// Ask again at this time, or after another change.
    Wait(Instant),

    /// Read the contents of all files, and hand them to [`Settling::compare_contents`].
    Compare,

    /// Report that the wait takes long. Said once.
    Report(Vec<PathBuf>),

    /// Read the files. The paths are of those that were never closed, and count as
    /// complete because they stayed the same for [`STABLE`].
    Load(Vec<PathBuf>),
}

// === impl Settling ===

impl Settling {
    /// Takes changes that the system announced.
    pub fn note_changes(&mut self, changes: Changes, now: Instant) {
        if changes == Changes::default() {
            return;
        }
        let round = self.0.get_or_insert_with(|| Round::begin(now));
        round.restart_quiet(now);
        for (path, change) in changes.by_path {
            match change {
                Change::Unfinished => _ = round.unfinished.insert(path.clone()),
                Change::Complete => _ = round.unfinished.remove(&path),
                Change::Touched => {}
            }
            round.silent.retain(|_, decided_by| !decided_by.contains(&path));
            round.announced.insert(path);
        }
    }

    /// Takes that a file is not as it was last read. `decided_by`: the paths that the
    /// system names when it announces a change of the file. Where it has done that, this
    /// says nothing new. A change of a directory above explains nothing: somebody may be
    /// filling a new one.
    pub fn note_difference(&mut self, file: &Path, decided_by: Vec<PathBuf>, now: Instant) {
        let announced = self
            .0
            .as_ref()
            .is_some_and(|round| decided_by.iter().any(|path| round.announced.contains(path)));
        let known = self.0.as_ref().is_some_and(|round| round.silent.contains_key(file));
        if announced || known {
            return;
        }
        let round = self.0.get_or_insert_with(|| Round::begin(now));
        round.restart_quiet(now);
        round.silent.insert(file.to_owned(), decided_by);
    }

    /// Takes the contents of all files.
    pub fn compare_contents(&mut self, contents: Fingerprint, now: Instant) {
        let Some(round) = &mut self.0 else { return };
        match &round.contents {
            Some((before, since)) if *before == contents => round.stable = *since + STABLE <= now,
            _ => round.contents = Some((contents, now)),
        }
    }

    /// Says what to do now.
    pub fn next_step(&mut self, now: Instant) -> Step {
        let Some(round) = &mut self.0 else { return Step::Idle };
        let quiet = round.last + QUIET;
        if round.unfinished.is_empty() && round.silent.is_empty() {
            let due = quiet.min(round.first + MAX_WAIT);
            return if due <= now { Step::Load(Vec::new()) } else { Step::Wait(due) };
        }
        if round.stable {
            return Step::Load(round.unfinished.iter().cloned().collect());
        }
        let overdue = round.first + OVERDUE;
        if !round.reported && overdue <= now {
            round.reported = true;
            let silent = round.silent.keys();
            return Step::Report(round.unfinished.iter().chain(silent).cloned().collect());
        }
        let due = round.contents.as_ref().map_or(quiet, |(_, since)| *since + STABLE);
        match due <= now {
            true => Step::Compare,
            false if round.reported => Step::Wait(due),
            false => Step::Wait(due.min(overdue)),
        }
    }

    /// Whether a file is unfinished, as far as anybody said.
    pub fn is_unfinished(&self) -> bool {
        self.0.as_ref().is_some_and(|round| !round.stable && !round.unfinished.is_empty())
    }

    /// Forgets the changes: they were read.
    pub fn clear(&mut self) {
        self.0 = None;
    }
}

// === impl Round ===

impl Round {
    fn begin(now: Instant) -> Self {
        Self {
            first: now,
            last: now,
            announced: BTreeSet::new(),
            unfinished: BTreeSet::new(),
            silent: BTreeMap::new(),
            contents: None,
            stable: false,
            reported: false,
        }
    }

    fn restart_quiet(&mut self, now: Instant) {
        self.last = now;
        self.contents = None;
        self.stable = false;
    }
}

#[cfg(test)]
mod tests;
