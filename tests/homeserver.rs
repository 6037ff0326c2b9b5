//! A small homeserver, in memory, that has handed over its whole presence decision. It is the
//! example of the chapter "Hand over the whole decision" in `server/docs/integration.md`.
//!
//! Reading order: `decisions` asks `Visibility` at the eight points where a homeserver decides
//! about presence, and nothing else in this folder decides. `rooms` holds the facts about rooms,
//! `presence` the states of users and their order. `announce` tells everybody about a state,
//! `sync` and `status` answer the requests of clients, `federation` sends and takes EDUs,
//! `services` serves application services, and `changes` follows policies, rooms and outages.

mod announce;
mod changes;
mod decisions;
mod federation;
mod presence;
mod rooms;
mod services;
mod status;
mod sync;
mod wake;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use presence_router_client::Visibility;

use self::decisions::Decisions;
use self::presence::PresenceStream;
use self::services::Services;
use self::wake::Wakers;

pub(crate) use self::federation::Edu;
pub(crate) use self::presence::Presence;
pub(crate) use self::rooms::{Room, Rooms};
pub(crate) use self::services::Shown;

/// A homeserver with its users. Every method is what a request, an EDU, an event in a room or a
/// message of the daemon causes.
pub(crate) struct Homeserver {
    /// The server's own names, as in user ids.
    server_names: BTreeSet<String>,
    /// The users of the server.
    users: BTreeSet<String>,
    /// Servers to which presence may be sent, besides those of room-mates.
    peers: BTreeSet<String>,
    rooms: Arc<RwLock<Rooms>>,
    decisions: Decisions,
    presence: Mutex<PresenceStream>,
    wakers: Wakers,
    services: Mutex<Services>,
    /// EDUs to send, each with its destination.
    outbox: Mutex<Vec<(String, Edu)>>,
}

// === impl Homeserver ===

impl Homeserver {
    /// Creates a homeserver that asks `visibility`.
    pub(crate) fn new(
        server_names: impl IntoIterator<Item = impl Into<String>>,
        users: impl IntoIterator<Item = impl Into<String>>,
        visibility: Visibility,
    ) -> Self {
        let server_names: BTreeSet<_> = server_names.into_iter().map(Into::into).collect();
        let rooms = Arc::new(RwLock::new(Rooms::default()));
        Self {
            decisions: Decisions::new(visibility, rooms.clone(), server_names.clone()),
            users: users.into_iter().map(Into::into).collect(),
            server_names,
            peers: BTreeSet::new(),
            rooms,
            presence: Mutex::default(),
            wakers: Wakers::default(),
            services: Mutex::default(),
            outbox: Mutex::default(),
        }
    }

    /// Adds servers that share no room with this one, and whose users may see presence all the
    /// same: those of `NearCache::named_servers`, and of users whom an audience lists.
    pub(crate) fn add_peers(&mut self, peers: impl IntoIterator<Item = String>) {
        self.peers.extend(peers);
        self.peers.retain(|peer| !self.server_names.contains(peer));
    }

    /// Returns true if a user lives on this server.
    pub(crate) fn is_own(&self, user: &str) -> bool {
        self.server_names.contains(server_of(user))
    }

    fn presence(&self) -> MutexGuard<'_, PresenceStream> {
        self.presence.lock().unwrap()
    }
}

/// The server name of a user id.
fn server_of(user: &str) -> &str {
    user.split_once(':').unwrap().1
}
