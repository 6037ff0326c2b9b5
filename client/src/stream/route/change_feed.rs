//! Changes that the task of a near-cache reports to any number of subscribers; `subscription` is
//! the side of a subscriber.
//!
//! The task never waits for a subscriber. If too many events wait for one, the task drops its
//! channel; the subscriber takes these events, subscribes again, and gets `Reset` in place of the
//! events that it missed.

mod subscription;

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

pub(super) use self::subscription::Subscription;
use crate::{ChangeEvent, Changed, Error};

/// Maximum number of events that wait for one subscriber. Enough for bursts of edits while the
/// subscriber acts on an event; each event may keep outdated lists of users in memory.
const MAX_WAITING: usize = 64;

/// The connection of the near-cache to its daemon, and the subscribers to its changes.
#[derive(Debug, Default)]
pub(crate) struct ChangeFeed(Mutex<Feed>);

#[derive(Debug, Default)]
struct Feed {
    /// `None`: the first attempt to connect has not ended.
    connection: Option<Connection>,
    /// True if there was a connection at some time.
    was_connected: bool,
    subscribers: Vec<mpsc::Sender<ChangeEvent>>,
    /// True if the task has ended.
    ended: bool,
}

/// The state of the connection.
#[derive(Clone, Debug)]
enum Connection {
    /// Memory has arrived at this revision.
    Connected { revision: String },
    /// The last stream ended, or did not open, for this reason, or one before in the same outage,
    /// which a daemon refused; or the current one has not reported the missed changes yet.
    Disconnected(Error),
}

// === impl ChangeFeed ===

impl ChangeFeed {
    /// Reports a connection that needs not, or cannot, report missed changes. `resumed`: the
    /// stream resumes from a revision, so that no change is unknown.
    pub(super) fn report_connected(&self, revision: &str, resumed: bool) {
        let mut feed = self.lock();
        let is_missing_changes = feed.was_connected && !resumed;
        feed.arrive_at(revision);
        if is_missing_changes {
            feed.send(&ChangeEvent::Reset { revision: revision.to_owned() });
        }
    }

    /// Reports a change, and first the connection if this is the change that it missed.
    pub(super) fn report_changed(&self, changed: Changed) {
        let mut feed = self.lock();
        feed.arrive_at(&changed.revision);
        feed.send(&ChangeEvent::Changed(changed));
    }

    /// Reports an unknown change, and first the connection if this is the change that it missed.
    pub(super) fn report_reset(&self, revision: &str) {
        let mut feed = self.lock();
        feed.arrive_at(revision);
        feed.send(&ChangeEvent::Reset { revision: revision.to_owned() });
    }

    /// Reports that there is no connection: once for each outage, and once more if answers in
    /// memory end only later, because a daemon refuses the stream.
    pub(super) fn report_disconnected(&self, error: &Error) {
        let mut feed = self.lock();
        let earlier = match &feed.connection {
            Some(Connection::Disconnected(earlier)) => Some(earlier.is_refusal()),
            _ => None,
        };
        if earlier != Some(true) || error.is_refusal() {
            feed.connection = Some(Connection::Disconnected(error.clone()));
        }
        if earlier.is_none() || (earlier == Some(false) && error.is_refusal()) {
            feed.send(&ChangeEvent::Disconnected(error.clone()));
        }
    }

    /// Ends all subscriptions, when the task ends.
    pub(super) fn end(&self) {
        let mut feed = self.lock();
        feed.ended = true;
        feed.subscribers.clear();
    }

    /// Adds a subscriber to the events from now on, and returns the state of the connection
    /// before them. `None`: the task has ended.
    fn subscribe(&self) -> Option<(Option<Connection>, mpsc::Receiver<ChangeEvent>)> {
        let mut feed = self.lock();
        let (sender, events) = mpsc::channel(MAX_WAITING);
        if feed.ended {
            return None;
        }
        feed.subscribers.push(sender);
        Some((feed.connection.clone(), events))
    }

    fn lock(&self) -> MutexGuard<'_, Feed> {
        // A poisoned lock is fine: nothing panics between two steps of an update.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Feed ===

impl Feed {
    /// Takes over a revision, and reports the connection if there was none.
    fn arrive_at(&mut self, revision: &str) {
        let connected = Connection::Connected { revision: revision.to_owned() };
        let earlier = self.connection.replace(connected.clone());
        if !matches!(earlier, Some(Connection::Connected { .. })) {
            self.was_connected = true;
            self.send(&connected.into());
        }
    }

    /// Sends an event to all subscribers, except those that lag behind or are gone.
    fn send(&mut self, event: &ChangeEvent) {
        self.subscribers.retain(|subscriber| subscriber.try_send(event.clone()).is_ok());
    }
}

impl From<Connection> for ChangeEvent {
    fn from(connection: Connection) -> Self {
        match connection {
            Connection::Connected { revision } => Self::Connected { revision },
            Connection::Disconnected(error) => Self::Disconnected(error),
        }
    }
}

#[cfg(test)]
mod tests;
