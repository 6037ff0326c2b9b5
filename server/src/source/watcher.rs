//! Receives changes of files from the operating system.
//!
//! An editor replaces a file by another file, and Kubernetes replaces the directory behind a
//! symbolic link. Therefore this module watches the directories that lead to a file. If a file
//! is mounted into a container by itself, or written under another of its names, its directory
//! receives no event. Therefore this module watches the file, too.
//!
//! The system does not announce all changes: it announces no change that another machine makes
//! on a network file system, and no renaming of a directory above the watched ones. (To watch
//! all directories up to the root, the library would have the kernel announce every file that
//! any program opens in `/etc` or `/tmp`.) Callers must poll the files as well.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::inbox::{Change, Inbox};
use super::links::deciding_entries;
use super::network::network_file_system;

/// A watch on files. Dropping it ends the watch.
#[derive(Debug, Default)]
pub struct Watcher {
    inbox: Inbox,
    /// The directory entries that decide which files the paths lead to.
    entries: BTreeSet<PathBuf>,
    watcher: Option<RecommendedWatcher>,
}

// === impl Watcher ===

impl Watcher {
    /// Creates a watcher that does not watch any file yet.
    pub fn new(inbox: Inbox) -> Self {
        Self { inbox, entries: BTreeSet::new(), watcher: None }
    }

    /// Watches these files from now on, and no others. The files need not exist. This
    /// resolves links again. A file that was not watched before may have changed meanwhile;
    /// for such a file, this puts an unknown change into the inbox.
    ///
    /// # Errors
    ///
    /// The system will not announce every change of the files. The text has the reason.
    pub fn watch_only(&mut self, files: &[PathBuf]) -> Result<(), String> {
        let entries: BTreeSet<PathBuf> =
            files.iter().flat_map(|file| deciding_entries(file)).collect();
        let watched = self.replace_watches(&entries);
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

    /// Replaces the library's watcher. The old watcher receives all events until the new one
    /// does. The old watcher cannot be kept: the system watches the directory itself and not
    /// its name, so that a watcher misses a replaced directory.
    fn replace_watches(&mut self, entries: &BTreeSet<PathBuf>) -> Result<(), String> {
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
                // The system may have lost events.
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
                // The file is gone; the watch on its directory will announce a new one.
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
            inbox.put_change(path, change);
        }
    }
}

/// Returns the change that an event announces. `None` means that a program, such as the
/// daemon, only reads the file.
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

/// Returns true if the creator of a file is going to write and close it. This is not so for
/// a symbolic link, or for a file that already has another name.
fn is_being_written(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    path.symlink_metadata().is_ok_and(|about| about.is_file() && about.nlink() == 1)
}

/// Describes an error of the library. An error that an operator can solve gets a text of its
/// own, since the library's text does not name the solution.
fn explain_error(error: &notify::Error) -> String {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            "the system has no watches left; raise fs.inotify.max_user_watches".to_owned()
        }
        notify::ErrorKind::Io(error)
            if error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) =>
        {
            "the process has too many open files, or the user has too many watchers; raise \
             fs.inotify.max_user_instances"
                .to_owned()
        }
        notify::ErrorKind::Io(error) => error.to_string(),
        notify::ErrorKind::PathNotFound => "the directory does not exist".to_owned(),
        _ => error.to_string(),
    }
}
