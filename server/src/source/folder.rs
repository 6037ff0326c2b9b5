//! The files that a policy names, from the disk: read whole, and remembered by
//! their digests, so that a reload can tell whether one has changed.

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

/// Longest members file unless a setting says otherwise, in bytes: as long as a policy
/// may be.
pub const MAX_MEMBERS_BYTES: u64 = MAX_POLICY_BYTES as u64;

/// The files beside a policy.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    max_bytes: u64,
    progress: Progress,
    read: RefCell<BTreeMap<String, ReadFile>>,
    /// Whether a file could not be read for a reason that may pass by itself.
    may_pass: Cell<bool>,
    /// Whether somebody wrote to a file while it was read.
    rewritten: Cell<bool>,
}

/// A file that was read.
#[derive(Clone, Copy, Debug)]
pub struct ReadFile {
    /// The digest of its content.
    pub digest: Digest,
    /// The state that it was in.
    pub stamp: Stamp,
}

// === impl Folder ===

impl Folder {
    /// Files whose names are relative to where a policy is, each of at most
    /// [`MAX_MEMBERS_BYTES`].
    pub fn beside(policy: &Path) -> Self {
        Self::with_limit(policy, MAX_MEMBERS_BYTES, Progress::default())
    }

    /// Files whose names are relative to where a policy is, each of at most so many
    /// bytes. `progress` hears how far reading is.
    pub fn with_limit(policy: &Path, max_bytes: u64, progress: Progress) -> Self {
        let path = policy.parent().unwrap_or(Path::new("")).to_owned();
        let (may_pass, rewritten) = (Cell::new(false), Cell::new(false));
        Self { path, max_bytes, progress, read: RefCell::default(), may_pass, rewritten }
    }

    /// The files that were read, by name.
    pub fn read_files(&self) -> BTreeMap<String, ReadFile> {
        self.read.borrow().clone()
    }

    /// Whether a file could not be read for a reason that may pass, see [`may_pass`].
    pub fn may_pass(&self) -> bool {
        self.may_pass.get()
    }

    /// Whether somebody wrote to a file while it was read.
    pub fn was_rewritten(&self) -> bool {
        self.rewritten.get()
    }

    /// Whether these files still have these digests.
    pub fn still_has(&self, files: &BTreeMap<String, Digest>) -> bool {
        files.iter().all(|(name, digest)| {
            self.read_and_remember(name).is_ok_and(|_| {
                self.read.borrow().get(name).is_some_and(|read| read.digest == *digest)
            })
        })
    }

    /// Where a file is, by its name as the policy has it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn read_and_remember(&self, name: &str) -> io::Result<Vec<u8>> {
        let path = self.path(name);
        let limit = self.max_bytes;
        let too_long = |bytes: u64| {
            let message = format!(
                "it has {bytes} bytes, more than the {limit} of `limits.members_file_bytes`; split \
                 the list, or raise the limit"
            );
            io::Error::other(message)
        };
        if let Ok(about) = std::fs::metadata(&path)
            && about.is_file()
            && about.len() > limit
        {
            return Err(too_long(about.len()));
        }
        let progress = &mut |read, of| self.progress.reading(name, read, of);
        let (text, stamp) = read_regular_up_to(&path, limit.saturating_add(1), progress)?;
        let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
        if bytes > limit {
            return Err(too_long(bytes));
        }
        let read = ReadFile { digest: Digest::of(&text), stamp };
        self.read.borrow_mut().insert(name.to_owned(), read);
        Ok(text)
    }
}

impl Files for Folder {
    /// An error names the path: a relative name says little to who does not know where
    /// the daemon was started.
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.read_and_remember(name).map_err(|error| {
            self.may_pass.set(self.may_pass.get() || may_pass(&error));
            self.rewritten.set(self.rewritten.get() || was_rewritten(&error));
            let path = self.path(name);
            let path = std::path::absolute(&path).unwrap_or(path);
            let path = wording::quoted(&path.display().to_string());
            io::Error::new(error.kind(), format!("{error} (tried {path})"))
        })
    }
}
