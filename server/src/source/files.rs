//! The files that a policy names, from the disk: read whole, and remembered by
//! their digests, so that a reload can tell whether one has changed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::{fmt, io};

use sha2::{Digest as _, Sha256};

use crate::source::progress::Progress;
use crate::source::stamp::Stamp;
use presence_router_engine::{Files, MAX_POLICY_BYTES};

/// Longest members file unless a setting says otherwise, in bytes: as long as a policy
/// may be.
pub const MAX_MEMBERS_BYTES: u64 = MAX_POLICY_BYTES as u64;

/// Bytes that are read between two looks at how far it is.
const CHUNK_BYTES: u64 = 8 * 1024 * 1024;

/// What a text is known by. SHA-256, since the text itself may be of hundreds of
/// megabytes, and a change must never be missed: a hash for tables has 64 bits,
/// and whoever can write a file can make two that are alike. `sha256sum` tells
/// an operator the same, and no C compiler is needed to build it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest([u8; 32]);

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

/// Reads a policy that somebody names by hand, which may well be a pipe. Of what has
/// no end, as a device, no more is read than shows that it is too much.
///
/// # Errors
///
/// It cannot be read.
pub fn policy(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let most = MAX_POLICY_BYTES as u64 + 1;
    std::fs::File::open(path)?.take(most).read_to_end(&mut text)?;
    Ok(text)
}

/// As [`policy()`], but of a regular file only: what is read by itself, and again and
/// again, must not be waited for.
///
/// # Errors
///
/// It cannot be read, is something else, or changes while it is read.
pub fn regular(path: &Path) -> io::Result<(Vec<u8>, Stamp)> {
    // One byte more shows that it is too long.
    read_regular(path, MAX_POLICY_BYTES as u64 + 1, &mut |_, _| {})
}

/// Whether reading again may succeed though nobody changes anything about the file: the
/// process has too many open files, or the disk or the network failed.
pub fn may_pass(error: &io::Error) -> bool {
    match error.kind() {
        ErrorKind::NotFound
        | ErrorKind::PermissionDenied
        | ErrorKind::IsADirectory
        | ErrorKind::NotADirectory
        | ErrorKind::InvalidFilename => false,
        // Those without a number are our own.
        _ => error
            .raw_os_error()
            .is_some_and(|number| number != rustix::io::Errno::LOOP.raw_os_error()),
    }
}

/// Whether somebody wrote to a file while it was read.
pub fn was_rewritten(error: &io::Error) -> bool {
    error.kind() == ErrorKind::ResourceBusy
}

/// Reads a regular file to its end, or to the byte that is too much. `progress` gets
/// the bytes that are read, and how many there are to be.
fn read_regular(
    path: &Path,
    max_bytes: u64,
    progress: &mut dyn FnMut(u64, u64),
) -> io::Result<(Vec<u8>, Stamp)> {
    // Asked first: opening a pipe would wait for a writer.
    let about = std::fs::metadata(path)?;
    if about.is_dir() {
        return Err(io::Error::other("it is a directory"));
    }
    if !about.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let file = std::fs::File::open(path)?;
    let about = file.metadata()?;
    let before = Stamp::of_metadata(&about);
    let expected = about.len().min(max_bytes);
    let mut text = Vec::with_capacity(usize::try_from(expected).unwrap_or_default());
    let mut rest = file.take(max_bytes);
    loop {
        let read = rest.by_ref().take(CHUNK_BYTES).read_to_end(&mut text)?;
        progress(u64::try_from(text.len()).unwrap_or(u64::MAX), expected);
        if read == 0 {
            break;
        }
    }
    let after = Stamp::of_metadata(&rest.into_inner().metadata()?);
    if after.is_rewritten_since(&before) {
        return Err(io::Error::new(
            ErrorKind::ResourceBusy,
            "it changed while it was read; write a new file beside it, then rename that",
        ));
    }
    Ok((text, before))
}

// === impl Digest ===

impl Digest {
    /// The digest of a text.
    pub fn of(text: &[u8]) -> Self {
        Self(Sha256::digest(text).into())
    }
}

impl fmt::Display for Digest {
    /// As `sha256sum` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

// === impl Folder ===

impl Folder {
    /// Files whose names are relative to where a policy is, each of at most
    /// [`MAX_MEMBERS_BYTES`].
    pub fn of(policy: &Path) -> Self {
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
    pub fn has(&self, files: &BTreeMap<String, Digest>) -> bool {
        files.iter().all(|(name, digest)| {
            self.bytes(name).is_ok_and(|_| {
                self.read.borrow().get(name).is_some_and(|read| read.digest == *digest)
            })
        })
    }

    /// Where a file is, by its name as the policy has it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn bytes(&self, name: &str) -> io::Result<Vec<u8>> {
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
        let (text, stamp) = read_regular(&path, limit.saturating_add(1), progress)?;
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
        self.bytes(name).map_err(|error| {
            self.may_pass.set(self.may_pass.get() || may_pass(&error));
            self.rewritten.set(self.rewritten.get() || was_rewritten(&error));
            let path = self.path(name);
            let path = std::path::absolute(&path).unwrap_or(path);
            let path = presence_router_engine::unstable::policy::wording::quoted(
                &path.display().to_string(),
            );
            io::Error::new(error.kind(), format!("{error} (tried {path})"))
        })
    }
}
