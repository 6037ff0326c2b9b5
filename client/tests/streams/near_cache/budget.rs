//! The near-cache within its budget, and the hits that it reports to the daemon.

use std::time::Duration;

use presence_router_client::{NearCacheOptions, v1};
use presence_router_proto::v1::{
    route_states_request::Message as RequestMessage,
    route_states_response::Message as ResponseMessage,
};

use super::{ANN, JOE, SUE, TOM, ask, batch, connected, define, listed, remember};
use crate::fake::{Fake, opened};

fn within(budget_bytes: u64) -> NearCacheOptions {
    let mut options = NearCacheOptions::default();
    options.budget_bytes = budget_bytes;
    options
}

#[tokio::test]
async fn a_budget_of_one_byte_answers_and_remembers_nothing() {
    let mut fake = Fake::start().await;
    let cache = fake.client(Fake::options()).near_cache(within(1));
    let (mut stream, open) = fake.opened("r1").await;
    assert_eq!(open.set_budget_bytes, 1 << 20, "else no answer would fit");
    define(&stream, 1, &[SUE]).await;
    for _ in 0..3 {
        let asked = ask(&cache, ANN);
        let (id, senders) = batch(&mut stream).await;
        assert_eq!(senders, [ANN]);
        stream.deliver(id, "r1", 1, &[0]).await;
        assert_eq!(asked.await.unwrap().unwrap(), [SUE]);
        assert!(cache.cached_audience(ANN).is_none());
    }
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.entries, stats.evictions), (0, 0, 3));
}

#[tokio::test]
async fn the_daemon_gets_three_quarters_of_the_budget_for_its_sets() {
    for (budget, sets) in [(0, 0), (400 << 20, 300 << 20)] {
        let mut fake = Fake::start().await;
        let _cache = fake.client(Fake::options()).near_cache(within(budget));
        assert_eq!(fake.opened("r1").await.1.set_budget_bytes, sets);
    }
}

/// A client that asks for ever more senders, each once.
#[tokio::test]
async fn distinct_senders_without_end_stay_within_the_budget() {
    let budget = 1 << 20;
    let (_fake, mut stream, cache) = connected(within(budget)).await;
    define(&stream, 1, &[SUE]).await;
    let daemon = tokio::spawn(async move {
        let mut most = 0;
        while let Some(RequestMessage::Batch(batch)) = stream.next().await {
            most = most.max(batch.states.len());
            let all: Vec<u32> = (0..batch.states.len() as u32).collect();
            stream.deliver(batch.batch_id, "r1", 1, &all).await;
        }
        most
    });
    let askers: Vec<_> = (0..100)
        .map(|asker| {
            let cache = cache.clone();
            tokio::spawn(async move {
                for number in 0..300 {
                    let sender = format!("@u{asker}-{number}:example.org");
                    assert_eq!(listed(&cache.audience(&sender).await.unwrap()), [SUE]);
                    let stats = cache.stats();
                    assert!(stats.bytes <= budget && stats.entries <= budget / 136, "{stats:?}");
                }
            })
        })
        .collect();
    for asker in askers {
        asker.await.unwrap();
    }
    let stats = cache.stats();
    assert_eq!((stats.evictions + stats.entries, stats.misses), (30_000, 30_000));
    assert!(stats.entries > budget / 200 / 2, "{stats:?}");
    drop(cache);
    assert!(daemon.await.unwrap() > 1, "some went out together");
}

/// Without these, the daemon would take a set that is always used for idle.
#[tokio::test]
async fn hits_are_reported_before_a_miss_and_once_in_a_while() {
    let mut fake = Fake::start().await;
    let cache = fake.client(Fake::options()).near_cache(within(1 << 20));
    let (mut stream, _) = fake.opened("r1").await;
    define(&stream, 1, &[SUE]).await;
    define(&stream, 2, &[SUE]).await;
    for (sender, set) in [(ANN, 1), (JOE, 1), (SUE, 2)] {
        remember(&mut stream, &cache, sender, "r1", set).await;
    }
    for _ in 0..3 {
        cache.cached_audience(ANN).unwrap();
        cache.cached_audience(JOE).unwrap();
    }
    let asked = ask(&cache, TOM);
    assert_eq!(touched(stream.next().await), [1], "once, however many hits");
    let (id, _) = batch(&mut stream).await;
    stream.deliver(id, "r1", 0, &[]).await;
    asked.await.unwrap().unwrap();
    // Without a miss, after some time.
    cache.cached_audience(JOE).unwrap();
    cache.cached_audience(SUE).unwrap();
    cache.cached_audience(TOM).unwrap();
    stream.tell(ResponseMessage::SetRetired(v1::SetRetired { id: 2 })).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    tokio::time::pause();
    assert_eq!(touched(stream.next().await), [1], "set 2 has ended, and nobody has no set");
}

fn touched(message: Option<RequestMessage>) -> Vec<u64> {
    match message {
        Some(RequestMessage::Touch(touch)) => touch.set_ids,
        other => panic!("not a touch: {other:?}"),
    }
}

#[tokio::test]
async fn an_older_daemon_is_asked_again_in_passing() {
    let mut fake = Fake::start().await;
    let cache = fake.client(Fake::options()).near_cache(within(1 << 20));
    let mut stream = fake.route().await;
    stream.open().await;
    let older = v1::Opened { capabilities: Vec::new(), ..opened("r1", None) };
    stream.tell(ResponseMessage::Opened(older)).await;
    define(&stream, 1, &[SUE]).await;
    for sender in [ANN, JOE] {
        remember(&mut stream, &cache, sender, "r1", 1).await;
    }
    cache.cached_audience(JOE).unwrap();
    let asked = ask(&cache, TOM);
    let (id, senders) = batch(&mut stream).await;
    assert_eq!(senders, [TOM], "a question need not wait for those in passing");
    stream.deliver(id, "r1", 1, &[0]).await;
    assert_eq!(asked.await.unwrap().unwrap(), [SUE]);
    tokio::time::pause();
    assert_eq!(batch(&mut stream).await.1, [ANN], "one of the users with this answer");
}

/// A reader in a loop has a new hit at any time, and a report of it must not come before every
/// question.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hits_all_the_time_are_reported_at_intervals() {
    let (_fake, mut stream, cache) = connected(within(1 << 20)).await;
    define(&stream, 1, &[SUE]).await;
    remember(&mut stream, &cache, ANN, "r1", 1).await;
    let reader = std::thread::spawn({
        let cache = cache.clone();
        move || {
            while cache.cached_audience(TOM).is_none() {
                cache.cached_audience(ANN).unwrap();
            }
        }
    });
    while cache.stats().hits < 1000 {
        tokio::task::yield_now().await;
    }
    let start = tokio::time::Instant::now();
    let mut touches = 0;
    let others = (0..50).map(|number| format!("@u{number}:example.org"));
    for user in others.chain([TOM.to_owned()]) {
        let asked = ask(&cache, &user);
        let id = loop {
            match stream.next().await {
                Some(RequestMessage::Touch(_)) => touches += 1,
                Some(RequestMessage::Batch(batch)) => break batch.batch_id,
                other => panic!("not a request: {other:?}"),
            }
        };
        stream.deliver(id, "r1", 1, &[0]).await;
        assert_eq!(asked.await.unwrap().unwrap(), [SUE]);
    }
    let intervals = start.elapsed().as_millis() / 50;
    assert!(touches <= 2 + intervals, "{touches} reports in {intervals} intervals");
    reader.join().unwrap();
}
