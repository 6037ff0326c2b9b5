//! Subscribers that come late, lag behind or end.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use tokio::sync::mpsc;
use tokio_stream::Stream;

use super::*;

fn subscribe(feed: &Arc<ChangeFeed>) -> Subscription {
    Subscription::new(feed.clone(), mpsc::channel(1).0)
}

/// The next event. `None`: there is none yet. `Some(None)`: the events have ended.
fn next(subscription: &mut Subscription) -> Option<Option<ChangeEvent>> {
    let mut cx = Context::from_waker(Waker::noop());
    match Pin::new(subscription).poll_next(&mut cx) {
        Poll::Ready(event) => Some(event),
        Poll::Pending => None,
    }
}

/// All events that are there, in short.
fn all(subscription: &mut Subscription) -> Vec<String> {
    let events = std::iter::from_fn(|| next(subscription).flatten());
    let shortened = events.map(|event| match event {
        ChangeEvent::Connected { revision } => format!("connected {revision}"),
        ChangeEvent::Disconnected(Error::Unreachable { reason, .. }) => {
            format!("disconnected {reason}")
        }
        ChangeEvent::Changed(changed) => format!("changed {}", changed.revision),
        ChangeEvent::Reset { revision } => format!("reset {revision}"),
        ChangeEvent::Disconnected(error) => format!("refused {error}"),
    });
    shortened.collect()
}

fn change(feed: &ChangeFeed, revision: usize) {
    let revision = revision.to_string();
    feed.report_changed(Changed { revision, gained: Vec::new(), lost: Vec::new() });
}

fn disconnect(feed: &ChangeFeed, reason: &str) {
    feed.report_disconnected(&Error::Unreachable { reason: reason.into(), retry_in: None });
}

#[test]
fn a_subscriber_first_hears_of_the_connection() {
    let feed = Arc::<ChangeFeed>::default();
    let mut first = subscribe(&feed);
    assert_eq!(next(&mut first), None, "no attempt has ended");
    disconnect(&feed, "a");
    disconnect(&feed, "b");
    let mut second = subscribe(&feed);
    feed.report_connected("1", false);
    change(&feed, 2);
    feed.report_reset("3");
    let mut third = subscribe(&feed);
    change(&feed, 4);
    disconnect(&feed, "c");
    let later = ["connected 1", "changed 2", "reset 3", "changed 4", "disconnected c"];
    assert_eq!(all(&mut first), [&["disconnected a"][..], &later].concat(), "once for an outage");
    assert_eq!(all(&mut second), [&["disconnected b"][..], &later].concat(), "the last error");
    assert_eq!(all(&mut third), ["connected 3", "changed 4", "disconnected c"]);
}

fn refuse(feed: &ChangeFeed) {
    feed.report_disconnected(&Error::Unsupported("RouteStates"));
}

#[test]
fn a_refusal_after_an_outage_began_is_reported_once() {
    let feed = Arc::<ChangeFeed>::default();
    let mut first = subscribe(&feed);
    disconnect(&feed, "a");
    disconnect(&feed, "b");
    refuse(&feed);
    let mut second = subscribe(&feed);
    disconnect(&feed, "c");
    refuse(&feed);
    let mut third = subscribe(&feed);
    feed.report_connected("1", false);
    disconnect(&feed, "d");
    let later = ["connected 1", "disconnected d"];
    let refused = format!("refused {}", Error::Unsupported("RouteStates"));
    assert_eq!(all(&mut first), [&["disconnected a", &refused][..], &later].concat());
    assert_eq!(all(&mut second), [&[&*refused][..], &later].concat());
    assert_eq!(all(&mut third), [&[&*refused][..], &later].concat());
}

#[test]
fn a_subscriber_who_lags_behind_hears_of_a_refusal() {
    let feed = Arc::<ChangeFeed>::default();
    let mut changes = subscribe(&feed);
    feed.report_connected("0", false);
    (1..=MAX_WAITING).for_each(|revision| change(&feed, revision));
    disconnect(&feed, "a");
    refuse(&feed);
    let events = all(&mut changes);
    let refused = format!("refused {}", Error::Unsupported("RouteStates"));
    assert_eq!(events.last(), Some(&refused), "{events:?}");
}

#[test]
fn a_stream_that_cannot_resume_resets_unless_it_is_the_first() {
    let feed = Arc::<ChangeFeed>::default();
    let mut changes = subscribe(&feed);
    feed.report_connected("1", false);
    disconnect(&feed, "a");
    feed.report_connected("1", true);
    disconnect(&feed, "b");
    feed.report_connected("2", false);
    let resumed = ["connected 1", "disconnected a", "connected 1"];
    let fresh = ["disconnected b", "connected 2", "reset 2"];
    assert_eq!(all(&mut changes), [resumed, fresh].concat());
}

#[test]
fn a_subscriber_that_lags_behind_gets_a_reset() {
    // The last event that fits, the events that do not, and what comes instead of these.
    type Case = (fn(&ChangeFeed), fn(&ChangeFeed), &'static [&'static str]);
    let cases: [Case; 6] = [
        (|feed| change(feed, 64), |_| {}, &[]),
        (|feed| change(feed, 64), |feed| change(feed, 65), &["reset 65"]),
        (
            |feed| change(feed, 64),
            |feed| {
                disconnect(feed, "b");
                feed.report_connected("70", true);
            },
            &["reset 70"],
        ),
        (|feed| change(feed, 64), |feed| disconnect(feed, "b"), &["disconnected b"]),
        (
            |feed| disconnect(feed, "a"),
            |feed| feed.report_connected("70", true),
            &["connected 70", "reset 70"],
        ),
        (
            |feed| disconnect(feed, "a"),
            |feed| {
                feed.report_connected("70", true);
                disconnect(feed, "b");
            },
            &[],
        ),
    ];
    for (number, (last, missed, instead)) in cases.into_iter().enumerate() {
        let feed = Arc::<ChangeFeed>::default();
        feed.report_connected("0", false);
        let (mut slow, mut quick) = (subscribe(&feed), subscribe(&feed));
        assert_eq!(all(&mut slow), all(&mut quick));
        (1..MAX_WAITING).for_each(|revision| change(&feed, revision));
        last(&feed);
        let kept = all(&mut quick);
        assert_eq!(kept.len(), MAX_WAITING);
        missed(&feed);
        let expected: Vec<&str> =
            kept.iter().map(String::as_str).chain(instead.to_owned()).collect();
        assert_eq!(all(&mut slow), expected, "case {number}");
        assert!(all(&mut quick).iter().all(|event| !event.starts_with("reset")));

        // From here on every event comes again, after the `Reset` if it did not come yet.
        let ends_connected = !matches!(number, 3 | 5);
        if ends_connected {
            disconnect(&feed, "c");
        }
        feed.report_connected("80", true);
        change(&feed, 81);
        let expected: &[&str] = if ends_connected {
            &["disconnected c", "connected 80", "changed 81"]
        } else {
            &["connected 80", "reset 80", "changed 81"]
        };
        assert_eq!(all(&mut slow), expected, "case {number}");
    }
}

#[test]
fn a_subscriber_whose_channel_is_gone_costs_nothing() {
    let feed = Arc::<ChangeFeed>::default();
    feed.report_connected("1", false);
    let (slow, gone, _stays) = (subscribe(&feed), subscribe(&feed), subscribe(&feed));
    assert_eq!(feed.lock().subscribers.len(), 3);
    drop(gone);
    change(&feed, 2);
    assert_eq!(feed.lock().subscribers.len(), 2);
    (3..=3 + MAX_WAITING).for_each(|revision| change(&feed, revision));
    assert_eq!(feed.lock().subscribers.len(), 0, "they lag behind");
    drop(slow);
}

#[test]
fn events_end_with_the_task() {
    let feed = Arc::<ChangeFeed>::default();
    feed.report_connected("1", false);
    let mut changes = subscribe(&feed);
    feed.end();
    assert_eq!(all(&mut changes), ["connected 1"]);
    assert_eq!(next(&mut changes), Some(None));
    assert_eq!(next(&mut subscribe(&feed)), Some(None));
}
