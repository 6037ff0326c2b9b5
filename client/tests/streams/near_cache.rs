//! The near-cache: what it remembers, for how long, and what it asks.

mod budget;
mod changes;
mod named_servers;
mod outages;
mod rooms;
mod visibility;

use std::time::Duration;

use presence_router_client::{
    Code, Error, NearCache, NearCacheOptions, PresenceRouter, VisibleSender, v1,
};
use presence_router_proto::v1::{
    route_states_request::Message as RequestMessage,
    route_states_response::Message as ResponseMessage,
};
use tokio::task::JoinHandle;

use crate::fake::{
    Fake, Route, changed, edit, expression, list, opened, set, strings, union, users,
};

const ANN: &str = "@ann:example.org";
const JOE: &str = "@joe:example.org";
const SUE: &str = "@sue:example.org";
const TOM: &str = "@tom:example.org";

/// Without a budget, so that hits need not be reported to the daemon.
fn options() -> NearCacheOptions {
    let mut options = NearCacheOptions::default();
    options.budget_bytes = 0;
    options
}

/// A near-cache that is connected at `r1`.
async fn connected(options: NearCacheOptions) -> (Fake, Route, NearCache) {
    let mut fake = Fake::start().await;
    let cache = fake.client(Fake::options()).near_cache(options);
    let (stream, _) = fake.opened("r1").await;
    (fake, stream, cache)
}

/// Asks for an audience, on a task of its own.
fn ask(cache: &NearCache, sender: &str) -> JoinHandle<Result<Vec<String>, Error>> {
    let (cache, sender) = (cache.clone(), sender.to_owned());
    tokio::spawn(async move { cache.audience(&sender).await.map(|answer| listed(&answer)) })
}

fn listed(answer: &presence_router_client::CachedAnswer<'_>) -> Vec<String> {
    strings(&answer.counterparts().listed_users())
}

/// The audience in memory, and its revision.
fn remembered(cache: &NearCache, sender: &str) -> Option<(Vec<String>, String)> {
    let answer = cache.cached_audience(sender)?;
    Some((listed(&answer), answer.revision().to_owned()))
}

/// The senders of the next request, which is a batch, and its id.
async fn batch(stream: &mut Route) -> (u64, Vec<String>) {
    match stream.next().await {
        Some(RequestMessage::Batch(batch)) => {
            (batch.batch_id, batch.states.into_iter().map(|state| state.user_id).collect())
        }
        other => panic!("not a batch: {other:?}"),
    }
}

/// Makes the near-cache remember the audience of a sender: a set that is defined already.
async fn remember(stream: &mut Route, cache: &NearCache, sender: &str, revision: &str, set: u64) {
    let asked = ask(cache, sender);
    let (id, _) = batch(stream).await;
    stream.deliver(id, revision, set, if set == 0 { &[] } else { &[0] }).await;
    asked.await.unwrap().unwrap();
}

async fn define(stream: &Route, id: u64, users: &[&str]) {
    stream.tell(ResponseMessage::SetPart(list(id, users, true))).await;
}

/// Waits until the near-cache has read everything that was sent so far.
async fn settled(stream: &mut Route, cache: &NearCache, revision: &str) {
    let sender = format!("@settled-{}:example.org", cache.stats().misses);
    remember(stream, cache, &sender, revision, 0).await;
}

#[tokio::test]
async fn an_answer_is_asked_for_once_and_then_comes_from_memory() {
    let (_fake, mut stream, cache) = connected(options()).await;
    assert!(cache.cached_audience(ANN).is_none());
    define(&stream, 1, &[ANN, JOE]).await;
    remember(&mut stream, &cache, ANN, "r1", 1).await;
    remember(&mut stream, &cache, SUE, "r1", 0).await;
    for _ in 0..10 {
        let answer = cache.audience(ANN).await.unwrap();
        assert_eq!(listed(&answer), [JOE], "without the sender");
        assert_eq!((answer.revision(), answer.is_stale()), ("r1", false));
    }
    assert_eq!(remembered(&cache, SUE), Some((vec![], "r1".into())), "nobody is an answer, too");
    assert!(cache.cached_interest(ANN).is_none(), "the other side is another question");
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.misses, stats.entries), (11, 4, 2));
    assert!(stats.bytes > 0 && stats.errors == 0 && stats.evictions == 0);
}

#[tokio::test]
async fn a_hundred_callers_of_one_question_share_one_request() {
    let (_fake, mut stream, cache) = connected(options()).await;
    let first = ask(&cache, JOE);
    let (first_id, _) = batch(&mut stream).await;
    let asked: Vec<_> = (0..100).map(|_| ask(&cache, ANN)).collect();
    let given_up = ask(&cache, ANN);
    let (id, senders) = batch(&mut stream).await;
    assert_eq!(senders, [ANN]);
    // One who gives up does not cost the others their answer.
    given_up.abort();
    define(&stream, 1, &[SUE]).await;
    stream.deliver(first_id, "r1", 1, &[0]).await;
    stream.deliver(id, "r1", 1, &[0]).await;
    for asked in asked {
        assert_eq!(asked.await.unwrap().unwrap(), [SUE]);
    }
    first.await.unwrap().unwrap();
    remember(&mut stream, &cache, TOM, "r1", 1).await;
}

#[tokio::test]
async fn questions_that_wait_together_go_out_together() {
    let mut fake = Fake::start().await;
    let cache = fake.client(Fake::options()).near_cache(options());
    let mut stream = fake.route().await;
    stream.open().await;
    let senders: Vec<String> = (0..300).map(|n| format!("@u{n}:example.org")).collect();
    let asked: Vec<_> = senders.iter().map(|sender| ask(&cache, sender)).collect();
    let malformed = ask(&cache, "nonsense");
    tokio::task::yield_now().await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    stream.tell(ResponseMessage::Opened(opened("r1", None))).await;
    let (first, senders_first) = batch(&mut stream).await;
    let (second, senders_second) = batch(&mut stream).await;
    assert_eq!([senders_first.len(), senders_second.len()], [256, 44]);
    let (alone, nonsense) = batch(&mut stream).await;
    assert_eq!(nonsense, ["nonsense"], "it would fail a whole batch");
    define(&stream, 1, &[SUE]).await;
    let all: Vec<u32> = (0..256).collect();
    stream.deliver(first, "r1", 1, &all).await;
    // The daemon refuses the second batch, so it is asked again in halves.
    for (refused, reason) in [(second, "x"), (alone, "y")] {
        let error = v1::RequestError {
            request: Some(v1::request_error::Request::BatchId(refused)),
            code: Code::InvalidArgument.into(),
            message: reason.into(),
            ..v1::RequestError::default()
        };
        stream.tell(ResponseMessage::RequestError(error)).await;
    }
    for _ in 0..2 {
        let (id, half) = batch(&mut stream).await;
        assert_eq!(half.len(), 22);
        stream.deliver(id, "r1", 1, &all[..22]).await;
    }
    for asked in asked {
        assert_eq!(asked.await.unwrap().unwrap(), [SUE]);
    }
    assert!(matches!(malformed.await.unwrap(), Err(Error::Refused(_))));
    assert_eq!(cache.stats().errors, 1);
    assert!(senders.iter().all(|sender| cache.cached_audience(sender).is_some()));
}

#[tokio::test]
async fn edits_take_effect_together_with_their_revision() {
    let (_fake, mut stream, cache) = connected(options()).await;
    define(&stream, 1, &[ANN, JOE]).await;
    define(&stream, 2, &[SUE]).await;
    stream.tell(ResponseMessage::SetPart(expression(3, union(&[set(1), set(2)])))).await;
    remember(&mut stream, &cache, TOM, "r1", 3).await;
    remember(&mut stream, &cache, "@x:example.org", "r1", 2).await;
    define(&stream, 4, &[SUE]).await;
    remember(&mut stream, &cache, "@z:example.org", "r1", 4).await;
    let asked = ask(&cache, "@y:example.org");
    let (id, _) = batch(&mut stream).await;
    stream.tell(ResponseMessage::SetEdit(edit(1, &["@new:example.org"], &[ANN]))).await;
    // This answer is of neither revision, so that the question is asked again.
    stream.deliver(id, "r1", 1, &[0]).await;
    // Shows that the client has read everything before it.
    stream.tell(ResponseMessage::SetRetired(v1::SetRetired { id: 4 })).await;
    while cache.cached_audience("@z:example.org").is_some() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(remembered(&cache, TOM), Some((strings(&[ANN, JOE, SUE]), "r1".into())));
    // But not before the next revision: until then, no answer could be remembered.
    let early = tokio::time::timeout(Duration::from_millis(50), stream.next()).await;
    assert!(early.is_err(), "asked too early: {early:?}");
    stream.tell(ResponseMessage::Changed(changed("r2"))).await;
    let (id, _) = batch(&mut stream).await;
    stream.deliver(id, "r2", 1, &[0]).await;
    assert_eq!(asked.await.unwrap().unwrap(), [JOE, "@new:example.org"]);
    let now = strings(&[JOE, "@new:example.org", SUE]);
    assert_eq!(remembered(&cache, TOM), Some((now, "r2".into())));
    assert_eq!(remembered(&cache, "@x:example.org"), Some((strings(&[SUE]), "r2".into())));
    assert_eq!(cache.stats().closed, 1, "only the answer whose set was retired");
}

#[tokio::test]
async fn an_answer_ends_with_its_set_and_nobody_by_name() {
    let (_fake, mut stream, cache) = connected(options()).await;
    define(&stream, 1, &[JOE]).await;
    define(&stream, 2, &[JOE]).await;
    for (sender, set) in [(ANN, 1), (SUE, 2), (TOM, 0), (JOE, 0)] {
        remember(&mut stream, &cache, sender, "r1", set).await;
    }
    stream.tell(ResponseMessage::SetRetired(v1::SetRetired { id: 1 })).await;
    let product = v1::PairProduct {
        senders: Some(users(&[SUE, TOM])),
        recipients: Some(users(&["@other:example.org"])),
    };
    let named = v1::Changed { gained: vec![product], ..changed("r2") };
    stream.tell(ResponseMessage::Changed(named)).await;
    settled(&mut stream, &cache, "r2").await;
    assert_eq!(remembered(&cache, ANN), None, "its set was retired");
    assert_eq!(remembered(&cache, TOM), None, "nobody, and named");
    assert!(remembered(&cache, SUE).is_some(), "named, but it refers to a set");
    assert!(remembered(&cache, JOE).is_some(), "nobody, and not named");
    assert_eq!(cache.stats().closed, 2);

    // An open product names everybody.
    let everyone = v1::SetExpression {
        expression: Some(v1::set_expression::Expression::Server("*.org".into())),
    };
    let product = v1::PairProduct { senders: Some(everyone), recipients: Some(users(&[ANN])) };
    let named = v1::Changed { lost: vec![product], ..changed("r3") };
    stream.tell(ResponseMessage::Changed(named)).await;
    stream.tell(ResponseMessage::SetRetired(v1::SetRetired { id: 2 })).await;
    let asked = ask(&cache, ANN);
    let (id, _) = batch(&mut stream).await;
    assert_eq!(remembered(&cache, JOE), None);

    stream.tell(ResponseMessage::Reset(v1::Reset { revision: "r4".into() })).await;
    stream.deliver(id, "r4", 0, &[]).await;
    asked.await.unwrap().unwrap();
    assert_eq!(remembered(&cache, SUE), None);
    assert_eq!(remembered(&cache, ANN), Some((vec![], "r4".into())));
}

#[tokio::test]
async fn filters_senders_by_the_interest_of_a_recipient() {
    let (_fake, mut stream, cache) = connected(options()).await;
    let asked = {
        let cache = cache.clone();
        let senders = [(ANN, "online"), (JOE, "online"), (TOM, "online"), (SUE, "offline")];
        tokio::spawn(async move { cache.filter(JOE, &senders).await })
    };
    let Some(RequestMessage::Interest(query)) = stream.next().await else { panic!("a query") };
    define(&stream, 1, &[ANN, JOE, SUE]).await;
    define(&stream, 2, &[ANN, SUE]).await;
    let hide = v1::Hide {
        users: Some(set(2)),
        fields: vec![v1::PresenceField::StatusMsg.into()],
        unless_presence: vec!["offline".into()],
    };
    let answer = v1::InterestAnswer {
        query_id: query.query_id,
        revision: "r1".into(),
        senders_set_id: 1,
        hides: vec![hide],
    };
    stream.tell(ResponseMessage::InterestAnswer(answer)).await;
    let visible = asked.await.unwrap().unwrap();
    let said = |one: &VisibleSender| (one.index, one.hidden.status_msg);
    assert_eq!(visible.iter().map(said).collect::<Vec<_>>(), [(0, true), (3, false)]);

    // A hide has a set of its own, and changes with that set.
    stream.tell(ResponseMessage::SetEdit(edit(1, &[TOM], &[SUE]))).await;
    stream.tell(ResponseMessage::Changed(changed("r2"))).await;
    settled(&mut stream, &cache, "r2").await;
    let senders = [(ANN, "online"), (SUE, "online"), (TOM, "online")];
    let filtered = || {
        let visible = cache.cached_filter(JOE, &senders)?;
        Some(visible.iter().map(said).collect::<Vec<_>>())
    };
    assert_eq!(filtered(), Some(vec![(0, true), (2, false)]));
    stream.tell(ResponseMessage::SetEdit(edit(2, &[TOM], &[ANN]))).await;
    stream.tell(ResponseMessage::Changed(changed("r3"))).await;
    settled(&mut stream, &cache, "r3").await;
    assert_eq!(filtered(), Some(vec![(0, false), (2, true)]));
    stream.tell(ResponseMessage::SetRetired(v1::SetRetired { id: 2 })).await;
    settled(&mut stream, &cache, "r3").await;
    assert_eq!(filtered(), None, "the set of its hide was retired");
}

#[tokio::test]
async fn a_router_takes_states_from_memory_if_it_has_all_of_them() {
    let (_fake, mut stream, cache) = connected(options()).await;
    define(&stream, 1, &[ANN, SUE]).await;
    let senders = vec![ANN.to_owned(), JOE.to_owned(), ANN.to_owned()];
    let asked = {
        let (cache, senders) = (cache.clone(), senders.clone());
        tokio::spawn(async move { cache.users_for_states(senders).await })
    };
    let (id, _) = batch(&mut stream).await;
    stream.deliver(id, "r1", 1, &[0, 2]).await;
    let first = asked.await.unwrap().unwrap();
    let second = cache.users_for_states(senders).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(second.states_for(SUE), [0, 2]);
    assert_eq!(cache.stats().entries, 2);
}

/// A revision that changes very many answers ends some of them instead, so that the task is soon
/// free for other messages.
#[tokio::test]
async fn a_large_change_ends_answers_that_it_does_not_replace() {
    let (_fake, mut stream, cache) = connected(options()).await;
    let senders: Vec<String> = (0..9000).map(|n| format!("@u{n}:example.org")).collect();
    let asked = {
        let (cache, senders) = (cache.clone(), senders.clone());
        tokio::spawn(async move { cache.users_for_states(senders).await })
    };
    let (id, _) = batch(&mut stream).await;
    define(&stream, 1, &[ANN, JOE]).await;
    let mut deliveries = Vec::new();
    for index in 0..9000 {
        let set_id = u64::from(index) + 2;
        stream.tell(ResponseMessage::SetPart(expression(set_id, union(&[set(1)])))).await;
        deliveries.push(v1::Delivery {
            recipients_set_id: set_id,
            state_indexes: vec![index],
            hides: Vec::new(),
        });
    }
    let answer = v1::Deliveries { batch_id: id, revision: "r1".into(), deliveries };
    stream.tell(ResponseMessage::Deliveries(answer)).await;
    asked.await.unwrap().unwrap();
    stream.tell(ResponseMessage::SetEdit(edit(1, &[], &[ANN]))).await;
    stream.tell(ResponseMessage::Changed(changed("r2"))).await;
    settled(&mut stream, &cache, "r2").await;
    let left: Vec<_> = senders.iter().filter_map(|sender| remembered(&cache, sender)).collect();
    assert!(left.iter().all(|answer| *answer == (strings(&[JOE]), "r2".into())));
    assert_eq!(left.len() as u64, 9000 - cache.stats().closed);
    assert!(left.len() > 8000 && left.len() < 9000, "{}", left.len());
}
