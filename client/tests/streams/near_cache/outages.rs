//! The near-cache while no daemon answers, and after that.

use std::time::Duration;

use presence_router_client::{Code, NearCache, NearCacheOptions, v1};
use presence_router_proto::v1::route_states_response::Message as ResponseMessage;
use tonic::Status;

use super::{
    ANN, JOE, SUE, TOM, ask, batch, connected, define, options, remember, remembered, settled,
};
use crate::fake::{Fake, LONG, Route, changed, edit, list, opened, refusal, strings, users};

/// Waits until the near-cache noticed that it has no connection.
async fn disconnected(cache: &NearCache, sender: &str) {
    let noticed = async {
        while cache.cached_audience(sender).is_some_and(|answer| !answer.is_stale()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LONG, noticed).await.unwrap();
}

/// Waits until the near-cache gives answers that are not stale.
async fn reconnected(cache: &NearCache, sender: &str) {
    let noticed = async {
        while cache.cached_audience(sender).is_none_or(|answer| answer.is_stale()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LONG, noticed).await.unwrap();
}

/// A near-cache that remembers `ANN` and `SUE`, who share a set, and `TOM`, who has no
/// audience.
async fn remembering(options: NearCacheOptions) -> (Fake, Route, NearCache) {
    let (fake, mut stream, cache) = connected(options).await;
    define(&stream, 1, &[ANN, JOE]).await;
    for (sender, set) in [(ANN, 1), (SUE, 1), (TOM, 0)] {
        remember(&mut stream, &cache, sender, "r1", set).await;
    }
    (fake, stream, cache)
}

fn stale(cache: &NearCache, sender: &str) -> Option<bool> {
    Some(cache.cached_audience(sender)?.is_stale())
}

#[tokio::test]
async fn answers_live_for_a_time_without_a_daemon() {
    let (_fake, stream, cache) = remembering(options()).await;
    stream.end(Status::unavailable("away")).await;
    disconnected(&cache, ANN).await;
    let before = cache.stats();
    assert_eq!(stale(&cache, ANN), Some(true));
    assert_eq!(remembered(&cache, TOM), Some((vec![], "r1".into())));
    assert_eq!(cache.stats().stale, before.stale + 2);
    // Until 60 s after the loss was noticed, and not a moment longer.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(58)).await;
    assert_eq!(stale(&cache, ANN), Some(true));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(stale(&cache, ANN), None);
    tokio::time::resume();
    assert_eq!(cache.stats().entries, 3, "they would be good again after a resume");
}

#[tokio::test]
async fn no_answer_is_given_without_a_daemon_if_none_may_be() {
    let mut options = options();
    options.stale_for = Duration::ZERO;
    let (mut fake, stream, cache) = remembering(options).await;
    drop(stream);
    disconnected(&cache, ANN).await;
    assert_eq!(stale(&cache, ANN), None);
    // The same history, without a change.
    let (_stream, open) = fake.opened("r1").await;
    assert_eq!(open.resume_revision, "r1");
    reconnected(&cache, ANN).await;
    assert_eq!(remembered(&cache, SUE), Some((strings(&[ANN, JOE]), "r1".into())));
}

#[tokio::test]
async fn a_resumed_stream_ends_what_it_names_and_nothing_else() {
    let (mut fake, stream, cache) = remembering(options()).await;
    // An edit without its `Changed`: the answers are still those of `r1`.
    stream.tell(ResponseMessage::SetEdit(edit(1, &[TOM], &[ANN]))).await;
    drop(stream);
    disconnected(&cache, ANN).await;
    assert_eq!(remembered(&cache, SUE), Some((strings(&[ANN, JOE]), "r1".into())));

    let (mut stream, open) = fake.opened("r2").await;
    assert_eq!(open.resume_revision, "r1");
    // Not before the missed changes are known.
    let asked = ask(&cache, JOE);
    let (id, _) = batch(&mut stream).await;
    assert_eq!(stale(&cache, SUE), Some(true));
    let product =
        v1::PairProduct { senders: Some(users(&[ANN, TOM])), recipients: Some(users(&[SUE])) };
    let named = v1::Changed { lost: vec![product], ..changed("r2") };
    stream.tell(ResponseMessage::Changed(named)).await;
    stream.deliver(id, "r2", 0, &[]).await;
    asked.await.unwrap().unwrap();
    assert_eq!(remembered(&cache, ANN), None, "its set ended with its stream");
    assert_eq!(remembered(&cache, TOM), None);
    assert_eq!(remembered(&cache, SUE), Some((strings(&[ANN, JOE]), "r2".into())));
    // The new stream's set 1 is another set.
    define(&stream, 1, &[TOM]).await;
    stream.tell(ResponseMessage::SetRetired(v1::SetRetired { id: 1 })).await;
    settled(&mut stream, &cache, "r2").await;
    assert!(remembered(&cache, SUE).is_some());
}

#[tokio::test]
async fn everything_ends_with_another_history_a_refusal_or_a_violation() {
    for end in 0..5 {
        let (mut fake, stream, cache) = remembering(options()).await;
        match end {
            // The daemon restarted: it resumes, and resets.
            0 => {
                drop(stream);
                let (mut stream, _) = fake.opened("s1").await;
                stream.tell(ResponseMessage::Reset(v1::Reset { revision: "s1".into() })).await;
                settled(&mut stream, &cache, "s1").await;
                assert_eq!(remembered(&cache, ANN), None);
                continue;
            }
            1 => stream.end(refusal(Code::PermissionDenied, "SERVER_NAME_NOT_YOURS")).await,
            // No stream opens, but a daemon answers.
            2 => {
                stream.end(Status::unavailable("away")).await;
                let mut stream = fake.route().await;
                stream.open().await;
                stream.end(refusal(Code::InvalidArgument, "REVISION_OF_OTHER_HISTORY")).await;
                let mut stream = fake.route().await;
                assert_eq!(stream.open().await.resume_revision, "");
            }
            3 => stream.tell(ResponseMessage::SetEdit(edit(9, &[TOM], &[]))).await,
            // A revision that came out of nowhere.
            _ => {
                let heartbeat = v1::Heartbeat { revision: "r2".into() };
                stream.tell(ResponseMessage::Heartbeat(heartbeat)).await;
            }
        }
        let ended = async {
            while cache.cached_audience(ANN).is_some() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(LONG, ended).await.unwrap();
        assert_eq!((remembered(&cache, SUE), remembered(&cache, TOM)), (None, None), "{end}");
        assert_eq!(cache.stats().entries, 0);
    }
}

#[tokio::test]
async fn a_set_that_is_never_completed_is_no_answer() {
    let (mut fake, mut stream, cache) = connected(options()).await;
    let asked = ask(&cache, ANN);
    let (id, _) = batch(&mut stream).await;
    stream.tell(ResponseMessage::SetPart(list(1, &[JOE], false))).await;
    stream.deliver(id, "r1", 1, &[0]).await;
    // The stream ends, and the question is asked once more.
    let (mut stream, _) = fake.opened("r1").await;
    batch(&mut stream).await;
    drop(stream);
    asked.await.unwrap().unwrap_err();
    assert!(cache.cached_audience(ANN).is_none());
}

#[tokio::test]
async fn answers_end_with_the_runtime_that_would_hear_of_changes() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (_stream, cache) = runtime
        .spawn(async {
            let (fake, stream, cache) = remembering(options()).await;
            // The daemon stays.
            std::mem::forget(fake);
            (stream, cache)
        })
        .await
        .unwrap();
    assert_eq!(stale(&cache, ANN), Some(false));
    runtime.shutdown_background();
    let ended = async {
        while cache.cached_audience(ANN).is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LONG, ended).await.unwrap();
}

#[tokio::test]
async fn a_silent_daemon_is_noticed_by_its_heartbeats() {
    let mut fake = Fake::start().await;
    let cache = fake.client(Fake::options()).near_cache(options());
    let mut stream = fake.route().await;
    stream.open().await;
    let interval = Some(Duration::from_millis(20));
    stream.tell(ResponseMessage::Opened(opened("r1", interval))).await;
    remember(&mut stream, &cache, ANN, "r1", 0).await;
    disconnected(&cache, ANN).await;
    assert_eq!(stale(&cache, ANN), Some(true));
}

#[tokio::test]
async fn many_streams_do_not_pile_up_sets() {
    let mut options = NearCacheOptions::default();
    options.budget_bytes = 2 << 20;
    let (mut fake, mut stream, cache) = connected(options).await;
    // Streams of half a megabyte each, within two megabytes: the fourth has no room beside the others.
    for number in 0..5 {
        let users: Vec<String> =
            (0..25_000).map(|n| format!("@u{number}-{n:07}:example.org")).collect();
        let mut parts = users.chunks(5000).peekable();
        while let Some(part) = parts.next() {
            let users: Vec<&str> = part.iter().map(String::as_str).collect();
            let part = list(1, &users, parts.peek().is_none());
            stream.tell(ResponseMessage::SetPart(part)).await;
        }
        let sender = format!("@s{number}:example.org");
        remember(&mut stream, &cache, &sender, "r1", 1).await;
        assert!(cache.cached_audience(&sender).is_some());
        let bytes = cache.stats().bytes;
        assert!(bytes <= 2 << 20, "{bytes} bytes after {number} streams");
        drop(stream);
        disconnected(&cache, &sender).await;
        (stream, _) = fake.opened("r1").await;
        reconnected(&cache, &sender).await;
    }
}

/// Such a daemon reports no change of hides to a resumed stream, so that nothing would end the
/// answers of the stream before.
#[tokio::test]
async fn answers_are_not_kept_for_a_daemon_from_before_touch() {
    let (mut fake, stream, cache) = remembering(options()).await;
    drop(stream);
    disconnected(&cache, ANN).await;
    let mut stream = fake.route().await;
    stream.open().await;
    let older = v1::Opened { capabilities: Vec::new(), ..opened("r1", None) };
    stream.tell(ResponseMessage::Opened(older)).await;
    let asked = ask(&cache, JOE);
    let (id, senders) = batch(&mut stream).await;
    assert_eq!(senders, [JOE]);
    stream.deliver(id, "r1", 0, &[]).await;
    asked.await.unwrap().unwrap();
    assert_eq!((stale(&cache, ANN), stale(&cache, JOE)), (None, Some(false)));
}

/// The question goes out with the deadline of its first caller, and others join it later.
#[tokio::test]
async fn a_caller_who_joined_a_question_outlives_its_first_caller() {
    let (mut fake, mut stream, cache) = connected(options()).await;
    let short = cache.with_deadline(Duration::from_millis(50));
    let first = ask(&short, ANN);
    assert_eq!(batch(&mut stream).await.1, [ANN]);
    let second = ask(&cache.with_deadline(LONG), ANN);
    assert!(first.await.unwrap().is_err());
    drop(stream);
    let (mut stream, _) = fake.opened("r1").await;
    let (id, senders) = batch(&mut stream).await;
    assert_eq!(senders, [ANN], "again, for the second caller");
    define(&stream, 1, &[JOE]).await;
    stream.deliver(id, "r1", 1, &[0]).await;
    assert_eq!(second.await.unwrap().unwrap(), [JOE]);
}
