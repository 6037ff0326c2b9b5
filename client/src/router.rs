//! What a homeserver asks, whoever answers.

use std::{fmt, pin::Pin};

use crate::{
    Changes, Client, Error, Interest, RouteStates, Routed, stream::watch, v1::PresenceState,
};

/// An answer that is still to come.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Decides who may see whose presence: the two callbacks, and what changes.
///
/// [`RouteStates`] asks a daemon over a stream, [`Client`] by unary calls, and
/// `InProcess` (feature `in-process`) decides by an engine in the process.
///
/// It is object-safe, so that a homeserver holds an `Arc<dyn PresenceRouter>`
/// that its configuration or its tests choose, without a type parameter on
/// everything around it. The price is one allocation for each call, next to
/// nothing beside a question to a daemon.
pub trait PresenceRouter: fmt::Debug + Send + Sync {
    /// Who must receive each of some states, by their senders: one user id for
    /// each state.
    ///
    /// # Errors
    /// If there is no verdict. Then nothing is known about any of the states.
    fn users_for_states(&self, senders: Vec<String>) -> Answer<'_, Routed>;

    /// Whose presence a user may see, local or remote. The exact mirror.
    ///
    /// # Errors
    /// If there is no verdict.
    fn interested_users(&self, user_id: String) -> Answer<'_, Interest>;

    /// Who gains and who loses sight of whom from here on, for ever.
    ///
    /// Not enough to keep answers by: that something else is hidden is not told, and
    /// one that is under way may be of before a change that was told already.
    ///
    /// Must be called within a tokio runtime.
    fn changes(&self) -> Changes;
}

// === impl PresenceRouter ===

impl PresenceRouter for RouteStates {
    fn users_for_states(&self, senders: Vec<String>) -> Answer<'_, Routed> {
        Box::pin(self.route(senders))
    }

    fn interested_users(&self, user_id: String) -> Answer<'_, Interest> {
        Box::pin(self.interest(user_id))
    }

    fn changes(&self) -> Changes {
        watch::start(self.shared().clone())
    }
}

impl PresenceRouter for Client {
    fn users_for_states(&self, senders: Vec<String>) -> Answer<'_, Routed> {
        Box::pin(async move {
            let state =
                |user: &String| PresenceState { user_id: user.clone(), ..PresenceState::default() };
            let states = senders.iter().map(state).collect();
            Routed::from_unary(senders.into(), self.get_users_for_states(states).await?)
        })
    }

    fn interested_users(&self, user_id: String) -> Answer<'_, Interest> {
        Box::pin(async move {
            let answer = self.get_interested_users(user_id.as_str()).await?;
            Interest::from_unary(user_id, answer)
        })
    }

    fn changes(&self) -> Changes {
        self.watch_changes()
    }
}
