//! The files that a policy names. The folder reads each file as a whole and remembers its
//! digest, so that a reload can tell whether a file has changed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use presence_router_engine::unstable::policy::wording;
use presence_router_engine::{Files, MAX_POLICY_BYTES};

use super::digest::Digest;
use super::files::{may_pass, read_regular_up_to, was_rewritten};
use super::progress::Progress;
use super::stamp::Stamp;

/// Default maximum size of a members file, in bytes: the same as the maximum of a policy.
pub const MAX_MEMBERS_BYTES: u64 = MAX_POLICY_BYTES as u64;

/// The directory of a policy, and the files that were read from it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    max_bytes: u64,
    progress: Progress,
    read: RefCell<BTreeMap<String, ReadFile>>,
    /// True if reading a file failed for a reason that may pass by itself.
    may_pass: Cell<bool>,
    /// True if another program wrote to a file while it was read.
    rewritten: Cell<bool>,
}

/// A file that was read.
#[derive(Clone, Copy, Debug)]
pub struct ReadFile {
    /// The digest of the content.
    pub digest: Digest,
    /// The state of the file at the time of the read.
    pub stamp: Stamp,
}

// === impl Folder ===

impl Folder {
    /// Creates a folder for file names relative to the directory of a policy. Each file may
    /// have at most `max_bytes`. `progress` receives the progress of reading.
    pub fn with_limit(policy: &Path, max_bytes: u64, progress: Progress) -> Self {
        let path = policy.parent().unwrap_or(Path::new("")).to_owned();
        let (may_pass, rewritten) = (Cell::new(false), Cell::new(false));
        Self { path, max_bytes, progress, read: RefCell::default(), may_pass, rewritten }
    }

    /// Returns the files that were read, by name.
    pub fn read_files(&self) -> BTreeMap<String, ReadFile> {
        self.read.borrow().clone()
    }

    /// Returns true if reading a file failed for a reason that may pass, see [`may_pass`].
    pub fn may_pass(&self) -> bool {
        self.may_pass.get()
    }

    /// Returns true if another program wrote to a file while it was read.
    pub fn was_rewritten(&self) -> bool {
        self.rewritten.get()
    }

    /// Reads the files, and returns true if each still has its digest.
    pub fn still_has(&self, files: &BTreeMap<String, Digest>) -> bool {
        files.iter().all(|(name, digest)| {
            self.read_and_remember(name).is_ok_and(|_| {
                self.read.borrow().get(name).is_some_and(|read| read.digest == *digest)
            })
        })
    }

    /// Returns the path of a file from its name in the policy.
    pub fn path_of_file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn read_and_remember(&self, name: &str) -> io::Result<Vec<u8>> {
        let path = self.path_of_file(name);
        let limit = self.max_bytes;
        let too_long = |bytes: u64| {
            let message = format!(
                "the file has {bytes} bytes, more than the {limit} of \
                 `limits.members_file_bytes`; split the list, or raise the limit"
            );
            io::Error::other(message)
        };
        if let Ok(about) = std::fs::metadata(&path)
            && about.is_file()
            && about.len() > limit
        {
            return Err(too_long(about.len()));
        }
        let progress = &mut |read, of| self.progress.note_read_bytes(name, read, of);
        let (text, stamp) = read_regular_up_to(&path, limit.saturating_add(1), progress)?;
        let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
        if bytes > limit {
            return Err(too_long(bytes));
        }
        let read = ReadFile { digest: Digest::of_text(&text), stamp };
        self.read.borrow_mut().insert(name.to_owned(), read);
        Ok(text)
    }
}

impl Files for Folder {
    /// Reads a file. An error contains the absolute path, since an operator may not know in
    /// which directory the daemon was started.
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.read_and_remember(name).map_err(|error| {
            self.may_pass.set(self.may_pass.get() || may_pass(&error));
            self.rewritten.set(self.rewritten.get() || was_rewritten(&error));
            let path = self.path_of_file(name);
            let path = std::path::absolute(&path).unwrap_or(path);
            let path = wording::quoted(&path.display().to_string());
            io::Error::new(error.kind(), format!("{error} (tried {path})"))
        })
    }
}
