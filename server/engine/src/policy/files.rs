//! Access to the files that a policy names. The caller implements it: a policy need not
//! come from a disk.

use std::io;

/// Reads the members files that a policy names.
pub trait Files {
    /// Reads a whole file, by its name in the policy.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
}

/// No files, for a policy that does not come from a disk.
#[derive(Clone, Copy, Debug)]
pub struct NoFiles;

// === impl NoFiles ===

impl Files for NoFiles {
    fn read(&self, _: &str) -> io::Result<Vec<u8>> {
        let message = "only a policy file can refer to other files";
        Err(io::Error::new(io::ErrorKind::Unsupported, message))
    }
}
