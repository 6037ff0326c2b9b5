//! The list of servers that a near-cache has heard of: the handle for readers, and the writer
//! that the task of the stream owns.

use std::{collections::BTreeSet, sync::Arc};

use arc_swap::ArcSwap;
use presence_router_proto::v1;

use crate::ProtocolViolation;

/// Maximum bytes of the names in a list, so that no daemon can fill the memory. Enough for a
/// million servers.
const MAX_BYTES: usize = 64 << 20;

/// The servers that the policy or the directory names, and on which some rule allows recipients by
/// server or pattern, without the client's own servers. Clones share the list.
///
/// The destinations of an audience are the servers of its
/// [listed candidates](crate::Set::listed_candidates), and the named servers of which [`Set::coverage_on_server`](crate::Set::coverage_on_server) is not
/// [`Nobody`](crate::Coverage::Nobody).
#[derive(Clone, Debug)]
pub struct NamedServers(Arc<List>);

#[derive(Debug, Default)]
struct List {
    number: u64,
    /// Sorted.
    names: Box<[Arc<str>]>,
}

/// The list that a near-cache's task and all readers share.
#[derive(Debug, Default)]
pub(crate) struct SharedNamedServers(ArcSwap<List>);

/// Follows the list of each stream, and publishes it whenever it is complete.
#[derive(Debug, Default)]
pub(crate) struct NamedServersWriter {
    /// The list of the current stream.
    names: BTreeSet<Arc<str>>,
    bytes: usize,
    /// True until the stream's first list is complete, and between the parts of a later change.
    incomplete: bool,
    /// The number of the last list that was published. Numbers are never used again.
    last_number: u64,
}

// === impl NamedServers ===

impl NamedServers {
    /// Returns the names, sorted by their bytes.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.names.iter().map(|name| &**name)
    }

    /// Returns the number of the list. Lists of one near-cache with the same number are the
    /// same. 0: the daemon has named no list yet, or is too old to do so; then there are no names.
    pub fn number(&self) -> u64 {
        self.0.number
    }
}

// === impl SharedNamedServers ===

impl SharedNamedServers {
    pub(crate) fn load(&self) -> NamedServers {
        NamedServers(self.0.load_full())
    }
}

// === impl NamedServersWriter ===

impl NamedServersWriter {
    /// Begins the list of a stream. Until it is complete, readers keep the list of the stream
    /// before, like answers from then. `announced` is true if the daemon will send a list.
    pub(crate) fn begin_stream(&mut self, announced: bool, shared: &SharedNamedServers) {
        // An announced list comes first, and until then it is not complete.
        let (incomplete, last_number) = (announced, self.last_number);
        *self = Self { incomplete, last_number, ..Self::default() };
        if !announced {
            shared.0.store(Arc::default());
        }
    }

    /// Checks that the list is complete, as it must be when another message comes.
    pub(crate) fn check_complete(&self) -> Result<(), ProtocolViolation> {
        if self.incomplete { Err(ProtocolViolation::NamedServersIncomplete) } else { Ok(()) }
    }

    /// Applies a message of the stream.
    pub(crate) fn apply(
        &mut self,
        message: v1::NamedServers,
        shared: &SharedNamedServers,
    ) -> Result<(), ProtocolViolation> {
        let v1::NamedServers { added, removed, last } = message;
        for name in removed {
            if !self.names.remove(&*name) {
                return Err(ProtocolViolation::NamedServerUnknown);
            }
            self.bytes -= name.len();
        }
        for name in added {
            self.bytes += name.len();
            if self.bytes > MAX_BYTES {
                return Err(ProtocolViolation::NamedServersTooLong(MAX_BYTES));
            }
            if !self.names.insert(name.into()) {
                return Err(ProtocolViolation::NamedServerRepeated);
            }
        }
        self.incomplete = !last;
        if last {
            self.publish(shared);
        }
        Ok(())
    }

    /// Publishes the list, unless readers have it already: after a new connection it is
    /// usually the same.
    fn publish(&mut self, shared: &SharedNamedServers) {
        let now = shared.0.load();
        if now.number == 0 || !now.names.iter().eq(self.names.iter()) {
            self.last_number += 1;
            let (number, names) = (self.last_number, self.names.iter().cloned().collect());
            shared.0.store(Arc::new(List { number, names }));
        }
    }
}
