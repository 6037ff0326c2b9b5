//! Changes of visibility, in the form that a homeserver uses.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use tokio_stream::Stream;

use crate::{Error, Set};

/// An event for a homeserver that follows changes.
///
/// The first event is `Connected` or `Disconnected`, and the two alternate, but for a second
/// `Disconnected` of a near-cache. All other events come while connected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeEvent {
    /// The daemon reports every change from here on. After an outage it first reports
    /// the missed changes, as `Changed` or `Reset`; if neither comes, none was missed.
    /// Users for whom the homeserver got no verdict meanwhile may count as changed.
    Connected {
        /// The current revision. Opaque.
        revision: String,
    },
    /// Pairs became visible, or are no longer visible.
    Changed(Changed),
    /// Everything may have changed: the change is unknown, or too large to report.
    Reset {
        /// The current revision from here on. Opaque.
        revision: String,
    },
    /// The connection failed, for this reason, and changes are missed from here on.
    /// Comes once for each outage, however often connecting fails; from a near-cache once more
    /// if its daemon was unreachable at first, and then refuses: its answers end only by this
    /// (see [`Error::is_refusal`]). The stream reconnects by itself without end, even if the
    /// daemon refused.
    Disconnected(Error),
}

/// Pairs that became visible or are no longer visible since the previous revision.
///
/// Covers every pair whose visibility changed. Exact for finite sets; if globs
/// overlap, it may include pairs that did not change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changed {
    /// The current revision from here on. Opaque.
    pub revision: String,
    /// Pairs that became visible.
    pub gained: Vec<PairProduct>,
    /// Pairs that are no longer visible.
    pub lost: Vec<PairProduct>,
}

/// All pairs of a sender in one set and a recipient in another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PairProduct {
    /// The senders. Modulo self.
    pub senders: Set,
    /// The recipients. Modulo self.
    pub recipients: Set,
}

/// An endless stream of changes. It ends only with the tokio runtime that it was
/// created in.
///
/// Few events that the caller does not take accumulate. Beyond them, the daemon waits, and
/// reports one combined change afterwards. A [`NearCache`](crate::NearCache) does not wait:
/// the caller gets `Reset` in place of the events that do not fit, and never two `Connected` in
/// a row.
pub struct Changes(Pin<Box<dyn Stream<Item = ChangeEvent> + Send>>);

// === impl PairProduct ===

impl PairProduct {
    /// Returns true if the product contains a pair. It never contains the pair of a
    /// user with itself.
    pub fn contains(&self, sender: &str, recipient: &str) -> bool {
        sender != recipient && self.senders.contains(sender) && self.recipients.contains(recipient)
    }
}

// === impl Changes ===

impl Changes {
    /// Creates a stream of changes from any events, for implementations of
    /// [`PresenceRouter`](crate::PresenceRouter) in tests.
    pub fn new(events: impl Stream<Item = ChangeEvent> + Send + 'static) -> Self {
        Self(Box::pin(events))
    }

    /// Waits for the next event. Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<ChangeEvent> {
        std::future::poll_fn(|cx| self.0.as_mut().poll_next(cx)).await
    }
}

impl Stream for Changes {
    type Item = ChangeEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ChangeEvent>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}
