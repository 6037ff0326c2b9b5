//! Passing a state on to everybody: local users, application services, and other servers.

use super::{Homeserver, Presence};

// === impl Homeserver ===

impl Homeserver {
    /// Takes the presence that one of our users has set.
    pub(crate) async fn set_presence(&self, state: Presence) {
        self.take_state(state).await;
    }

    /// Stores a state, and passes it on.
    pub(super) async fn take_state(&self, state: Presence) {
        let user = state.user_id.clone();
        // Before anything waits, so that a join that comes between finds the state.
        self.presence().keep(state);
        self.pass_on(&user).await;
    }

    /// Passes the current state of a user on as far as somebody may see it.
    ///
    /// Takes a user and no state: a state that was read before a decision waited could come
    /// after a newer one.
    pub(super) async fn pass_on(&self, user: &str) {
        let is_own = self.is_own(user);
        let Some(state) = self.presence().state_of(user) else { return };
        // Without this decision, the states that other servers send for nobody would cost as
        // much as all others. They are kept: the event that shows one to a user, a join or a
        // policy, can reach the sender's server earlier than ours, and it sends only once.
        if !is_own && !self.decisions.is_for_us(&state).await {
            return;
        }
        let Some(state) = self.presence().publish(user) else { return };
        let waiting = self.wakers.waiting();
        for recipient in self.decisions.recipients_to_wake(&state, waiting).await {
            self.wakers.wake(&recipient);
        }
        // Other devices of the user.
        self.wakers.wake(&state.user_id);
        self.push_to_services(&self.users, std::slice::from_ref(&state)).await;
        if is_own {
            self.send_to_servers(&state).await;
        }
    }

    /// Passes the states of some senders on to one of our users again. Each is shown only if the
    /// next `/sync` decides so.
    pub(super) async fn resend(&self, recipient: &str, senders: &[&str]) {
        let mut states = Vec::new();
        for sender in senders {
            let mut presence = self.presence();
            presence.resend(sender, recipient);
            states.extend(presence.state_of(sender));
        }
        if !states.is_empty() {
            self.wakers.wake(recipient);
            self.push_to_services(&[recipient.to_owned()].into(), &states).await;
        }
    }
}
