//! One subscriber's side of a feed.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::sync::mpsc;
use tokio_stream::Stream;

use super::{ChangeFeed, Connection};
use crate::{ChangeEvent, Error, stream::route::request::Request};

/// The events of a feed, from the state of the connection on.
#[derive(Debug)]
pub(in crate::stream::route) struct Subscription {
    feed: Arc<ChangeFeed>,
    /// Keeps the task running, also if all other handles are dropped.
    _task: mpsc::Sender<Request>,
    /// `None`: the task has ended.
    events: Option<mpsc::Receiver<ChangeEvent>>,
    /// Events to return before the next ones of the feed.
    ready: VecDeque<ChangeEvent>,
    /// The state of the connection that the subscriber knows. `None`: it knows none.
    known: Option<Known>,
    /// True if the subscriber missed events, and knows of no `Reset` in their place.
    missed_events: bool,
}

/// A state of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Connected,
    Unreachable,
    Refused,
}

// === impl Subscription ===

impl Subscription {
    /// Subscribes to the events from now on.
    pub(in crate::stream::route) fn new(
        feed: Arc<ChangeFeed>,
        task: mpsc::Sender<Request>,
    ) -> Self {
        let mut subscription = Self {
            feed,
            _task: task,
            events: None,
            ready: VecDeque::new(),
            known: None,
            missed_events: false,
        };
        subscription.subscribe();
        subscription
    }

    fn subscribe(&mut self) {
        self.events = None;
        if let Some((connection, events)) = self.feed.subscribe() {
            self.events = Some(events);
            self.catch_up_with(connection);
        }
    }

    /// Adds the events that lead from the state that the subscriber knows to this one.
    fn catch_up_with(&mut self, connection: Option<Connection>) {
        match connection {
            // An outage among the missed events is of no interest beside `Reset`.
            Some(Connection::Connected { revision }) if self.known == Some(Known::Connected) => {
                self.missed_events = false;
                self.ready.push_back(ChangeEvent::Reset { revision });
            }
            // The `Reset` comes with the next connection.
            Some(Connection::Disconnected(error)) if self.known == Some(Known::of(&error)) => {}
            Some(Connection::Disconnected(_)) if self.known == Some(Known::Refused) => {}
            Some(connection) => self.add_event(connection.into()),
            None => {}
        }
    }

    fn add_event(&mut self, event: ChangeEvent) {
        let mut reset = None;
        match &event {
            ChangeEvent::Connected { revision } => {
                self.known = Some(Known::Connected);
                if std::mem::take(&mut self.missed_events) {
                    reset = Some(ChangeEvent::Reset { revision: revision.clone() });
                }
            }
            ChangeEvent::Disconnected(error) => self.known = Some(Known::of(error)),
            ChangeEvent::Changed(_) | ChangeEvent::Reset { .. } => {}
        }
        self.ready.push_back(event);
        self.ready.extend(reset);
    }
}

// === impl Known ===

impl Known {
    fn of(error: &Error) -> Self {
        if error.is_refusal() { Self::Refused } else { Self::Unreachable }
    }
}

impl Stream for Subscription {
    type Item = ChangeEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ChangeEvent>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Poll::Ready(Some(event));
            }
            let Some(events) = &mut self.events else { return Poll::Ready(None) };
            match ready!(events.poll_recv(cx)) {
                Some(event) => self.add_event(event),
                None => {
                    self.missed_events = true;
                    self.subscribe();
                }
            }
        }
    }
}
