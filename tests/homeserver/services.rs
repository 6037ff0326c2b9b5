//! Application services, which get the presence that their users may see.

use std::collections::BTreeSet;

use presence_router_client::UserGlob;

use super::{Homeserver, Presence};

/// The application services of the homeserver.
#[derive(Debug, Default)]
pub(super) struct Services(Vec<Service>);

#[derive(Debug)]
struct Service {
    /// The users of the service.
    namespace: UserGlob,
    /// What waits for the service's next transaction.
    pending: Vec<Shown>,
}

/// A state in a transaction, as one user of the application service sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) recipient: String,
    pub(crate) state: Presence,
}

// === impl Homeserver ===

impl Homeserver {
    /// Registers an application service for all users that match a pattern, and returns its
    /// number.
    pub(crate) fn register_service(&self, namespace: &str) -> usize {
        let namespace = UserGlob::parse(namespace).unwrap();
        let mut services = self.services.lock().unwrap();
        services.0.push(Service { namespace, pending: Vec::new() });
        services.0.len() - 1
    }

    /// Returns what waits for an application service, and forgets it.
    pub(crate) fn take_transaction(&self, service: usize) -> Vec<Shown> {
        std::mem::take(&mut self.services.lock().unwrap().0[service].pending)
    }

    /// Passes states on to those of some users that belong to application services.
    pub(super) async fn push_to_services(&self, users: &BTreeSet<String>, states: &[Presence]) {
        let namespaces: Vec<_> = {
            let services = self.services.lock().unwrap();
            services.0.iter().map(|service| service.namespace.clone()).collect()
        };
        for (number, namespace) in namespaces.iter().enumerate() {
            let users = users.iter().filter(|user| namespace.matches(user)).cloned().collect();
            let shown = self.decisions.filter_for_service(&users, states).await;
            // As for servers: no state comes after a newer one.
            let presence = self.presence();
            let current = presence.users_of_current(states);
            let shown = shown.into_iter().filter(|(_, state)| current.contains(&state.user_id));
            let shown = shown.map(|(recipient, state)| Shown { recipient, state });
            self.services.lock().unwrap().0[number].pending.extend(shown);
        }
    }
}
