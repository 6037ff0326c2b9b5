//! Hears of changes of some files from the operating system.
//!
//! Editors put another file in the place of the one before it, Kubernetes another
//! directory behind a symbolic link: so the directories are watched that lead to a
//! file. A file that is mounted into a container by itself, or that is written under
//! another of its names, changes without a word to its directory: so the file is
//! watched, too.
//!
//! Some changes are announced to nobody: those that another machine makes on a network
//! file system, and a directory that is renamed above the watched ones. (To watch all
//! of them up to the root, the library would have the kernel announce every file that
//! anybody opens in `/etc` or `/tmp`.) Whoever uses this looks at the files now and
//! then as well.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::inbox::{Change, Inbox};
use super::links::deciding_entries;
use super::network::network_file_system;

/// A watch of some files. Ends when dropped.
#[derive(Debug, Default)]
pub struct Watcher {
    inbox: Inbox,
    /// What decides which files the paths lead to.
    entries: BTreeSet<PathBuf>,
    watcher: Option<RecommendedWatcher>,
}

// === impl Watcher ===

impl Watcher {
    /// A watch of nothing yet.
    pub fn new(inbox: Inbox) -> Self {
        Self { inbox, entries: BTreeSet::new(), watcher: None }
    }

    /// Watches these files from now on, and no others; also files that are not there.
    /// Follows links anew. If anything is watched that was not before, it may have
    /// changed meanwhile: then this puts an unknown change into the inbox.
    ///
    /// # Errors
    ///
    /// Says what is in the way of being told every change of them.
    pub fn follow(&mut self, files: &[PathBuf]) -> Result<(), String> {
        let entries: BTreeSet<PathBuf> =
            files.iter().flat_map(|file| deciding_entries(file)).collect();
        let watched = self.replace(&entries);
        if !entries.is_subset(&self.entries) {
            self.inbox.put_unknown();
        }
        self.entries = entries;
        let silent = files.iter().find_map(|file| network_file_system(file));
        match silent {
            Some(kind) if watched.is_ok() => {
                Err(format!("{kind} announces no changes that other machines make"))
            }
            _ => watched,
        }
    }

    /// Replaces the watcher: the one before sees everything until this one does.
    /// Directories are watched by what they are, not by their names, so that it
    /// cannot be kept when one was replaced.
    fn replace(&mut self, entries: &BTreeSet<PathBuf>) -> Result<(), String> {
        let directories: BTreeSet<&Path> =
            entries.iter().filter_map(|path| path.parent()).collect();
        let of_interest: BTreeSet<PathBuf> = entries
            .iter()
            .map(PathBuf::as_path)
            .chain(directories.iter().copied())
            .map(Into::into)
            .collect();
        let inbox = self.inbox.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            match event {
                Ok(event) if !event.need_rescan() => note_event(event, &of_interest, &inbox),
                // The system may have lost some.
                _ => inbox.put_unknown(),
            }
        });
        let mut watcher = watcher.map_err(|error| explain_error(&error))?;
        let mut reasons = Vec::new();
        for directory in directories {
            if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
                reasons.push(format!("{}: {}", directory.display(), explain_error(&error)));
            }
        }
        let is_file = |path: &&PathBuf| path.symlink_metadata().is_ok_and(|about| about.is_file());
        for file in entries.iter().filter(is_file) {
            match watcher.watch(file, RecursiveMode::NonRecursive) {
                Ok(()) => {}
                // Gone since; its directory will announce what comes in its place.
                Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => {}
                Err(error) => {
                    reasons.push(format!("{}: {}", file.display(), explain_error(&error)));
                }
            }
        }
        self.watcher = Some(watcher);
        if reasons.is_empty() { Ok(()) } else { Err(reasons.join(", ")) }
    }
}

fn note_event(event: Event, of_interest: &BTreeSet<PathBuf>, inbox: &Inbox) {
    for path in event.paths {
        if of_interest.contains(&path)
            && let Some(change) = change_by(event.kind, &path)
        {
            inbox.put(path, change);
        }
    }
}

/// The change that an event announces. `None`: none, somebody reads the file as the
/// daemon does.
fn change_by(kind: EventKind, path: &Path) -> Option<Change> {
    Some(match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Change::Complete,
        EventKind::Access(_) => return None,
        EventKind::Modify(ModifyKind::Data(_)) => Change::Unfinished,
        EventKind::Create(CreateKind::File) if is_being_written(path) => Change::Unfinished,
        EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => {
            Change::Complete
        }
        EventKind::Modify(_) | EventKind::Any | EventKind::Other => Change::Touched,
    })
}

/// Whether whoever created a file is going to write and close it. Nobody does that to
/// a link, nor to a file that has another name already.
fn is_being_written(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    path.symlink_metadata().is_ok_and(|about| about.is_file() && about.nlink() == 1)
}

/// The library's words, and where it has none for what an operator can mend, ours.
fn explain_error(error: &notify::Error) -> String {
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
