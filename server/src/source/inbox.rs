//! Changes of files that wait for the reloader. The thread that receives changes from the
//! operating system puts them into the inbox, and the task that reloads takes them out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// A change, as far as the operating system describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A program writes to the file and has not closed it, so that the content may be
    /// incomplete.
    Unfinished,

    /// The writer closed the file, or a program replaced or removed it. The content is
    /// complete.
    Complete,

    /// A property such as the mode changed. The content is as complete as it was before.
    Touched,
}

/// Changes that wait for the reloader. The inbox keeps only the latest change of each path,
/// since that one describes the present state of the file.
#[derive(Clone, Debug, Default)]
pub struct Inbox(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    changes: Mutex<Changes>,
    /// Wakes the task that takes the changes out.
    notify: Notify,
    /// Wakes a thread that waits for late changes.
    arrived: Condvar,
}

/// The content of an [`Inbox`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The latest change of each path.
    pub by_path: BTreeMap<PathBuf, Change>,
    /// True if any file may have changed, because the system lost announcements, or because
    /// a watch has only just begun.
    pub unknown: bool,
}

// === impl Inbox ===

impl Inbox {
    /// Puts the change of a path into the inbox.
    pub fn put_change(&self, path: PathBuf, change: Change) {
        let mut changes = self.lock();
        match change {
            Change::Unfinished | Change::Complete => _ = changes.by_path.insert(path, change),
            Change::Touched => _ = changes.by_path.entry(path).or_insert(change),
        }
        drop(changes);
        self.wake_waiting();
    }

    /// Records that any file may have changed.
    pub fn put_unknown(&self) {
        self.lock().unknown = true;
        self.wake_waiting();
    }

    /// Takes all changes out of the inbox.
    pub fn take_changes(&self) -> Changes {
        std::mem::take(&mut *self.lock())
    }

    /// Waits for changes, and takes them out. Dropping the future loses no change.
    pub async fn wait_for_changes(&self) -> Changes {
        loop {
            let changes = self.take_changes();
            if changes != Changes::default() {
                return changes;
            }
            self.0.notify.notified().await;
        }
    }

    /// Returns true if one of the changes says that a file is unfinished. Waits up to `time`
    /// for late changes, and blocks the thread meanwhile.
    pub fn any_unfinished_within(&self, time: Duration) -> bool {
        let unfinished = |changes: &Changes| {
            changes.by_path.values().any(|change| *change == Change::Unfinished)
        };
        let waited =
            self.0.arrived.wait_timeout_while(self.lock(), time, |changes| !unfinished(changes));
        let (changes, _) = waited.unwrap_or_else(PoisonError::into_inner);
        unfinished(&changes)
    }

    fn wake_waiting(&self) {
        self.0.notify.notify_one();
        self.0.arrived.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Changes> {
        // A poisoned lock is harmless: each change is put in as a whole.
        self.0.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_latest_change_of_a_path_counts() {
        let inbox = Inbox::default();
        let wait = Duration::from_millis(1);
        assert!(!inbox.any_unfinished_within(wait));
        inbox.put_change("/a".into(), Change::Unfinished);
        inbox.put_change("/a".into(), Change::Touched);
        assert!(inbox.any_unfinished_within(wait));
        inbox.put_change("/a".into(), Change::Complete);
        inbox.put_change("/b".into(), Change::Complete);
        assert!(!inbox.any_unfinished_within(wait));
        let changes = inbox.wait_for_changes().await;
        assert_eq!(changes.by_path.len(), 2);
        assert_eq!(changes.by_path[&PathBuf::from("/a")], Change::Complete);
        assert!(!changes.unknown);

        inbox.put_unknown();
        assert!(inbox.wait_for_changes().await.unknown);
        assert_eq!(inbox.take_changes(), Changes::default());
    }

    #[test]
    fn a_change_that_arrives_late_is_waited_for() {
        let inbox = Inbox::default();
        let late = inbox.clone();
        let writer = std::thread::spawn(move || late.put_change("/a".into(), Change::Unfinished));
        assert!(inbox.any_unfinished_within(Duration::from_secs(60)));
        writer.join().unwrap();
    }
}
