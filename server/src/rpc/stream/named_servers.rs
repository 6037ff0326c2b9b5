//! The servers that a stream has named to its client, and the messages that bring this list up
//! to date with a snapshot.

use std::sync::Arc;

use presence_router_engine::{Caller, Snapshot};
use presence_router_proto::v1::NamedServers;

use super::set_table::MAX_PART_BYTES;

/// The list of servers that a client has. It shares the list of a snapshot, which also contains
/// the caller's own servers: these are never sent.
#[derive(Debug, Default)]
pub(super) struct SentServers {
    /// `None`: the client has heard of no list yet.
    sent: Option<Arc<[Box<str>]>>,
}

// === impl SentServers ===

impl SentServers {
    /// Moves to the list of a snapshot, and returns the messages for the client: none if its
    /// list stays the same, but always at least one the first time.
    pub(super) fn follow_snapshot(
        &mut self,
        snapshot: &Snapshot,
        caller: &Caller,
    ) -> Vec<NamedServers> {
        let now = snapshot.possible_destinations();
        if self.sent.as_ref().is_some_and(|sent| Arc::ptr_eq(sent, now)) {
            return Vec::new();
        }
        let before = self.sent.replace(Arc::clone(now));
        let is_first = before.is_none();
        let before = before.unwrap_or_default();
        let only_in = |list: &[Box<str>], other: &[Box<str>]| {
            let names = list.iter().filter(|name| other.binary_search(name).is_err());
            names.filter(|name| !caller.holds(name)).map(|name| String::from(&**name)).collect()
        };
        let (removed, added): (Vec<_>, Vec<_>) = (only_in(&before, now), only_in(now, &before));
        if removed.is_empty() && added.is_empty() && !is_first {
            return Vec::new();
        }
        write_messages(removed, added)
    }
}

/// Writes a change of the list, in messages that clients take. Returns at least one message.
fn write_messages(removed: Vec<String>, added: Vec<String>) -> Vec<NamedServers> {
    let (mut messages, mut message, mut bytes) = (Vec::new(), NamedServers::default(), 0);
    let mut make_room = |message: &mut NamedServers, name: &String| {
        if bytes + name.len() > MAX_PART_BYTES {
            messages.push(std::mem::take(message));
            bytes = 0;
        }
        bytes += name.len();
    };
    for name in removed {
        make_room(&mut message, &name);
        message.removed.push(name);
    }
    for name in added {
        make_room(&mut message, &name);
        message.added.push(name);
    }
    message.last = true;
    messages.push(message);
    messages
}
