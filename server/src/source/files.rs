//! Reading a whole file, and deciding after an error whether another try may succeed.

use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use presence_router_engine::MAX_POLICY_BYTES;

use super::stamp::Stamp;

/// The number of bytes between two reports of progress.
const CHUNK_BYTES: u64 = 8 * 1024 * 1024;

/// Reads a policy that an operator names on the command line, which may be a pipe. If the
/// input has no end, such as a device, this function stops one byte above the maximum.
///
/// # Errors
///
/// The file cannot be read.
pub fn read_any(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let max_bytes = MAX_POLICY_BYTES as u64 + 1;
    std::fs::File::open(path)?.take(max_bytes).read_to_end(&mut text)?;
    Ok(text)
}

/// Reads a policy like [`read_any`], but only from a regular file: the daemon reads its
/// policy by itself and repeatedly, and must not wait for the writer of a pipe.
///
/// # Errors
///
/// The file cannot be read, is not a regular file, or changes while it is read.
pub fn read_regular(path: &Path) -> io::Result<(Vec<u8>, Stamp)> {
    // One byte above the maximum shows that the file is too long.
    read_regular_up_to(path, MAX_POLICY_BYTES as u64 + 1, &mut |_, _| {})
}

/// Returns true if another read may succeed although the file does not change: the process
/// has too many open files, or the disk or the network failed.
pub fn may_pass(error: &io::Error) -> bool {
    match error.kind() {
        ErrorKind::NotFound
        | ErrorKind::PermissionDenied
        | ErrorKind::IsADirectory
        | ErrorKind::NotADirectory
        | ErrorKind::InvalidFilename => false,
        // Errors without a number come from this crate.
        _ => error
            .raw_os_error()
            .is_some_and(|number| number != rustix::io::Errno::LOOP.raw_os_error()),
    }
}

/// Returns true if another program wrote to the file while it was read.
pub fn was_rewritten(error: &io::Error) -> bool {
    error.kind() == ErrorKind::ResourceBusy
}

/// Reads a regular file to its end, or up to `max_bytes`. `progress` receives the number of
/// bytes read so far and the expected total.
pub(super) fn read_regular_up_to(
    path: &Path,
    max_bytes: u64,
    progress: &mut dyn FnMut(u64, u64),
) -> io::Result<(Vec<u8>, Stamp)> {
    // Before the file is opened, since opening a pipe would wait for a writer.
    let about = std::fs::metadata(path)?;
    if about.is_dir() {
        return Err(io::Error::other("the path is a directory"));
    }
    if !about.is_file() {
        return Err(io::Error::other("the path is not a regular file"));
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
            "the file changed during the read; write a new file beside it, then rename the new file",
        ));
    }
    Ok((text, before))
}
