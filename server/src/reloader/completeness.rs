//! The check that files were complete while the daemon read them.

use std::time::Duration;

use crate::source::inbox::Inbox;
use crate::source::stamp::{SeenFile, Stamp};

/// The time that a load waits for late announcements before it decides whether another
/// program was writing to a file.
const ANNOUNCEMENT_DELAY: Duration = Duration::from_millis(50);

/// Returns true if no program was writing to the files while the daemon read them.
pub(super) fn were_complete(files: &[SeenFile], inbox: &Inbox) -> bool {
    !inbox.any_unfinished_within(ANNOUNCEMENT_DELAY)
        && !files.iter().any(|file| Stamp::of_path(&file.path).is_rewritten_since(&file.stamp))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::source::inbox::Change;

    #[test]
    fn a_file_that_was_written_during_the_read_was_not_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        std::fs::write(&path, "one").unwrap();
        let read = [SeenFile::look_at(path.clone())];
        let inbox = Inbox::default();
        assert!(were_complete(&read, &inbox));

        // A replacement is complete, and so was the replaced file that was read.
        std::fs::write(dir.path().join("next"), "two").unwrap();
        std::fs::rename(dir.path().join("next"), &path).unwrap();
        assert!(were_complete(&read, &inbox));

        let read = [SeenFile::look_at(path.clone())];
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();
        assert!(!were_complete(&read, &inbox), "without an announcement");

        let read = [SeenFile::look_at(path.clone())];
        inbox.put_change(path.clone(), Change::Unfinished);
        assert!(!were_complete(&read, &inbox));
        inbox.put_change(path, Change::Complete);
        assert!(were_complete(&read, &inbox));
    }
}
