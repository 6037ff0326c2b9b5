//! Changes of visibility as a homeserver follows them.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use tokio_stream::Stream;

use crate::{Error, Set};

/// What a homeserver hears that follows changes.
///
/// Begins with `Connected` or `Disconnected`; the two alternate. Every other
/// event comes while connected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeEvent {
    /// The daemon tells every change from here on. After an outage it tells what
    /// was missed first, as `Changed` or as `Reset`; where neither comes, nothing
    /// was. Users who were answered "nobody" in between may count as changed.
    Connected {
        /// The revision that is current. Opaque.
        revision: String,
    },
    /// Somebody gained or lost sight of somebody.
    Changed(Changed),
    /// Take everything as changed: what did is too much or unknown.
    Reset {
        /// The revision that is current from here on. Opaque.
        revision: String,
    },
    /// Changes are missed from here on, and why. Once for each outage, however
    /// often connecting fails; it is tried again by itself for ever, even if the
    /// daemon refused.
    Disconnected(Error),
}

/// Who gained and who lost sight of whom since the revision before.
///
/// Covers every pair whose visibility changed. Exact for finite sets; where
/// globs overlap it may name pairs that did not change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changed {
    /// The revision that is current from here on. Opaque.
    pub revision: String,
    /// Pairs that became visible.
    pub gained: Vec<PairProduct>,
    /// Pairs that are visible no more.
    pub lost: Vec<PairProduct>,
}

/// Every pair of one of some senders with one of some recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PairProduct {
    /// The senders. Modulo self.
    pub senders: Set,
    /// The recipients. Modulo self.
    pub recipients: Set,
}

/// Changes, for ever. Ends only if the tokio runtime that it was made in does.
///
/// While nobody takes events, nothing piles up: the daemon waits, and tells one
/// coalesced change afterwards.
pub struct Changes(Pin<Box<dyn Stream<Item = ChangeEvent> + Send>>);

// === impl PairProduct ===

impl PairProduct {
    /// Whether a pair is in it. Nobody gains or loses sight of themselves.
    pub fn contains(&self, sender: &str, recipient: &str) -> bool {
        sender != recipient && self.senders.contains(sender) && self.recipients.contains(recipient)
    }
}

// === impl Changes ===

impl Changes {
    /// Changes of any origin, for implementations of
    /// [`PresenceRouter`](crate::PresenceRouter) in tests.
    pub fn new(events: impl Stream<Item = ChangeEvent> + Send + 'static) -> Self {
        Self(Box::pin(events))
    }

    /// The next event. May be dropped and called again without missing one.
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
