//! `Touch`: an answer that the client still uses outlives answers that it does not use.
//! Ids without an answer are ignored, and only the limit on messages bounds their number.

use presence_router_ids::RoomCapabilities;
use presence_router_proto::rooms::capability_values;
use presence_router_proto::v1::route_states_request::Message as Request;
use presence_router_proto::v1::route_states_response::Message as Response;
use presence_router_proto::v1::watch_changes_response::Message as WatchResponse;
use presence_router_proto::v1::{
    Capability, InterestQuery, Open, StateBatch, Touch, WatchChangesRequest,
};
use prost::Message;
use tonic::Code;
use tonic_types::StatusExt;

use crate::harness::raw::RawStream;
use crate::harness::{Daemon, Stream, limits, states};

/// Teams of two, so that each user has an audience that only one other user shares.
fn teams() -> String {
    let groups = (0..10).map(|n| format!("team/{n}: ['@a{n}:one.org', '@b{n}:one.org'], "));
    let groups: String = groups.collect();
    format!("groups: {{ {groups} }}\nrules: [{{ name: teams, allow: {{ within: 'team/*' }} }}]")
}

async fn open(daemon: &Daemon, set_budget_bytes: u64) -> Stream {
    let mut stream = Stream::start(daemon.client()).await;
    let server_names = vec!["one.org".to_owned()];
    // A capability that this daemon does not know.
    let capabilities = vec![99];
    let open = Open { server_names, set_budget_bytes, capabilities, ..Open::default() };
    stream.send(Request::Open(open));
    let opened = stream.next().await.unwrap();
    let Some(Response::Opened(opened)) = opened else { panic!("not opened: {opened:?}") };
    let others = [Capability::Touch, Capability::NamedServers];
    let expected = others.into_iter().chain(capability_values(RoomCapabilities::ALL));
    assert!(opened.capabilities().eq(expected), "{opened:?}");
    stream
}

/// Asks for a sender's audience. Returns its set, and the sets that are retired before.
async fn audience(stream: &mut Stream, sender: &str) -> (u64, Vec<u64>) {
    stream.send(Request::Batch(StateBatch { states: states(&[sender]), ..Default::default() }));
    let mut retired = Vec::new();
    loop {
        match stream.next().await.unwrap().expect("the stream goes on") {
            Response::SetPart(_) => {}
            Response::SetRetired(set) => retired.push(set.id),
            Response::Deliveries(answer) => {
                return (answer.deliveries[0].recipients_set_id, retired);
            }
            other => panic!("not expected: {other:?}"),
        }
    }
}

fn touch(stream: &Stream, set_ids: impl IntoIterator<Item = u64>) {
    stream.send(Request::Touch(Touch { set_ids: set_ids.into_iter().collect() }));
}

#[tokio::test]
async fn touched_answers_survive_an_eviction_that_retires_others() {
    let daemon = Daemon::serving(&teams()).await;
    // A team weighs about 30 bytes: there is room for three of ten.
    for touches in [false, true] {
        let mut stream = open(&daemon, 110).await;
        let (first, _) = audience(&mut stream, "@a0:one.org").await;
        stream.send(Request::Interest(InterestQuery {
            user_id: "@b0:one.org".to_owned(),
            ..InterestQuery::default()
        }));
        let answer = stream.next().await.unwrap();
        let Some(Response::InterestAnswer(answer)) = answer else { panic!("{answer:?}") };
        assert_eq!(answer.senders_set_id, first, "the same users");
        let mut all_retired = Vec::new();
        for team in 1..10 {
            let (_, retired) = audience(&mut stream, &format!("@a{team}:one.org")).await;
            all_retired.extend(retired);
            if touches {
                touch(&stream, [first]);
            }
        }
        assert!(all_retired.len() > 5, "{all_retired:?}");
        assert_eq!(all_retired.contains(&first), !touches, "touched: {touches}");
    }
}

#[tokio::test]
async fn ids_without_an_answer_are_ignored() {
    let daemon = Daemon::serving(&teams()).await;
    let mut stream = open(&daemon, 0).await;
    let (first, _) = audience(&mut stream, "@a0:one.org").await;
    touch(&stream, []);
    // No set has the id 0; a team's list is no answer; the rest is not defined yet.
    touch(&stream, [0, 1, first, first, first + 1, u64::MAX]);
    daemon.reload("rules: []").unwrap();
    loop {
        match stream.next().await.unwrap() {
            Some(Response::Changed(_)) => break,
            Some(Response::SetRetired(_)) => {}
            other => panic!("not expected: {other:?}"),
        }
    }
    touch(&stream, [first]);
    daemon.reload(&teams()).unwrap();
    assert!(matches!(stream.next().await, Ok(Some(Response::Changed(_)))));
    assert_ne!(audience(&mut stream, "@a0:one.org").await.0, first, "an id is never reused");
}

#[tokio::test]
async fn only_the_limit_on_messages_bounds_a_touch() {
    let daemon = Daemon::serving(&teams()).await;
    let mut stream = open(&daemon, 0).await;
    let (first, _) = audience(&mut stream, "@a0:one.org").await;
    // The longest ids take ten bytes.
    touch(&stream, vec![u64::MAX; 100_000]);
    assert_eq!(audience(&mut stream, "@b0:one.org").await, (first, Vec::new()));

    touch(&stream, vec![1; limits().request_bytes]);
    let refused = stream.refusal().await;
    let reason = refused.get_details_error_info().unwrap().reason;
    assert_eq!((refused.code(), reason.as_str()), (Code::OutOfRange, "MESSAGE_TOO_LARGE"));
}

#[tokio::test]
async fn a_touch_before_open_or_with_damaged_ids_ends_the_stream() {
    let daemon = Daemon::serving(&teams()).await;
    let mut stream = Stream::start(daemon.client()).await;
    touch(&stream, [1]);
    let refused = stream.refusal().await;
    let reason = refused.get_details_error_info().unwrap().reason;
    assert_eq!((refused.code(), reason.as_str()), (Code::FailedPrecondition, "OPEN_MISSING"));

    // An id that does not end, a list that is longer than its message, and a text.
    for touch in [&b"\x22\x03\x0a\x01\xff"[..], b"\x22\x02\x0a\x09", b"\x22\x03\x0d\x01\x41"] {
        let mut stream = RawStream::start(&daemon.channel(), "RouteStates").await;
        let server_names = vec!["one.org".to_owned()];
        let open = Request::Open(Open { server_names, ..Open::default() });
        let open = presence_router_proto::v1::RouteStatesRequest { message: Some(open) };
        stream.send(open.encode_to_vec());
        stream.send(touch.to_vec());
        let refused = stream.refusal().await;
        let reason = refused.get_details_error_info().unwrap().reason;
        assert_eq!(
            (refused.code(), reason.as_str()),
            (Code::InvalidArgument, "MESSAGE_UNDECODABLE")
        );
    }
}

#[tokio::test]
async fn a_watch_takes_no_optional_requests() {
    let daemon = Daemon::serving(&teams()).await;
    let request = WatchChangesRequest {
        server_names: vec!["one.org".to_owned()],
        capabilities: vec![99],
        ..WatchChangesRequest::default()
    };
    let mut watch = daemon.client().watch_changes(request).await.unwrap().into_inner();
    let opened = watch.message().await.unwrap().and_then(|first| first.message);
    let Some(WatchResponse::Opened(opened)) = opened else { panic!("not opened: {opened:?}") };
    assert_eq!(opened.capabilities, [0; 0]);
}
