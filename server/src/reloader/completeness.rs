//! Whether files were complete while they were read.

use std::time::Duration;

use crate::source::inbox::Inbox;
use crate::source::stamp::{SeenFile, Stamp};

/// How long an announcement may be on its way while a load asks whether somebody writes
/// to a file that it has read.
const ANNOUNCEMENT: Duration = Duration::from_millis(50);

/// True if nobody was writing to the files while they were read.
pub(super) fn were_complete(files: &[SeenFile], inbox: &Inbox) -> bool {
    !inbox.any_unfinished_within(ANNOUNCEMENT)
        && !files.iter().any(|file| Stamp::of_path(&file.path).is_rewritten_since(&file.stamp))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::source::inbox::Change;

    #[test]
    fn what_somebody_wrote_to_meanwhile_was_not_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        std::fs::write(&path, "one").unwrap();
        let read = [SeenFile::look_at(path.clone())];
        let inbox = Inbox::default();
        assert!(were_complete(&read, &inbox));

        // Another file in its place was complete, and so was the one that was read.
        std::fs::write(dir.path().join("next"), "two").unwrap();
        std::fs::rename(dir.path().join("next"), &path).unwrap();
        assert!(were_complete(&read, &inbox));

        let read = [SeenFile::look_at(path.clone())];
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();
        assert!(!were_complete(&read, &inbox), "without a word from the system");

        let read = [SeenFile::look_at(path.clone())];
        inbox.put(path.clone(), Change::Unfinished);
        assert!(!were_complete(&read, &inbox));
        inbox.put(path, Change::Complete);
        assert!(were_complete(&read, &inbox));
    }
}
