//! `GET /presence/{userId}/status`.

use super::{Homeserver, Presence};

// === impl Homeserver ===

impl Homeserver {
    /// Returns what a user may see of another user's presence. `None`: nothing, and the client
    /// cannot tell a user without presence from one whom it may not see.
    pub(crate) async fn get_status(&self, requester: &str, user: &str) -> Option<Presence> {
        let state = self.presence().state_of(user)?;
        if requester == user {
            return Some(state);
        }
        self.decisions.show_status(requester, &state).await
    }
}
