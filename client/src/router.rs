//! The interface of a homeserver to any presence router: daemon or engine.

use std::{fmt, pin::Pin};

use crate::{
    Changes, Client, Error, Interest, RouteStates, Routed, stream::watch, v1::PresenceState,
};

/// The future of an answer.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Decides which users may see whose presence: the two callbacks, and changes.
///
/// [`RouteStates`] asks a daemon over a stream, [`NearCache`](crate::NearCache) does so if its
/// memory lacks an answer, [`Client`] asks by unary calls, and `InProcess` (feature
/// `in-process`) asks an engine in the process.
///
/// The trait is object-safe, so that a homeserver can hold an `Arc<dyn PresenceRouter>`
/// chosen by its configuration or its tests, without a type parameter on all the code
/// around it. The price is one allocation for each call, which is negligible beside a
/// call to a daemon.
pub trait PresenceRouter: fmt::Debug + Send + Sync {
    /// Returns the recipients of each of some states. `senders` contains one user id for
    /// each state.
    ///
    /// # Errors
    /// If there is no verdict, for any of the states.
    fn users_for_states(&self, senders: Vec<String>) -> Answer<'_, Routed>;

    /// Returns the senders whose presence a user, local or remote, may see: the exact
    /// mirror of [`PresenceRouter::users_for_states`].
    ///
    /// # Errors
    /// If there is no verdict.
    fn interested_users(&self, user_id: String) -> Answer<'_, Interest>;

    /// Returns an endless stream of changes of visibility, from now on.
    ///
    /// Do not use it to keep cached answers valid: changes to hidden fields are not
    /// reported, and an answer in flight may predate a change that was already reported. The
    /// answers of a [`NearCache`](crate::NearCache) need no such care.
    ///
    /// Must be called within a tokio runtime.
    fn watch_changes(&self) -> Changes;
}

// === impl PresenceRouter ===

impl PresenceRouter for RouteStates {
    fn users_for_states(&self, senders: Vec<String>) -> Answer<'_, Routed> {
        Box::pin(self.route_batch(senders))
    }

    fn interested_users(&self, user_id: String) -> Answer<'_, Interest> {
        Box::pin(self.query_interest(user_id))
    }

    fn watch_changes(&self) -> Changes {
        watch::watch_changes(self.shared().clone())
    }
}

impl PresenceRouter for Client {
    fn users_for_states(&self, senders: Vec<String>) -> Answer<'_, Routed> {
        Box::pin(async move {
            let state =
                |user: &String| PresenceState { user_id: user.clone(), ..PresenceState::default() };
            let states = senders.iter().map(state).collect();
            let answer = self.get_users_for_states(states).await?;
            Routed::from_unary(senders.into(), answer, self.shared.room_capabilities)
        })
    }

    fn interested_users(&self, user_id: String) -> Answer<'_, Interest> {
        Box::pin(async move {
            let answer = self.get_interested_users(user_id.as_str()).await?;
            Interest::from_unary(user_id, answer, self.shared.room_capabilities)
        })
    }

    fn watch_changes(&self) -> Changes {
        self.watch_changes()
    }
}
