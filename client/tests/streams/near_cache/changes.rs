//! Changes that a near-cache reports: by its own stream, after memory knows them, and without
//! waiting for subscribers.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Wake, Waker},
    time::Duration,
};

use presence_router_client::{
    ChangeEvent, Changes, Code, Error, NearCache, NearCacheOptions, PresenceRouter, v1,
};
use presence_router_proto::v1::route_states_response::Message as ResponseMessage;
use tokio_stream::Stream;
use tonic::Status;

use super::{
    ANN, JOE, SUE, TOM, ask, batch, connected, define, options, remember, remembered, settled,
};
use crate::fake::{Fake, LONG, Route, changed, edit, opened, refusal, set, strings};
use crate::watch::{change, connected as connected_at, next, product};

/// Looks into memory at the moment when an event is sent: is the answer for `ANN` stale?
struct Looker {
    cache: NearCache,
    seen: Mutex<Vec<Option<bool>>>,
}

impl Wake for Looker {
    fn wake(self: Arc<Self>) {
        let stale = self.cache.cached_audience(ANN).map(|answer| answer.is_stale());
        self.seen.lock().unwrap().push(stale);
    }
}

fn reset(revision: &str) -> ChangeEvent {
    ChangeEvent::Reset { revision: revision.into() }
}

fn away(reason: &str) -> ChangeEvent {
    ChangeEvent::Disconnected(Error::Unreachable { reason: reason.into(), retry_in: None })
}

async fn disconnected(changes: &mut Changes) -> Error {
    match next(changes).await {
        ChangeEvent::Disconnected(error) => error,
        other => panic!("not an outage: {other:?}"),
    }
}

async fn tell_changed(stream: &Route, revision: &str) {
    stream.tell(ResponseMessage::Changed(changed(revision))).await;
}

/// Waits until the near-cache has opened the stream, and asks a question over it.
async fn opened_for_question(stream: &mut Route, cache: &NearCache) {
    drop(ask(cache, "@any:example.org"));
    batch(stream).await;
}

#[tokio::test]
async fn one_stream_carries_answers_and_changes() {
    let (fake, mut stream, cache) = connected(options()).await;
    let mut changes = cache.watch_changes();
    assert_eq!(next(&mut changes).await, connected_at("r1"));
    define(&stream, 1, &[ANN, JOE]).await;
    remember(&mut stream, &cache, ANN, "r1", 1).await;
    stream.tell(ResponseMessage::SetEdit(edit(1, &[SUE], &[JOE]))).await;
    let gained = vec![product(set(1), set(1))];
    let lost = vec![product(set(1), crate::fake::users(&[JOE]))];
    let message = v1::Changed { gained, lost, ..changed("r2") };
    stream.tell(ResponseMessage::Changed(message)).await;
    let event = change(&mut changes).await;
    assert_eq!((event.revision.as_str(), event.gained.len(), event.lost.len()), ("r2", 1, 1));
    assert_eq!(event.gained[0].senders.listed_users(), [ANN, SUE], "as they are then");
    assert!(event.gained[0].contains(SUE, ANN) && !event.gained[0].contains(ANN, ANN));
    assert!(event.lost[0].contains(ANN, JOE));
    assert_eq!(remembered(&cache, ANN), Some((strings(&[SUE]), "r2".into())));

    stream.tell(ResponseMessage::Reset(v1::Reset { revision: "r3".into() })).await;
    assert_eq!(next(&mut changes).await, reset("r3"));
    assert_eq!(remembered(&cache, ANN), None);
    assert!(!fake.has_watch());

    // The changes go on without the near-cache, and the stream ends with them.
    drop(cache);
    tell_changed(&stream, "r4").await;
    assert_eq!(change(&mut changes).await.revision, "r4");
    drop(changes);
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn an_outage_is_reported_once_and_ends_with_the_missed_changes() {
    let mut fake = Fake::start().await;
    let cache = fake.client(Fake::options()).near_cache(options());
    let mut changes = cache.watch_changes();
    for reason in ["first", "second"] {
        fake.route().await.end(Status::unavailable(reason)).await;
    }
    let (mut stream, _) = fake.opened("r1").await;
    assert_eq!(next(&mut changes).await, away("first"));
    assert_eq!(next(&mut changes).await, connected_at("r1"), "nothing was missed by anybody");
    remember(&mut stream, &cache, ANN, "r1", 0).await;
    stream.end(Status::unavailable("third")).await;
    assert_eq!(next(&mut changes).await, away("third"));
    assert!(cache.cached_audience(ANN).unwrap().is_stale());
    fake.route().await.end(Status::unavailable("fourth")).await;

    // Memory does not know the missed changes of an open stream yet.
    let (mut stream, open) = fake.opened("r2").await;
    assert_eq!(open.resume_revision, "r1");
    opened_for_question(&mut stream, &cache).await;
    assert_eq!(next(&mut cache.watch_changes()).await, away("fourth"), "a late subscriber");
    drop(stream);
    let (mut stream, open) = fake.opened("r2").await;
    assert_eq!(open.resume_revision, "r1");
    opened_for_question(&mut stream, &cache).await;
    tell_changed(&stream, "r2").await;
    assert_eq!(next(&mut changes).await, connected_at("r2"));
    assert_eq!(change(&mut changes).await.revision, "r2");
    assert_eq!(remembered(&cache, ANN), Some((vec![], "r2".into())));
    assert_eq!(next(&mut cache.watch_changes()).await, connected_at("r2"), "a late subscriber");

    // An unknown change, and none.
    drop(stream);
    disconnected(&mut changes).await;
    let (stream, _) = fake.opened("r3").await;
    stream.tell(ResponseMessage::Reset(v1::Reset { revision: "r3".into() })).await;
    assert_eq!(next(&mut changes).await, connected_at("r3"));
    assert_eq!(next(&mut changes).await, reset("r3"));
    drop(stream);
    disconnected(&mut changes).await;
    let (stream, open) = fake.opened("r3").await;
    assert_eq!(open.resume_revision, "r3");
    assert_eq!(next(&mut changes).await, connected_at("r3"));
    tell_changed(&stream, "r4").await;
    assert_eq!(change(&mut changes).await.revision, "r4");
}

#[tokio::test]
async fn memory_knows_of_an_outage_before_its_event() {
    let (_fake, mut stream, cache) = connected(options()).await;
    let mut changes = cache.watch_changes();
    assert_eq!(next(&mut changes).await, connected_at("r1"));
    remember(&mut stream, &cache, ANN, "r1", 0).await;
    let looker = Arc::new(Looker { cache, seen: Mutex::default() });
    let waker = Waker::from(looker.clone());
    assert!(Pin::new(&mut changes).poll_next(&mut Context::from_waker(&waker)).is_pending());
    stream.end(Status::unavailable("away")).await;
    let sent = async {
        while looker.seen.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LONG, sent).await.unwrap();
    assert_eq!(*looker.seen.lock().unwrap(), [Some(true)]);
    assert_eq!(next(&mut changes).await, away("away"));
}

#[tokio::test]
async fn changes_after_a_stream_without_messages_are_not_lost() {
    let (mut fake, stream, cache) = connected(options()).await;
    let mut changes = cache.watch_changes();
    assert_eq!(next(&mut changes).await, connected_at("r1"));
    drop(stream);
    disconnected(&mut changes).await;
    let (stream, open) = fake.opened("r2").await;
    assert_eq!(open.resume_revision, "r1", "the revision of `Opened`");
    tell_changed(&stream, "r2").await;
    assert_eq!(next(&mut changes).await, connected_at("r2"));
    assert_eq!(change(&mut changes).await.revision, "r2");
}

#[tokio::test]
async fn a_history_that_is_gone_counts_as_a_reset() {
    let (mut fake, stream, cache) = connected(options()).await;
    let mut changes = cache.watch_changes();
    assert_eq!(next(&mut changes).await, connected_at("r1"));
    drop(stream);
    disconnected(&mut changes).await;
    let mut stream = fake.route().await;
    assert_eq!(stream.open().await.resume_revision, "r1");
    stream.end(refusal(Code::FailedPrecondition, "REVISION_OF_OTHER_HISTORY")).await;
    let (_stream, open) = fake.opened("s1").await;
    assert_eq!(open.resume_revision, "");
    assert_eq!(next(&mut changes).await, connected_at("s1"));
    assert_eq!(next(&mut changes).await, reset("s1"));
}

#[tokio::test]
async fn a_refusal_is_an_outage_until_a_daemon_accepts_the_stream() {
    let mut fake = Fake::start().await;
    let cache = fake.client(Fake::options()).near_cache(NearCacheOptions::default());
    let mut changes = cache.watch_changes();
    // Once with the budget, which an older daemon does not know, and from then on without.
    for budget in [192 * 1024 * 1024, 0, 0] {
        let mut stream = fake.route().await;
        assert_eq!(stream.open().await.set_budget_bytes, budget);
        stream.end(refusal(Code::Unimplemented, "NOT_IMPLEMENTED")).await;
    }
    assert_eq!(disconnected(&mut changes).await, Error::Unsupported("RouteStates"));
    let (stream, _) = fake.opened("r1").await;
    assert_eq!(next(&mut changes).await, connected_at("r1"));
    stream.end(refusal(Code::PermissionDenied, "SERVER_NAME_NOT_YOURS")).await;
    assert!(matches!(disconnected(&mut changes).await, Error::Refused(_)));
    let (stream, _) = fake.opened("r1").await;
    assert_eq!(next(&mut changes).await, connected_at("r1"));
    let edit_of_nothing = ResponseMessage::SetEdit(edit(9, &[TOM], &[]));
    stream.tell(edit_of_nothing).await;
    assert!(matches!(disconnected(&mut changes).await, Error::Protocol(_)));
    // A change that cannot be resolved is not reported.
    let (stream, _) = fake.opened("r1").await;
    assert_eq!(next(&mut changes).await, connected_at("r1"));
    let lost = vec![product(set(4), set(4))];
    stream.tell(ResponseMessage::Changed(v1::Changed { lost, ..changed("r2") })).await;
    assert!(matches!(disconnected(&mut changes).await, Error::Protocol(_)));
}

#[tokio::test]
async fn an_older_daemon_reports_missed_changes_too() {
    let (mut fake, stream, cache) = connected(options()).await;
    let mut changes = cache.watch_changes();
    assert_eq!(next(&mut changes).await, connected_at("r1"));
    drop(stream);
    disconnected(&mut changes).await;
    let mut stream = fake.route().await;
    assert_eq!(stream.open().await.resume_revision, "r1");
    let older = v1::Opened { capabilities: Vec::new(), ..opened("r2", None) };
    stream.tell(ResponseMessage::Opened(older)).await;
    tell_changed(&stream, "r2").await;
    assert_eq!(next(&mut changes).await, connected_at("r2"));
    assert_eq!(change(&mut changes).await.revision, "r2");
}

#[tokio::test]
async fn a_slow_subscriber_gets_a_reset_and_delays_nobody() {
    let (_fake, mut stream, cache) = connected(options()).await;
    let mut slow = cache.watch_changes();
    let mut quick = cache.watch_changes();
    assert_eq!(next(&mut slow).await, connected_at("r1"));
    assert_eq!(next(&mut quick).await, connected_at("r1"));
    drop(cache.watch_changes());
    for number in 2..=80 {
        let revision = format!("r{number}");
        tell_changed(&stream, &revision).await;
        assert_eq!(change(&mut quick).await.revision, revision);
    }
    settled(&mut stream, &cache, "r80").await;
    for number in 2..66 {
        assert_eq!(change(&mut slow).await.revision, format!("r{number}"));
    }
    assert_eq!(next(&mut slow).await, reset("r80"), "in place of those that did not fit");
    tell_changed(&stream, "r81").await;
    for changes in [&mut slow, &mut quick] {
        assert_eq!(change(changes).await.revision, "r81");
    }
}

#[tokio::test]
async fn changes_end_with_the_runtime_that_would_hear_of_them() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (_stream, mut changes) = runtime
        .spawn(async {
            let (fake, stream, cache) = connected(options()).await;
            let mut changes = cache.watch_changes();
            assert_eq!(next(&mut changes).await, connected_at("r1"));
            // The daemon stays.
            std::mem::forget(fake);
            (stream, changes)
        })
        .await
        .unwrap();
    runtime.shutdown_background();
    let ended = tokio::time::timeout(LONG, changes.next()).await.unwrap();
    assert_eq!(ended, None);
}
