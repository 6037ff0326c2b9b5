//! How calls end: what their caller is sent, and what the log says of it. Both are
//! always the same.

use std::time::Duration;

use h2::RecvStream;
use presence_router_proto::v1::{
    GetInterestedUsersRequest, Open, RouteStatesRequest, WatchChangesRequest,
    route_states_request::Message as Request, route_states_response::Message as Response,
};
use rustix::process::Signal;

use crate::harness::calls::{HeldCall, Stream, interested};
use crate::harness::http2::{Frames, Http2, RawCall, message, read_to_end, status};
use crate::harness::{Daemon, Files};

const METHOD: &str = "GetInterestedUsers";

fn question() -> GetInterestedUsersRequest {
    GetInterestedUsersRequest {
        server_names: vec!["example.org".to_owned()],
        user_id: "@joe:example.org".to_owned(),
        ..Default::default()
    }
}

fn open() -> RouteStatesRequest {
    let open = Open { server_names: vec!["example.org".to_owned()], ..Default::default() };
    RouteStatesRequest { message: Some(Request::Open(open)) }
}

/// Waits until the daemon has taken the calls that this client began.
async fn are_taken(client: &Http2) {
    let mut later = client.call(METHOD, &[]).await;
    later.request.send_data(message(&question()), true).unwrap();
    let (_, mut body) = later.head().await.unwrap();
    read_to_end(&mut body).await.unwrap();
}

/// Opens a stream, and waits until it is there.
async fn begin_stream(client: &Http2, headers: &[(&str, &str)]) -> (RawCall, RecvStream) {
    let mut call = client.call("RouteStates", headers).await;
    call.request.send_data(message(&open()), false).unwrap();
    let mut body = call.answer().await;
    let opened = body.data().await.expect("a message").unwrap();
    body.flow_control().release_capacity(opened.len()).unwrap();
    (call, body)
}

fn code_of(line: &str) -> &str {
    line.split("code=").nth(1).unwrap().split(' ').next().unwrap()
}

#[tokio::test]
async fn a_call_ends_by_its_deadline() {
    let daemon = Daemon::start(&[]).await;
    let client = Http2::connect(&daemon.address()).await;
    // It never sends its request.
    let call = client.call(METHOD, &[("grpc-timeout", "50m")]).await;
    let (head, _) = call.head().await.unwrap();
    assert_eq!(status(&head), "4", "{head:?}");
    let why = head["grpc-message"].to_str().unwrap();
    assert!(why.contains("deadline") && why.contains("50ms"), "{why}");
    let line = daemon.logged("method=\"GetInterestedUsers\"").await;
    assert!(line.contains(" INFO ") && line.contains("deadline of 50ms"), "{line}");
    assert_eq!(code_of(&line), "DeadlineExceeded", "{line}");
    // In time, by another one that was long enough.
    let mut call = client.call(METHOD, &[("grpc-timeout", "1M")]).await;
    call.request.send_data(message(&question()), true).unwrap();
    let (_, mut body) = call.head().await.unwrap();
    let (_, trailers) = read_to_end(&mut body).await.unwrap();
    assert_eq!(status(&trailers), "0");
}

/// A client's own clock ends the call at the same time: by whichever it ends.
#[tokio::test]
async fn a_call_that_its_client_ends_at_the_deadline_ends_by_it() {
    let daemon = Daemon::start(&[]).await;
    let held = HeldCall::begin_within(&daemon.connect().await, Duration::from_secs(1)).await;
    held.ended().await.unwrap_err();
    let line = daemon.logged("method=\"GetInterestedUsers\"").await;
    assert_eq!(code_of(&line), "DeadlineExceeded", "{line}");
}

#[tokio::test]
async fn a_deadline_that_is_not_valid_is_none() {
    let daemon = Daemon::start(&[]).await;
    let client = Http2::connect(&daemon.address()).await;
    for timeout in ["soon", "", "0", "1s", "123456789S", "-1S", "1.5S"] {
        let mut call = client.call(METHOD, &[("grpc-timeout", timeout)]).await;
        call.request.send_data(message(&question()), true).unwrap();
        let (_, mut body) = call.head().await.unwrap();
        let (_, trailers) = read_to_end(&mut body).await.unwrap();
        assert_eq!(status(&trailers), "0", "{timeout:?}");
    }
}

#[tokio::test]
async fn a_call_that_is_cancelled_has_a_line() {
    let daemon = Daemon::start(&[]).await;
    let client = Http2::connect(&daemon.address()).await;
    let call = client.call(METHOD, &[]).await;
    are_taken(&client).await;
    call.cancel();
    let line = daemon.logged("method=\"GetInterestedUsers\"").await;
    assert_eq!(code_of(&line), "Cancelled", "{line}");
    assert!(line.contains(" INFO ") && line.contains("the caller went away"), "{line}");
}

#[tokio::test]
async fn a_call_whose_connection_is_lost_has_a_line() {
    let daemon = Daemon::start(&[]).await;
    let mut client = Frames::connect(&daemon.address()).await;
    client.begin_call(1).await;
    client.ping().await;
    drop(client);
    let line = daemon.logged("method=\"GetInterestedUsers\"").await;
    assert_eq!(code_of(&line), "Cancelled", "{line}");
}

#[tokio::test]
async fn a_stream_ends_by_its_deadline() {
    let daemon = Daemon::start(&[]).await;
    let client = Http2::connect(&daemon.address()).await;
    let (_call, mut body) = begin_stream(&client, &[("grpc-timeout", "300m")]).await;
    let (_, trailers) = read_to_end(&mut body).await.unwrap();
    assert_eq!(status(&trailers), "4", "{trailers:?}");
    let line = daemon.logged("stream ended").await;
    assert_eq!(code_of(&line), "DeadlineExceeded", "{line}");
    assert!(line.contains("revision="), "what it did is in the line as well: {line}");
}

#[tokio::test]
async fn a_stream_that_its_client_ends_says_how() {
    let daemon = Daemon::start(&[]).await;
    let client = Http2::connect(&daemon.address()).await;
    let (mut call, mut body) = begin_stream(&client, &[]).await;
    call.request.send_data(Default::default(), true).unwrap();
    let (_, trailers) = read_to_end(&mut body).await.unwrap();
    assert_eq!(status(&trailers), "0", "{trailers:?}");
    assert_eq!(code_of(&daemon.logged("stream ended").await), "Ok");
    let (call, _body) = begin_stream(&client, &[]).await;
    call.cancel();
    let lines = daemon.logged_times("stream ended", 2).await;
    assert_eq!(code_of(&lines[1]), "Cancelled", "{lines:?}");
}

#[tokio::test]
async fn a_stream_that_is_refused_says_why() {
    let daemon = Daemon::start(&[]).await;
    let client = Http2::connect(&daemon.address()).await;
    let mut call = client.call("RouteStates", &[]).await;
    call.request.send_data(message(&RouteStatesRequest::default()), false).unwrap();
    let mut body = call.answer().await;
    let (_, trailers) = read_to_end(&mut body).await.unwrap();
    assert_eq!(status(&trailers), "9", "{trailers:?}");
    let line = daemon.logged("stream ended").await;
    assert_eq!(code_of(&line), "FailedPrecondition", "{line}");
    assert!(line.contains("presence_router::calls::refused"), "{line}");
    assert!(line.contains("why=\"the first message of a stream must be"), "{line}");
}

/// Each client is sent UNAVAILABLE, and so says each line, before the last one.
#[tokio::test]
async fn streams_that_end_at_shutdown_end_as_their_clients_are_told() {
    const STREAMS: usize = 40;
    let mut daemon = Daemon::start(&[]).await;
    let client = Http2::connect(&daemon.address()).await;
    let mut bodies = Vec::new();
    for _ in 0..STREAMS {
        bodies.push(begin_stream(&client, &[]).await);
        let mut watch = client.call("WatchChanges", &[]).await;
        let server_names = vec!["example.org".to_owned()];
        let request = WatchChangesRequest { server_names, ..Default::default() };
        watch.request.send_data(message(&request), true).unwrap();
        let body = watch.answer().await;
        bodies.push((watch, body));
    }
    daemon.signal(Signal::TERM);
    for (_, mut body) in bodies {
        let (_, trailers) = read_to_end(&mut body).await.unwrap();
        assert_eq!(status(&trailers), "14", "{trailers:?}");
    }
    assert_eq!(daemon.ended().await.code(), Some(0));
    let log = daemon.log();
    let ended: Vec<_> = log.iter().filter(|line| line.contains("stream ended")).collect();
    assert_eq!(ended.len(), 2 * STREAMS, "{log:#?}");
    for line in ended {
        assert_eq!(code_of(line), "Unavailable", "{line}");
    }
    assert!(log.last().unwrap().ends_with("shut down"), "{log:#?}");
}

/// Its client does not read, so that it cannot be told.
#[tokio::test]
async fn a_stream_that_is_cut_off_says_so() {
    let files = Files::new();
    let config = files.write("config.yaml", "limits: { shutdown_seconds: 1 }");
    let mut daemon = Daemon::start(&["--config", &config]).await;
    let client = Http2::with_window(&daemon.address(), 0).await;
    let mut call = client.call("RouteStates", &[]).await;
    call.request.send_data(message(&open()), false).unwrap();
    let _body = call.answer().await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().await.code(), Some(1));
    let line = daemon.logged("stream ended").await;
    assert_eq!(code_of(&line), "Unavailable", "{line}");
    assert!(line.contains("cut off"), "{line}");
}

#[tokio::test]
async fn what_happened_is_summed_up() {
    let mut daemon = Daemon::start(&["--log-format", "json"]).await;
    let channel = daemon.connect().await;
    for _ in 0..3 {
        interested(&channel, "@joe:example.org").await.unwrap();
    }
    interested(&channel, "joe").await.unwrap_err();
    let mut stream = Stream::open(&channel).await;
    for query in 1..=4 {
        stream.ask(query, "@joe:example.org");
    }
    while !matches!(stream.next().await.unwrap(), Some(told) if answers(&told, 4)) {}
    let client = Http2::connect(&daemon.address()).await;
    let (head, _) = client.call(METHOD, &[("grpc-timeout", "1m")]).await.head().await.unwrap();
    assert_eq!(status(&head), "4");
    daemon.signal(Signal::TERM);
    stream.next().await.unwrap_err();
    assert_eq!(daemon.ended().await.code(), Some(0));
    let line = daemon.logged("calls in summary").await;
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    for (field, want) in [
        ("ok", 3),
        ("refused", 1),
        ("deadline_exceeded", 1),
        ("cancelled", 0),
        ("failed", 0),
        ("streams_open", 0),
        ("streams_ended", 1),
        ("interests", 4),
        ("batches", 0),
        ("states", 0),
    ] {
        assert_eq!(line[field], want, "{field}: {line}");
    }
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["target"], "presence_router::calls::summary");
}

fn answers(told: &Response, query: u64) -> bool {
    matches!(told, Response::InterestAnswer(answer) if answer.query_id == query)
}
