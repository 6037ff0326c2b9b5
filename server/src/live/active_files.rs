//! The members files that a policy from a caller may read: those of the active policy, and
//! no others. A caller's right to send a policy is not a right to read every file that the
//! daemon can read.

use std::io;

use presence_router_engine::Files;

use super::active::Applied;
use super::loader::{Loader, Source};
use crate::source::folder::Folder;
use crate::source::progress::Progress;

/// The members files of the active policy.
pub(super) struct ActiveFiles<'a> {
    folder: Option<Folder>,
    applied: &'a Applied,
}

// === impl ActiveFiles ===

impl<'a> ActiveFiles<'a> {
    pub(super) fn new(loader: &Loader, applied: &'a Applied) -> Self {
        let folder = match &loader.source {
            Source::File(path) => {
                let limit = loader.settings.members_file_bytes;
                Some(Folder::with_limit(path, limit, Progress::default()))
            }
            Source::Example => None,
        };
        Self { folder, applied }
    }
}

impl Files for ActiveFiles<'_> {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        match &self.folder {
            Some(folder) if self.applied.files.contains_key(name) => folder.read(name),
            _ => Err(io::Error::other(
                "the active policy does not name this file; run `presence-router check` on the host \
                 that has the file",
            )),
        }
    }
}
