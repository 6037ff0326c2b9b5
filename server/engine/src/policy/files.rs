//! The files that a policy names, as the caller gives them: a policy may come from
//! elsewhere than a disk.

use std::io;

/// Reads the members files that a policy names.
pub trait Files {
    /// The whole of a file, by its name as the policy has it.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
}

/// For a policy that does not come from a disk.
#[derive(Clone, Copy, Debug)]
pub struct NoFiles;

// === impl NoFiles ===

impl Files for NoFiles {
    fn read(&self, _: &str) -> io::Result<Vec<u8>> {
        Err(io::Error::other("only a policy that is a file itself can name others"))
    }
}
