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

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::inbox::{Change, Inbox};

/// As many links as the kernel follows.
const MAX_LINKS: u32 = 40;

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

/// The kind of network file system that a file is on, if it is on one.
#[cfg(target_os = "linux")]
fn network_file_system(file: &Path) -> Option<&'static str> {
    let directory = file.parent().filter(|path| !path.as_os_str().is_empty());
    let about = rustix::fs::statfs(file)
        .or_else(|_| rustix::fs::statfs(directory.unwrap_or(Path::new("."))))
        .ok()?;
    // The words are 64 bits long on some machines and 32 on others; the numbers fit 32.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
    network_file_system_by_magic(about.f_type as u32)
}

#[cfg(not(target_os = "linux"))]
fn network_file_system(_: &Path) -> Option<&'static str> {
    None
}

/// Numbers from `statfs(2)` and the kernel's `magic.h`.
fn network_file_system_by_magic(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0x517B | 0xFF53_4D42 | 0xFE53_4D42 => "SMB",
        0x6573_5546 => "FUSE",
        0x0102_1997 => "9P",
        0x00C3_6400 => "Ceph",
        0x5346_414F | 0x6B41_4653 => "AFS",
        0x0BD0_0BD0 => "Lustre",
        0x0116_1970 => "GFS2",
        0x7461_636F => "OCFS2",
        0x786F_4256 => "VirtualBox's shared folder",
        _ => return None,
    })
}

/// The entries of directories that decide which file a path leads to: every link on
/// the way, and its end; or what is missing first. Absolute, and without links in what
/// leads to each. Announcements of changes name these.
pub fn deciding_entries(path: &Path) -> Vec<PathBuf> {
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
                if about.is_symlink() && links < MAX_LINKS {
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
mod tests;
