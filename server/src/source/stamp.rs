//! The state of a file as the operating system describes it, without its content; and the
//! digest of all files, for cases where this description is unreliable.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// The number of bytes per read.
const READ_BYTES: usize = 64 * 1024;

/// The state of a file at the end of a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stamp {
    /// The path leads nowhere, or to a file whose state the daemon may not read.
    #[default]
    Unreachable,

    /// The path leads to a file or directory.
    Present {
        /// Device and inode.
        id: (u64, u64),
        /// Length of the content, in bytes.
        bytes: u64,
        /// Time of the last change of the content, in seconds and nanoseconds.
        modified: (i64, i64),
        /// Time of the last change of the content or of a property such as the mode.
        changed: (i64, i64),
    },
}

/// A file, and its state when the daemon last read it or looked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenFile {
    /// The path of the file.
    pub path: PathBuf,
    /// The state of the file.
    pub stamp: Stamp,
}

/// The states and contents of several files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint(Vec<(Stamp, [u8; 32])>);

// === impl Stamp ===

impl Stamp {
    /// Reads the present state of the file at the end of a path.
    pub fn of_path(path: &Path) -> Self {
        std::fs::metadata(path).map_or(Self::Unreachable, |about| Self::of_metadata(&about))
    }

    /// Converts the metadata of a file.
    pub fn of_metadata(about: &Metadata) -> Self {
        Self::Present {
            id: (about.dev(), about.ino()),
            bytes: about.len(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        }
    }

    /// Returns true if this is the file of an earlier stamp with another content. Another file
    /// at the same path is not: a program that replaces a file leaves the old file complete.
    pub fn is_rewritten_since(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (
                Self::Present { id, bytes, modified, .. },
                Self::Present { id: other, bytes: other_bytes, modified: other_modified, .. },
            ) => id == other && (bytes, modified) != (other_bytes, other_modified),
            _ => false,
        }
    }
}

// === impl SeenFile ===

impl SeenFile {
    /// Reads the present state of a file.
    pub fn look_at(path: PathBuf) -> Self {
        let stamp = Stamp::of_path(&path);
        Self { path, stamp }
    }

    /// Returns true if the path now leads to another file, or the file has another state.
    pub fn has_changed(&self) -> bool {
        Stamp::of_path(&self.path) != self.stamp
    }
}

// === impl Fingerprint ===

impl Fingerprint {
    /// Reads files to their ends. Network file systems report cached sizes and times of a
    /// file; opening the file refreshes them.
    pub fn read(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(paths.into_iter().map(|path| fingerprint_file(&path)).collect())
    }
}

/// Reads the state and the digest of one file. If a read fails, the digest covers the bytes
/// before the failure.
fn fingerprint_file(path: &Path) -> (Stamp, [u8; 32]) {
    let mut digest = Sha256::new();
    let mut stamp = Stamp::of_path(path);
    // Before the file is opened, since opening a pipe would wait for a writer.
    if std::fs::metadata(path).is_ok_and(|about| about.is_file())
        && let Ok(mut file) = File::open(path)
    {
        let mut buffer = vec![0; READ_BYTES];
        while let Ok(bytes @ 1..) = file.read(&mut buffer) {
            digest.update(buffer.get(..bytes).unwrap_or_default());
        }
        stamp = file.metadata().map_or(stamp, |about| Stamp::of_metadata(&about));
    }
    (stamp, digest.finalize().into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn another_content_is_another_state_and_another_file_is_no_rewriting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        assert_eq!(Stamp::of_path(&path), Stamp::Unreachable);
        std::fs::write(&path, "one").unwrap();
        let first = SeenFile::look_at(path.clone());
        assert!(!first.has_changed());

        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"two").unwrap();
        assert!(first.has_changed());
        assert!(Stamp::of_path(&path).is_rewritten_since(&first.stamp));

        std::fs::write(dir.path().join("next"), "three").unwrap();
        std::fs::rename(dir.path().join("next"), &path).unwrap();
        assert!(first.has_changed());
        assert!(!Stamp::of_path(&path).is_rewritten_since(&first.stamp));
    }

    #[test]
    fn a_fingerprint_tells_contents_of_equal_length_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        let read = || Fingerprint::read([path.clone(), dir.path().to_owned()]);
        let missing = read();
        std::fs::write(&path, "one").unwrap();
        let first = read();
        assert_ne!(first, missing);
        assert_eq!(first, read());
        let times = std::fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
        let set_times =
            || std::fs::File::options().write(true).open(&path).unwrap().set_times(times);
        set_times().unwrap();
        let Fingerprint(before) = read();
        std::fs::write(&path, "two").unwrap();
        set_times().unwrap();
        let Fingerprint(after) = read();
        assert_ne!(before[0].1, after[0].1, "only the digest tells them apart");
    }
}
