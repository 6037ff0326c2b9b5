//! Changes of files that nobody has looked at yet: the thread that hears of them puts
//! them in, the task that reloads takes them out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// A change, as far as the operating system describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Somebody writes to the file and has not closed it, so that it may be half of
    /// what it is to be.
    Unfinished,

    /// The file was closed by its writer, replaced, or removed: what is there is
    /// complete.
    Complete,

    /// Something else about it changed, such as its mode. It is as finished as it was.
    Touched,
}

/// Changes to look at: of each path the latest, since it says how the file is now.
#[derive(Clone, Debug, Default)]
pub struct Inbox(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    changes: Mutex<Changes>,
    /// For the task that takes them out.
    notify: Notify,
    /// For a thread that gives late ones time to arrive.
    arrived: Condvar,
}

/// The content of an [`Inbox`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// By path.
    pub by_path: BTreeMap<PathBuf, Change>,
    /// Anything may have changed: the system lost count, or began to watch.
    pub unknown: bool,
}

// === impl Inbox ===

impl Inbox {
    /// Puts in a change of a path.
    pub fn put(&self, path: PathBuf, change: Change) {
        let mut changes = self.lock();
        match change {
            Change::Unfinished | Change::Complete => _ = changes.by_path.insert(path, change),
            Change::Touched => _ = changes.by_path.entry(path).or_insert(change),
        }
        drop(changes);
        self.announce();
    }

    /// Puts in that anything may have changed.
    pub fn put_unknown(&self) {
        self.lock().unknown = true;
        self.announce();
    }

    /// Takes out all changes.
    pub fn take(&self) -> Changes {
        std::mem::take(&mut *self.lock())
    }

    /// Waits until there are changes, and takes them out. May be dropped at any time:
    /// no change is lost.
    pub async fn changed(&self) -> Changes {
        loop {
            let changes = self.take();
            if changes != Changes::default() {
                return changes;
            }
            self.0.notify.notified().await;
        }
    }

    /// Whether a file is unfinished by one of the changes. Gives those that are on
    /// their way so much time to arrive; blocks the thread meanwhile.
    pub fn any_unfinished_within(&self, time: Duration) -> bool {
        let unfinished = |changes: &Changes| {
            changes.by_path.values().any(|change| *change == Change::Unfinished)
        };
        let waited =
            self.0.arrived.wait_timeout_while(self.lock(), time, |changes| !unfinished(changes));
        let (changes, _) = waited.unwrap_or_else(PoisonError::into_inner);
        unfinished(&changes)
    }

    fn announce(&self) {
        self.0.notify.notify_one();
        self.0.arrived.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Changes> {
        // Poison is no harm: every change is put in whole.
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
        inbox.put("/a".into(), Change::Unfinished);
        inbox.put("/a".into(), Change::Touched);
        assert!(inbox.any_unfinished_within(wait));
        inbox.put("/a".into(), Change::Complete);
        inbox.put("/b".into(), Change::Complete);
        assert!(!inbox.any_unfinished_within(wait));
        let changes = inbox.changed().await;
        assert_eq!(changes.by_path.len(), 2);
        assert_eq!(changes.by_path[&PathBuf::from("/a")], Change::Complete);
        assert!(!changes.unknown);

        inbox.put_unknown();
        assert!(inbox.changed().await.unknown);
        assert_eq!(inbox.take(), Changes::default());
    }

    #[test]
    fn a_change_that_arrives_late_is_waited_for() {
        let inbox = Inbox::default();
        let late = inbox.clone();
        let writer = std::thread::spawn(move || late.put("/a".into(), Change::Unfinished));
        assert!(inbox.any_unfinished_within(Duration::from_secs(60)));
        writer.join().unwrap();
    }
}
