//! The servers that the daemon names to a near-cache.

use std::time::Duration;

use presence_router_client::{Basis, NearCache, Visibility, WhenAway, v1};
use presence_router_proto::v1::{
    route_states_response::Message as ResponseMessage, set_expression::Expression,
};
use tonic::Status;

use super::{ANN, JOE, options, remember, settled};
use crate::fake::{
    Fake, LONG, Route, changed, expression, list, of, opened, strings, union, users,
};

fn named(added: &[&str], removed: &[&str], last: bool) -> ResponseMessage {
    let (added, removed) = (strings(added), strings(removed));
    ResponseMessage::NamedServers(v1::NamedServers { added, removed, last })
}

/// The next stream of a daemon that names servers, before it has named any.
async fn opened_naming(fake: &mut Fake, revision: &str) -> Route {
    let mut route = fake.route().await;
    let open = route.open().await;
    assert_eq!(open.capabilities, [i32::from(v1::Capability::NamedServers)]);
    let mut opened = opened(revision, None);
    opened.capabilities.push(v1::Capability::NamedServers.into());
    route.tell(ResponseMessage::Opened(opened)).await;
    route
}

/// A near-cache that is connected at `r1`, and has heard of `b.org` and `c.org`.
async fn connected_naming() -> (Fake, Route, NearCache) {
    let mut fake = Fake::start().await;
    let cache = fake.client(Fake::options()).near_cache(options());
    let mut stream = opened_naming(&mut fake, "r1").await;
    stream.tell(named(&["b.org"], &[], false)).await;
    stream.tell(named(&["c.org"], &[], true)).await;
    settled(&mut stream, &cache, "r1").await;
    (fake, stream, cache)
}

fn heard(cache: &NearCache) -> (u64, Vec<String>) {
    let servers = cache.named_servers();
    assert_eq!(servers.names().len(), servers.names().count());
    (servers.number(), servers.names().map(str::to_owned).collect())
}

#[tokio::test]
async fn a_change_is_published_with_a_new_number() {
    let (_fake, mut stream, cache) = connected_naming().await;
    assert_eq!(heard(&cache), (1, strings(&["b.org", "c.org"])));
    let kept = cache.named_servers();
    stream.tell(named(&["a.org", "d.org"], &["b.org"], true)).await;
    stream.tell(ResponseMessage::Changed(changed("r2"))).await;
    settled(&mut stream, &cache, "r2").await;
    assert_eq!(heard(&cache), (2, strings(&["a.org", "c.org", "d.org"])));
    assert_eq!(kept.number(), 1, "a list never changes");
    assert_eq!(kept.names().collect::<Vec<_>>(), ["b.org", "c.org"]);
    // `Reset` ends answers, and no names.
    stream.tell(ResponseMessage::Reset(v1::Reset { revision: "r3".into() })).await;
    settled(&mut stream, &cache, "r3").await;
    assert_eq!(heard(&cache), (2, strings(&["a.org", "c.org", "d.org"])));
}

/// Readers that load the names after an answer never combine it with older names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_published_before_the_answers_of_their_revision() {
    const REVISIONS: usize = 2_000;
    let (_fake, mut stream, cache) = connected_naming().await;
    stream.tell(ResponseMessage::SetPart(list(1, &[JOE], true))).await;
    remember(&mut stream, &cache, ANN, "r1", 1).await;
    let reader = std::thread::spawn({
        let cache = cache.clone();
        move || {
            let mut last = 1;
            while last < REVISIONS {
                let Some(answer) = cache.cached_audience(ANN) else { continue };
                let revision: usize = answer.revision()[1..].parse().unwrap();
                let newest = format!("s{revision:05}.org");
                let named = cache.named_servers();
                let is_named = named.names().any(|name| *name >= *newest);
                assert!(revision == 1 || is_named, "at {revision}: {named:?}");
                last = revision;
            }
        }
    });
    for revision in 2..=REVISIONS {
        let [name, before] = [revision, revision - 1].map(|number| format!("s{number:05}.org"));
        let removed = if revision == 2 { "b.org" } else { &before };
        stream.tell(named(&[&name], &[removed], true)).await;
        stream.tell(ResponseMessage::Changed(changed(&format!("r{revision}")))).await;
    }
    tokio::task::spawn_blocking(|| reader.join().unwrap()).await.unwrap();
}

#[tokio::test]
async fn the_last_list_stays_until_the_next_stream_has_named_its_own() {
    let (mut fake, stream, cache) = connected_naming().await;
    let one = (1, strings(&["b.org", "c.org"]));
    stream.end(Status::unavailable("away")).await;
    let stream = opened_naming(&mut fake, "r1").await;
    assert_eq!(heard(&cache), one, "without a list");
    stream.tell(named(&["b.org"], &[], false)).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(heard(&cache), one, "with half a list");
    // The next stream begins with an empty list, not with this half.
    stream.end(Status::unavailable("away")).await;
    let mut stream = opened_naming(&mut fake, "r1").await;
    stream.tell(named(&["b.org", "c.org"], &[], true)).await;
    settled(&mut stream, &cache, "r1").await;
    assert_eq!(heard(&cache), one, "the same list has the same number");
    // A daemon from before the capability.
    stream.end(Status::unavailable("away")).await;
    let (mut stream, _) = fake.opened("r1").await;
    settled(&mut stream, &cache, "r1").await;
    assert_eq!(heard(&cache), (0, vec![]));
    stream.end(Status::unavailable("away")).await;
    let mut stream = opened_naming(&mut fake, "r1").await;
    stream.tell(named(&[], &[], true)).await;
    settled(&mut stream, &cache, "r1").await;
    assert_eq!(heard(&cache), (2, vec![]), "an empty list is a list");
}

#[tokio::test]
async fn a_list_that_breaks_the_contract_ends_the_stream() {
    let heartbeat = || ResponseMessage::Heartbeat(v1::Heartbeat { revision: "r1".into() });
    for broken in [
        vec![heartbeat()],
        vec![named(&["b.org"], &[], false), heartbeat()],
        vec![named(&["b.org", "b.org"], &[], true)],
        vec![named(&[], &["b.org"], true)],
        vec![ResponseMessage::SetPart(list(1, &[JOE], true)), named(&[], &[], true)],
    ] {
        let mut fake = Fake::start().await;
        let cache = fake.client(Fake::options()).near_cache(options());
        let mut stream = opened_naming(&mut fake, "r1").await;
        for message in broken.clone() {
            stream.tell(message).await;
        }
        let ended = tokio::time::timeout(LONG, stream.next()).await;
        assert_eq!(ended.expect("the client ends the stream"), None, "{broken:?}");
        assert_eq!(heard(&cache), (0, vec![]), "{broken:?}");
    }
}

#[tokio::test]
async fn a_stream_without_a_near_cache_asks_for_no_names() {
    let mut fake = Fake::start().await;
    let _stream = fake.client(Fake::options()).route_states();
    assert_eq!(fake.route().await.open().await.capabilities, [0; 0]);
}

#[tokio::test]
async fn names_between_the_parts_of_a_set_end_the_stream() {
    let (_fake, mut stream, cache) = connected_naming().await;
    stream.tell(ResponseMessage::SetPart(list(1, &[JOE], false))).await;
    stream.tell(named(&["d.org"], &[], true)).await;
    assert_eq!(stream.next().await, None);
    assert_eq!(heard(&cache), (1, strings(&["b.org", "c.org"])));
}

#[tokio::test]
async fn destinations_are_the_servers_of_listed_users_and_named_servers() {
    let (_fake, mut stream, cache) = connected_naming().await;
    let some_on_b = of(Expression::Match("@*:b.org".to_owned()));
    let audience = union(&[users(&[ANN, "@tom:d.org", "@sue:d.org"]), some_on_b]);
    stream.tell(ResponseMessage::SetPart(expression(1, audience))).await;
    stream.tell(ResponseMessage::SetPart(expression(2, users(&[JOE])))).await;
    remember(&mut stream, &cache, ANN, "r1", 1).await;
    remember(&mut stream, &cache, JOE, "r1", 2).await;

    let visibility = Visibility::new(cache, WhenAway::Nobody);
    let destinations = visibility.destinations(ANN).await.unwrap();
    assert_eq!(destinations.servers, ["b.org", "d.org"], "not her own, nor `c.org`");
    assert!(destinations.is_open);
    assert_eq!(destinations.basis, Basis::Current);
    let destinations = visibility.destinations(JOE).await.unwrap();
    assert!(destinations.servers.is_empty() && !destinations.is_open, "nobody but himself");
}
