//! Long-polling requests that wait for news.

use std::collections::BTreeMap;
use std::sync::Mutex;

use tokio::sync::watch;

use super::Homeserver;

/// The users whose requests wait.
#[derive(Debug, Default)]
pub(super) struct Wakers(Mutex<BTreeMap<String, watch::Sender<()>>>);

// === impl Wakers ===

impl Wakers {
    /// Lets a request wait for the next wake-up of a user.
    pub(super) fn subscribe(&self, user: &str) -> watch::Receiver<()> {
        self.0.lock().unwrap().entry(user.to_owned()).or_default().subscribe()
    }

    /// Returns the users whose requests wait.
    pub(super) fn waiting(&self) -> Vec<String> {
        let mut wakers = self.0.lock().unwrap();
        wakers.retain(|_, waker| waker.receiver_count() > 0);
        wakers.keys().cloned().collect()
    }

    /// Wakes the requests of a user.
    pub(super) fn wake(&self, user: &str) {
        if let Some(waker) = self.0.lock().unwrap().get(user) {
            waker.send_replace(());
        }
    }
}

// === impl Homeserver ===

impl Homeserver {
    /// Waits for wake-ups of a user, as a long-polling request does.
    pub(crate) fn subscribe(&self, user: &str) -> watch::Receiver<()> {
        self.wakers.subscribe(user)
    }
}
