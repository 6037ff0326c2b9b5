//! Comparisons of what a world shows with the oracle.

use presence_router_client::{Fields, WhenAway};
use presence_router_engine::unstable::policy::document::Document;

use super::Counts;
use super::oracle::{depends_on_rooms, hidden, hidden_in_some_rooms, visible};
use super::policies::{SERVERS, STRANGERS, USERS};
use super::world::{World, server_index};
use crate::homeserver::{Presence, Rooms};
use crate::oracle::split;

/// What is compared of a state that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Each field.
    Fields,
    /// The latest state, with whatever fields: a change of hides alone is not announced.
    State,
}

// === impl World ===

impl World<'_> {
    /// Whether a recipient may see a sender, by the rooms that one homeserver knows.
    pub(super) fn may_see(&self, place: usize, sender: &str, recipient: &str) -> bool {
        self.servers[place].homeserver.with_rooms(|rooms| match self.away {
            Some(when_away) => sees_without_daemon(when_away, rooms, sender, recipient),
            None => self.policies.iter().any(|policy| visible(policy, rooms, sender, recipient)),
        })
    }

    /// Checks what a user of a homeserver is shown: the state that the homeserver has, without
    /// hidden fields, of somebody whom the user may see.
    pub(super) fn check_shown(&self, place: usize, recipient: &str, state: &Presence) {
        let sender = &state.user_id;
        let homeserver = &self.servers[place].homeserver;
        let stored = homeserver.stored_state(sender).unwrap();
        if sender == recipient {
            assert_eq!(*state, stored);
            return;
        }
        let is_right = homeserver.with_rooms(|rooms| match self.away {
            Some(when_away) => {
                sees_without_daemon(when_away, rooms, sender, recipient) && *state == stored
            }
            None => self.policies.iter().any(|policy| {
                let hidden = hidden(policy, rooms, sender, recipient, &stored.presence);
                visible(policy, rooms, sender, recipient) && *state == stored.without(hidden)
            }),
        });
        assert!(is_right, "{recipient} was shown {state:?} of {stored:?}");
        Counts::add(&self.counts.shown, 1);
        Counts::add(&self.counts.hidden, usize::from(*state != stored));
    }

    /// Checks the copy that a homeserver sends: it has no field that is hidden from anybody on the
    /// other one, and somebody there may see the sender. Where rules require relations, a set may
    /// cover a server without members there, and the copy is shown to nobody.
    pub(super) fn check_copy(&self, place: usize, destination: &str, copy: &Presence) {
        let sender = &copy.user_id;
        let homeserver = &self.servers[place].homeserver;
        let stored = homeserver.stored_state(sender).unwrap();
        let is_right = homeserver.with_rooms(|rooms| match self.away {
            Some(when_away) => {
                let sees = |user| sees_without_daemon(when_away, rooms, sender, user);
                users_on(destination).any(sees) && *copy == stored
            }
            None => self.policies.iter().any(|policy| {
                let may_cover = policy.rules.iter().any(|rule| rule.relation.is_some());
                let sees = |user| visible(policy, rooms, sender, user);
                (may_cover || users_on(destination).any(sees))
                    && is_copy(policy, rooms, destination, &stored, copy)
            }),
        });
        assert!(is_right, "{destination} was sent {copy:?} of {stored:?}");
        Counts::add(&self.counts.copies, 1);
    }

    /// Checks that a recipient was shown what it may see of a sender, and that the recipient's
    /// application service was.
    pub(super) fn check_arrival(
        &self,
        sender: &'static str,
        recipient: &'static str,
        extent: Extent,
    ) {
        let place = server_index(recipient);
        let Some(latest) = self.latest.get(sender) else { return };
        if !self.may_see(place, sender, recipient) {
            return;
        }
        let server = &self.servers[place];
        let policy = self.policies.last().unwrap();
        let stored = server.homeserver.stored_state(sender);
        let stored =
            stored.unwrap_or_else(|| panic!("{sender} has not reached {}", SERVERS[place]));
        server.homeserver.with_rooms(|rooms| {
            let is_right = match extent {
                Extent::State => is_shortened(latest, &stored, Fields::ALL),
                Extent::Fields if server_index(sender) == place => stored == *latest,
                Extent::Fields => is_copy(policy, rooms, SERVERS[place], latest, &stored),
            };
            assert!(is_right, "{} has {stored:?} of {latest:?}", SERVERS[place]);
            let hidden = hidden(policy, rooms, sender, recipient, &stored.presence);
            let client = &server.clients[recipient];
            for (way, shown) in [("shown", &client.shown), ("pushed", &client.pushed)] {
                let shown = shown.get(sender);
                let is_right = shown.is_some_and(|shown| match extent {
                    Extent::State => is_shortened(&stored, shown, Fields::ALL),
                    Extent::Fields => *shown == stored.without(hidden),
                });
                assert!(is_right, "{recipient} was {way} {shown:?} of {stored:?}, not {hidden:?}");
            }
        });
        Counts::add(&self.counts.arrived, 1);
        let by_rooms = depends_on_rooms(policy, sender, recipient);
        Counts::add(&self.counts.by_rooms, usize::from(by_rooms));
    }
}

/// Whether a recipient sees a sender while the daemon is away.
fn sees_without_daemon(when_away: WhenAway, rooms: &Rooms, sender: &str, recipient: &str) -> bool {
    let members = |room: &crate::homeserver::Room| {
        room.members.contains(sender) && room.members.contains(recipient)
    };
    let by_rooms = when_away == WhenAway::Rooms;
    by_rooms && sender != recipient && rooms.iter().any(|(_, room)| members(room))
}

/// Users on a server, known or not.
fn users_on(server: &str) -> impl Iterator<Item = &'static str> {
    USERS.into_iter().chain(STRANGERS).filter(move |user| split(user).1 == server)
}

/// Whether a copy has all fields of a state but those that are hidden from anybody on a server:
/// by the rooms at least, and in whatever rooms at most.
fn is_copy(
    policy: &Document,
    rooms: &Rooms,
    destination: &str,
    state: &Presence,
    copy: &Presence,
) -> bool {
    let sender = &state.user_id;
    let (mut least, mut most) = (Fields::NONE, Fields::NONE);
    for user in users_on(destination) {
        if visible(policy, rooms, sender, user) {
            least = least.union(hidden(policy, rooms, sender, user, &state.presence));
        }
        most = most.union(hidden_in_some_rooms(policy, sender, user, &state.presence));
    }
    is_shortened(&state.without(least), copy, most)
}

/// Whether a state is another one without some of these fields.
fn is_shortened(state: &Presence, copy: &Presence, most: Fields) -> bool {
    let mut fields = [Fields::NONE; 4];
    fields[0].presence = most.presence;
    fields[1].status_msg = most.status_msg;
    fields[2].last_active_ts = most.last_active_ts;
    fields[3].currently_active = most.currently_active;
    (0..16).any(|some| {
        let chosen = fields.into_iter().enumerate().filter(|(bit, _)| some >> bit & 1 == 1);
        *copy == state.without(chosen.fold(Fields::NONE, |all, (_, one)| all.union(one)))
    })
}
