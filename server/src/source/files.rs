//! Reading one file as a whole, and what an error of that means for another try.

use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use presence_router_engine::MAX_POLICY_BYTES;

use super::stamp::Stamp;

/// Bytes that are read between two looks at how far it is.
const CHUNK_BYTES: u64 = 8 * 1024 * 1024;

/// Reads a policy that somebody names by hand, which may well be a pipe. Of what has
/// no end, as a device, no more is read than shows that it is too much.
///
/// # Errors
///
/// It cannot be read.
pub fn read_any(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let max_bytes = MAX_POLICY_BYTES as u64 + 1;
    std::fs::File::open(path)?.take(max_bytes).read_to_end(&mut text)?;
    Ok(text)
}

/// As [`read_any`], but of a regular file only: what is read by itself, and again and
/// again, must not be waited for.
///
/// # Errors
///
/// It cannot be read, is something else, or changes while it is read.
pub fn read_regular(path: &Path) -> io::Result<(Vec<u8>, Stamp)> {
    // One byte more shows that it is too long.
    read_regular_up_to(path, MAX_POLICY_BYTES as u64 + 1, &mut |_, _| {})
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
pub(super) fn read_regular_up_to(
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
