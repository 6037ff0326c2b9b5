//! The files that a policy names, from the disk: read whole, and remembered by
//! their digests, so that a reload can tell whether one has changed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use sha2::{Digest as _, Sha256};

use crate::policy::{self, Files};

/// Most bytes of a file: what one list of users can hold.
const MAX_BYTES: u64 = u32::MAX as u64;

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
    read: RefCell<BTreeMap<String, Digest>>,
}

/// Reads a policy that somebody names by hand, which may well be a pipe. Of what has
/// no end, as a device, no more is read than shows that it is too much.
///
/// # Errors
///
/// It cannot be read.
pub fn policy(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let most = policy::MAX_BYTES as u64 + 1;
    std::fs::File::open(path)?.take(most).read_to_end(&mut text)?;
    Ok(text)
}

/// As [`policy()`], but of a regular file only: what is read by itself, and again and
/// again, must not be waited for.
///
/// # Errors
///
/// It cannot be read, or is something else.
pub fn regular(path: &Path) -> io::Result<Vec<u8>> {
    let about = std::fs::metadata(path)?;
    // Opening a directory tells by itself what it is.
    if !about.is_file() && !about.is_dir() {
        return Err(io::Error::other("it is not a regular file"));
    }
    policy(path)
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
    /// Files whose names are relative to where a policy is.
    pub fn of(policy: &Path) -> Self {
        let path = policy.parent().unwrap_or(Path::new("")).to_owned();
        Self { path, read: RefCell::default() }
    }

    /// What was read, by name.
    pub fn into_read(self) -> BTreeMap<String, Digest> {
        self.read.into_inner()
    }

    /// Whether these files still have these digests.
    pub fn has(&self, files: &BTreeMap<String, Digest>) -> bool {
        files
            .iter()
            .all(|(name, digest)| self.bytes(name).is_ok_and(|text| Digest::of(&text) == *digest))
    }

    /// Where a file is, by its name as the policy has it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn bytes(&self, name: &str) -> io::Result<Vec<u8>> {
        let path = self.path(name);
        let about = std::fs::metadata(&path)?;
        // Asked first: a pipe would be waited for, a device read for ever.
        match about.len() {
            _ if about.is_dir() => Err(io::Error::other("it is a directory")),
            _ if !about.is_file() => Err(io::Error::other("it is not a regular file")),
            MAX_BYTES.. => Err(io::Error::other("it has 4 GiB or more")),
            _ => std::fs::read(path),
        }
    }
}

impl Files for Folder {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let text = self.bytes(name)?;
        self.read.borrow_mut().insert(name.to_owned(), Digest::of(&text));
        Ok(text)
    }
}
