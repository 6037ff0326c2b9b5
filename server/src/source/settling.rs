//! Decides when changed files are complete, so that the daemon may read them.
//!
//! A file is complete when its writer has closed it, or when another file was renamed to its
//! name. A file that is still being written may be incomplete, and half a list of denied users
//! is a leak. The daemon waits for such a file. If no program ever closes it, or if the system
//! did not announce the change (as on network file systems), the file counts as complete once
//! its content has stayed the same for [`STABLE`].
//!
//! This module is pure: the caller supplies the time, the changes and the contents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::inbox::{Change, Changes};
use super::stamp::Fingerprint;

/// The time without changes before a load: an editor saves a file in several steps.
pub const QUIET: Duration = Duration::from_millis(250);

/// Longest wait for [`QUIET`]. If a program replaces complete files all the time, the daemon
/// still loads them from time to time.
pub const MAX_WAIT: Duration = Duration::from_secs(2);

/// The time for which an unclosed file must stay the same before it counts as complete.
pub const STABLE: Duration = Duration::from_secs(10);

/// The wait for a file after which the daemon logs a line. It is longer than [`STABLE`], so
/// that a wait that ends after [`STABLE`] logs nothing.
const OVERDUE: Duration = Duration::from_secs(15);

/// Changed files that the daemon has not read yet.
#[derive(Debug, Default)]
pub struct Settling(Option<Round>);

/// The time from the first change to the read that takes all changes.
#[derive(Debug)]
struct Round {
    first: Instant,
    last: Instant,
    /// Paths whose change the system announced.
    announced: BTreeSet<PathBuf>,
    /// Files that a program writes to and has not closed.
    unfinished: BTreeSet<PathBuf>,
    /// Files that changed without an announcement, each with the paths that an announcement
    /// would have named.
    silent: BTreeMap<PathBuf, Vec<PathBuf>>,
    /// The latest contents, and the time since which they have stayed the same.
    contents: Option<(Fingerprint, Instant)>,
    /// True if these contents count as complete.
    stable: bool,
    /// True if the log has a line about the wait.
    reported: bool,
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing has changed.
    Idle,

    /// Ask again at this time, or after another change.
    Wait(Instant),

    /// Read the contents of all files, and pass them to [`Settling::compare_contents`].
    Compare,

    /// Report that the wait for these files takes long. This step comes once in a round.
    Report(Vec<PathBuf>),

    /// Load the files. The paths name the files that no program closed, and that count as
    /// complete because they stayed the same for [`STABLE`].
    Load(Vec<PathBuf>),
}

// === impl Settling ===

impl Settling {
    /// Records changes that the system announced.
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

    /// Records that a file differs from its last read state. `decided_by` contains the paths
    /// that the system names when it announces a change of the file. If the system has
    /// announced one of them, the difference is already known. The announced change of a
    /// directory above the file does not count: a program may still be filling a new directory.
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

    /// Records the contents of all files, and finds out whether they are stable.
    pub fn compare_contents(&mut self, contents: Fingerprint, now: Instant) {
        let Some(round) = &mut self.0 else { return };
        match &round.contents {
            Some((before, since)) if *before == contents => round.stable = *since + STABLE <= now,
            _ => round.contents = Some((contents, now)),
        }
    }

    /// Returns the step to take now.
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

    /// Returns true if an announcement says that a file is unfinished.
    pub fn is_unfinished(&self) -> bool {
        self.0.as_ref().is_some_and(|round| !round.stable && !round.unfinished.is_empty())
    }

    /// Forgets all changes, because a load reads the files.
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
