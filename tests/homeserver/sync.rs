//! `/sync`, as far as it is about presence.

use super::{Homeserver, Presence};

/// The answer to `/sync`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyncResponse {
    pub(crate) presence: Vec<Presence>,
    /// The token for the next request.
    pub(crate) next_batch: u64,
}

// === impl Homeserver ===

impl Homeserver {
    /// Answers at once. `since`: the token of the request before; `None` for the first one.
    pub(crate) async fn sync(&self, user: &str, since: Option<u64>) -> SyncResponse {
        let (next_batch, states) = {
            let presence = self.presence();
            let states = match since {
                Some(position) => presence.states_since(user, position),
                None => presence.states(),
            };
            (presence.last_position(), states)
        };
        // Users see their own presence, whatever the policy says.
        let (own, others): (Vec<_>, Vec<_>) =
            states.into_iter().partition(|state| state.user_id == user);
        let mut presence = self.decisions.filter_sync(user, &others).await;
        presence.extend(own);
        SyncResponse { presence, next_batch }
    }

    /// Answers when there is something to show.
    pub(crate) async fn sync_with_news(&self, user: &str, since: u64) -> SyncResponse {
        // Before the states are read, so that no wake-up is missed.
        let mut woken = self.subscribe(user);
        let mut since = since;
        loop {
            let response = self.sync(user, Some(since)).await;
            if !response.presence.is_empty() {
                return response;
            }
            since = response.next_batch;
            woken.changed().await.unwrap();
        }
    }
}
