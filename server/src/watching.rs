//! Notices that a file has changed, by what the operating system tells of the
//! directories that lead to it. Editors put another file in the place of the one
//! before it, Kubernetes another directory behind a symbolic link; a watch of the
//! file alone would go on looking at what is no longer there.
//!
//! A directory that is renamed above those goes unnoticed. To watch all of them up
//! to the root, the library would have the kernel tell of every file that anybody
//! opens in `/etc` or `/tmp`.
//!
//! What changes are good for is not known here, nor whether there was one: a file
//! may be touched and stay the same.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

/// How long nothing must happen: an editor takes several steps to save a file.
const QUIET: Duration = Duration::from_millis(250);

/// Longest wait for that. Who writes all the time gets a load now and then.
const LONGEST: Duration = Duration::from_secs(2);

/// As many as the kernel follows.
const MOST_LINKS: u32 = 40;

/// A watch of some files.
#[derive(Debug, Default)]
pub struct Watching {
    touched: Arc<Notify>,
    state: State,
    entries: BTreeSet<PathBuf>,
    /// Ends when dropped.
    watcher: Option<RecommendedWatcher>,
}

/// Word of changes.
#[derive(Debug)]
pub struct Changes {
    touched: Arc<Notify>,
    /// Something happened, and nothing was said of it yet.
    pending: bool,
}

/// What the log has last said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    New,
    Watched,
    /// For these reasons.
    NotWatched(String),
}

// === impl Watching ===

impl Watching {
    /// Word of what happens from now on, for one task.
    pub fn changes(&self) -> Changes {
        Changes { touched: Arc::clone(&self.touched), pending: false }
    }

    /// Watches these files from now on, and no others; also files that are not
    /// there. Links are followed anew. Says in the log if that is not possible, not
    /// again if it still is not. Whether anything is watched that was not before.
    pub fn follow(&mut self, files: &[PathBuf]) -> bool {
        let entries: BTreeSet<PathBuf> = files.iter().flat_map(|file| entries(file)).collect();
        let state = match self.watch(&entries) {
            Ok(()) => State::Watched,
            Err(reasons) => State::NotWatched(reasons),
        };
        if self.state != state {
            match &state {
                State::NotWatched(reason) => warn!(
                    reason,
                    "a change of the policy may go unnoticed: send SIGHUP to load it again"
                ),
                _ => info!(files = files.len(), "watching the policy for changes"),
            }
            self.state = state;
        }
        let new = !entries.is_subset(&self.entries);
        self.entries = entries;
        new
    }

    /// As if something had happened.
    pub fn touch(&self) {
        self.touched.notify_one();
    }

    /// Replaces the watcher: the one before sees everything until this one does.
    /// Directories are watched by what they are, not by their names, so that it
    /// cannot be kept when one was replaced.
    fn watch(&mut self, entries: &BTreeSet<PathBuf>) -> Result<(), String> {
        let directories: BTreeSet<&Path> =
            entries.iter().filter_map(|path| path.parent()).collect();
        let of_interest: BTreeSet<PathBuf> = entries
            .iter()
            .map(PathBuf::as_path)
            .chain(directories.iter().copied())
            .map(Into::into)
            .collect();
        let touched = Arc::clone(&self.touched);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // It may have lost some after an error.
            if event.map_or(true, |event| concerns(&event, &of_interest)) {
                touched.notify_one();
            }
        });
        let mut watcher = watcher.map_err(|error| why(&error))?;
        let mut reasons = Vec::new();
        for directory in directories {
            if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
                reasons.push(format!("{}: {}", directory.display(), why(&error)));
            }
        }
        self.watcher = Some(watcher);
        if reasons.is_empty() { Ok(()) } else { Err(reasons.join(", ")) }
    }
}

// === impl Changes ===

impl Changes {
    /// Waits until a file may have changed, and nothing more happens. May be
    /// dropped at any time: nothing is forgotten.
    pub async fn changed(&mut self) {
        if !self.pending {
            self.touched.notified().await;
            self.pending = true;
        }
        let latest = Instant::now() + LONGEST;
        while Instant::now() < latest {
            let quiet = (Instant::now() + QUIET).min(latest);
            if timeout_at(quiet, self.touched.notified()).await.is_err() {
                break;
            }
        }
        self.pending = false;
    }
}

/// Whether an event may mean that a file has changed.
fn concerns(event: &Event, entries: &BTreeSet<PathBuf>) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => {}
        // Whoever reads one, as we do.
        EventKind::Access(_) => return false,
        _ => {}
    }
    event.need_rescan() || event.paths.iter().any(|path| entries.contains(path))
}

/// The library's words, and where it has none for what an operator can mend, ours.
fn why(error: &notify::Error) -> String {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            "the system has no watches left, see fs.inotify.max_user_watches".to_owned()
        }
        notify::ErrorKind::Io(error)
            if error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) =>
        {
            "too many open files, or watchers, see fs.inotify.max_user_instances".to_owned()
        }
        notify::ErrorKind::Io(error) => error.to_string(),
        notify::ErrorKind::PathNotFound => "there is no such directory".to_owned(),
        _ => error.to_string(),
    }
}

/// The entries of directories that decide what a path leads to: every link on the
/// way, and its end; or what is missing first. Absolute, and without links in what
/// leads to each.
fn entries(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(path) = std::path::absolute(path) else { return found };
    let (mut at, mut links) = (PathBuf::new(), 0);
    let mut rest: VecDeque<OsString> = parts(&path).collect();
    while let Some(part) = rest.pop_front() {
        match Path::new(&part).components().next() {
            Some(Component::ParentDir) => _ = at.pop(),
            Some(Component::Normal(name)) => {
                let next = at.join(name);
                let Ok(about) = next.symlink_metadata() else {
                    found.push(next);
                    break;
                };
                if about.is_symlink() && links < MOST_LINKS {
                    links += 1;
                    if let Ok(target) = next.read_link() {
                        for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                            rest.push_front(part);
                        }
                    }
                    found.push(next);
                } else if rest.is_empty() || !about.is_dir() {
                    found.push(next);
                    break;
                } else {
                    at = next;
                }
            }
            // A root, from which all begins anew.
            _ => at = PathBuf::from(part),
        }
    }
    found
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.map(|part| part.as_os_str().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// The entries of a path, without what stands before a directory.
    fn below(directory: &Path, path: &str) -> Vec<String> {
        let found = entries(&directory.join(path));
        let below = |path: &PathBuf| path.strip_prefix(directory).unwrap().display().to_string();
        found.iter().map(below).collect()
    }

    #[test]
    fn every_link_on_the_way_decides() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(dir.join("a/..one")).unwrap();
        std::fs::write(dir.join("a/..one/policy.yaml"), "").unwrap();
        symlink("..one", dir.join("a/..data")).unwrap();
        symlink("..data/policy.yaml", dir.join("a/policy.yaml")).unwrap();
        symlink(dir.join("a/../a"), dir.join("current")).unwrap();
        symlink("loop", dir.join("loop")).unwrap();
        let mounted = ["a/policy.yaml", "a/..data", "a/..one/policy.yaml"];
        assert_eq!(below(&dir, "a/policy.yaml"), mounted);
        assert_eq!(below(&dir, "current/./policy.yaml"), [&["current"], &mounted[..]].concat());
        assert_eq!(below(&dir, "a/none/policy.yaml"), ["a/none"], "what is missing first");
        assert_eq!(below(&dir, "a/..one/policy.yaml/x"), ["a/..one/policy.yaml"]);
        assert_eq!(below(&dir, "a"), ["a"], "a directory where a file should be");
        assert_eq!(below(&dir, "loop/x").len(), 41);
    }

    #[test]
    fn reading_a_file_is_no_change() {
        let entries = BTreeSet::from([PathBuf::from("/a/b")]);
        let concerns =
            |kind, path: &str| concerns(&Event::new(kind).add_path(path.into()), &entries);
        let (open, closed) =
            (AccessKind::Open(AccessMode::Any), AccessKind::Close(AccessMode::Write));
        assert!(!concerns(EventKind::Access(open), "/a/b"));
        assert!(concerns(EventKind::Access(closed), "/a/b"));
        assert!(!concerns(EventKind::Access(closed), "/a/c"));
        assert!(concerns(EventKind::Remove(notify::event::RemoveKind::File), "/a/b"));
    }

    #[tokio::test(start_paused = true)]
    async fn waits_until_nothing_more_happens_but_not_for_ever() {
        let mut watching = Watching::default().changes();
        let touched = Arc::clone(&watching.touched);
        let start = Instant::now();
        touched.notify_one();
        watching.changed().await;
        assert_eq!(start.elapsed(), QUIET);

        // One that is dropped forgets nothing.
        touched.notify_one();
        assert!(tokio::time::timeout(QUIET / 2, watching.changed()).await.is_err());
        watching.changed().await;

        let storm = async {
            loop {
                touched.notify_one();
                tokio::time::sleep(QUIET / 2).await;
            }
        };
        let start = Instant::now();
        tokio::select! {
            () = watching.changed() => {}
            () = storm => {}
        }
        assert_eq!(start.elapsed(), LONGEST);
    }

    #[test]
    fn says_what_can_be_mended() {
        let words = |kind| why(&notify::Error::new(kind));
        assert!(words(notify::ErrorKind::MaxFilesWatch).contains("max_user_watches"));
        let too_many = std::io::Error::from(rustix::io::Errno::MFILE);
        assert!(words(notify::ErrorKind::Io(too_many)).contains("max_user_instances"));
    }
}
