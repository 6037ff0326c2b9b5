//! The Rust client beside a client that remembers.

use presence_router_client::{ChangeEvent, Changes, RouteStates};
use presence_router_engine::unstable::policy::document::Document;

use super::flipped;
use crate::harness::{Daemon, ways};
use crate::oracle::Homeserver;
use crate::worlds::everybody;

/// The Rust client, which asks again each time, and follows changes.
pub(super) struct Rust<'a> {
    homeserver: Homeserver<'a>,
    stream: RouteStates,
    changes: Changes,
}

impl<'a> Rust<'a> {
    pub(super) async fn open(daemon: &Daemon, homeserver: Homeserver<'a>) -> Self {
        let client = daemon.rust_client(homeserver);
        let mut changes = client.watch_changes();
        let connected = changes.next().await;
        assert!(matches!(connected, Some(ChangeEvent::Connected { .. })), "{connected:?}");
        Self { homeserver, stream: client.route_states(), changes }
    }

    pub(super) async fn compare(&self, daemon: &Daemon, document: &Document) {
        let (users, revision, homeserver) = (everybody(), daemon.revision(), self.homeserver);
        let said = ways::router(&self.stream, homeserver, &users, Some(&revision)).await;
        assert_eq!(said, ways::oracle(document, homeserver, &users));
    }

    pub(super) async fn hear_reset(&mut self, revision: &str) {
        let event = self.changes.next().await;
        let is_reset =
            matches!(&event, Some(ChangeEvent::Reset { revision: at, .. }) if at == revision);
        assert!(is_reset, "not expected: {event:?}");
    }

    pub(super) async fn hear(&mut self, revision: &str, [old, new]: [&Document; 2], exact: bool) {
        let mut told: [Vec<_>; 2] = Default::default();
        loop {
            let event = self.changes.next().await;
            let Some(ChangeEvent::Changed(changed)) = event else {
                panic!("not expected: {event:?}")
            };
            let products = [changed.gained, changed.lost];
            told.iter_mut().zip(products).for_each(|(told, products)| told.extend(products));
            if changed.revision == revision {
                break;
            }
        }
        let users = everybody();
        let flipped =
            [(new, old), (old, new)].map(|(one, other)| flipped(one, other, &[self.homeserver]));
        for (products, flipped) in told.iter().zip(&flipped) {
            let told = |one: &str, other: &str| products.iter().any(|p| p.contains(one, other));
            assert!(flipped.iter().all(|(sender, recipient)| told(sender, recipient)));
            let pairs = users.iter().flat_map(|one| users.iter().map(move |other| (one, other)));
            for (one, other) in pairs.filter(|_| exact) {
                assert_eq!(told(one, other), flipped.contains(&(one.clone(), other.clone())));
            }
        }
    }
}
