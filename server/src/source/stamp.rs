//! One state of a file, as the operating system describes it without reading the
//! content; and the digest of all files, where the description cannot be trusted.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Bytes that are read at a time.
const READ_BYTES: usize = 64 * 1024;

/// One state of what a path leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stamp {
    /// The path leads nowhere, or to something that the daemon may not look at.
    #[default]
    Unreachable,

    /// The path leads to this.
    Present {
        /// Device and inode.
        id: (u64, u64),
        /// Length of the content, in bytes.
        bytes: u64,
        /// Seconds and nanoseconds of the last change of the content.
        modified: (i64, i64),
        /// The same, of the last change of anything else, such as its mode.
        changed: (i64, i64),
    },
}

/// A file, and the state that it was in when it was last read or looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenFile {
    /// The file.
    pub path: PathBuf,
    /// The state.
    pub stamp: Stamp,
}

/// The states and contents of several files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint(Vec<(Stamp, [u8; 32])>);

// === impl Stamp ===

impl Stamp {
    /// The state of what a path leads to now.
    pub fn of_path(path: &Path) -> Self {
        std::fs::metadata(path).map_or(Self::Unreachable, |about| Self::of_metadata(&about))
    }

    /// The state that the operating system describes.
    pub fn of_metadata(about: &Metadata) -> Self {
        Self::Present {
            id: (about.dev(), about.ino()),
            bytes: about.len(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        }
    }

    /// Whether this is the file of an earlier stamp with another content. Another file
    /// in its place is not: whoever replaces a file leaves the one before it whole.
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
    /// A file as it is now.
    pub fn look_at(path: PathBuf) -> Self {
        let stamp = Stamp::of_path(&path);
        Self { path, stamp }
    }

    /// Whether the path leads to another file by now, or to another state of it.
    pub fn has_changed(&self) -> bool {
        Stamp::of_path(&self.path) != self.stamp
    }
}

// === impl Fingerprint ===

impl Fingerprint {
    /// Reads some files to their ends. Network file systems tell the size and the times
    /// of a file as they last heard of them; opening it makes them ask again.
    pub fn read(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(paths.into_iter().map(|path| read_one(&path)).collect())
    }
}

/// A file that cannot be read has the digest of what could be read of it.
fn read_one(path: &Path) -> (Stamp, [u8; 32]) {
    let mut digest = Sha256::new();
    let mut stamp = Stamp::of_path(path);
    // Asked first: a pipe would be waited for.
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
