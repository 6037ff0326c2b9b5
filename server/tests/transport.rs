//! Connections: clients that say nothing, too much, or something else, and what the
//! log says of why a connection was closed.

use presence_router_proto::v1::{
    GetInterestedUsersRequest, InterestQuery, Open, RouteStatesRequest, RouteStatesResponse,
    route_states_request::Message as Request, route_states_response::Message as Response,
};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tonic::codegen::Bytes;

use crate::harness::calls::interested;
use crate::harness::http2::{Frames, GOAWAY, Http2, message, messages, read_to_end, status};
use crate::harness::{Daemon, Files, within};

/// What HTTP/2 clients begin with, all but the last byte of it.
const NEARLY_A_GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0";

/// A port check that stays connected, or a client that hangs as it begins.
#[tokio::test]
async fn clients_that_have_not_greeted_do_not_hold_up_the_end() {
    let files = Files::new();
    let socket = files.name("socket");
    let config = files.write("config.yaml", "limits: { shutdown_seconds: 1 }");
    let mut daemon = Daemon::start(&["--config", &config, "--listen-unix", &socket]).await;
    let silent = TcpStream::connect(daemon.address()).await.unwrap();
    let by_unix = UnixStream::connect(&socket).await.unwrap();
    let mut half = TcpStream::connect(daemon.address()).await.unwrap();
    half.write_all(NEARLY_A_GREETING).await.unwrap();
    // Later than they: they were accepted before.
    interested(&daemon.connect().await, "@joe:example.org").await.unwrap();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().await.code(), Some(0), "{:#?}", daemon.log());
    assert_no_line_about_connections(&daemon);
    drop((silent, by_unix, half));
}

#[tokio::test]
async fn a_client_that_does_not_greet_makes_room_for_another() {
    let files = Files::new();
    let config = files.write("config.yaml", "limits: { connections: 1 }");
    let daemon = Daemon::start(&["--config", &config]).await;
    let mut silent = TcpStream::connect(daemon.address()).await.unwrap();
    // Waits until the silent one is dropped.
    interested(&daemon.connect().await, "@joe:example.org").await.unwrap();
    let mut sent = Vec::new();
    within("the end of the silent connection", silent.read_to_end(&mut sent)).await.unwrap();
    daemon.logged("`limits.connections` is reached").await;
    assert_no_line_about_connections(&daemon);
}

#[tokio::test]
async fn port_checks_leave_no_line() {
    let daemon = Daemon::start(&[]).await;
    for _ in 0..20 {
        drop(TcpStream::connect(daemon.address()).await.unwrap());
    }
    interested(&daemon.connect().await, "@joe:example.org").await.unwrap();
    assert_no_line_about_connections(&daemon);
}

/// A process that was stopped, or whose machine is gone, acknowledges nothing.
#[tokio::test]
async fn an_idle_client_that_hangs_does_not_hold_up_the_end() {
    let files = Files::new();
    let config = files.write("config.yaml", "limits: { shutdown_seconds: 2 }");
    let mut daemon = Daemon::start(&["--config", &config]).await;
    let mut hanging = Frames::connect(&daemon.address()).await;
    hanging.ping().await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().await.code(), Some(0), "{:#?}", daemon.log());
}

/// An answer that its client has not read yet is a call under way.
#[tokio::test]
async fn an_answer_that_is_not_read_is_waited_for_and_cut_off() {
    let files = Files::new();
    let config = files.write("config.yaml", "limits: { shutdown_seconds: 1 }");
    let mut daemon = Daemon::start(&["--config", &config]).await;
    let client = Http2::with_window(&daemon.address(), 0).await;
    let mut call = client.call("GetInterestedUsers", &[]).await;
    let question = GetInterestedUsersRequest {
        server_names: vec!["example.org".to_owned()],
        user_id: "@joe:example.org".to_owned(),
        ..Default::default()
    };
    call.request.send_data(message(&question), true).unwrap();
    let (_, _unread) = call.head().await.unwrap();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().await.code(), Some(1), "{:#?}", daemon.log());
}

#[tokio::test]
async fn a_client_of_another_protocol_is_named() {
    let daemon = Daemon::start(&[]).await;
    for (bytes, kind) in [
        (&b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"[..], "HTTP/1"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03and so on", "TLS"),
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", "something else"),
    ] {
        let mut client = TcpStream::connect(daemon.address()).await.unwrap();
        let peer = client.local_addr().unwrap();
        client.write_all(bytes).await.unwrap();
        let mut sent = Vec::new();
        // What the daemon has not read is no reason not to close.
        let _ = within("the end", client.read_to_end(&mut sent)).await;
        let line = daemon.logged(&format!("the client speaks {kind}")).await;
        assert!(line.contains(" INFO ") && line.contains(&format!("peer={peer}")), "{line}");
    }
}

/// Each reset costs the daemon work, and a client nothing.
#[tokio::test]
async fn a_client_that_makes_the_daemon_reset_streams_without_end_is_closed() {
    let daemon = Daemon::start(&[]).await;
    let mut client = Frames::connect(&daemon.address()).await;
    for call in 0..400 {
        let stream = 2 * call + 1;
        client.begin_call(stream).await;
        client.raise_window(stream, i32::MAX as u32).await;
        client.raise_window(stream, i32::MAX as u32).await;
    }
    let frame = client.ping().await;
    assert_eq!(frame.kind, GOAWAY, "the connection was not closed");
    assert!(frame.payload.ends_with(b"too_many_internal_resets"), "{:?}", frame.payload);
    let line = daemon.logged("connection closed: the client broke the rules of HTTP/2").await;
    assert!(line.contains(" WARN ") && line.contains("too_many_internal_resets"), "{line}");
    interested(&daemon.connect().await, "@joe:example.org").await.unwrap();
}

/// The library would write a line for each, as fast as they come.
#[tokio::test]
async fn what_any_client_can_send_without_end_is_not_logged() {
    let daemon = Daemon::start(&["--log", "info"]).await;
    let mut client = Frames::connect(&daemon.address()).await;
    for _ in 0..200 {
        client.unasked_ack().await;
    }
    client.ping().await;
    assert!(!daemon.log().iter().any(|line| line.contains("PING")), "{:#?}", daemon.log());
}

/// A client that pipelines, one short frame a message, and reads afterwards. With the
/// library's default windows a few thousand unread ones closed the connection.
#[tokio::test]
async fn a_client_may_have_many_requests_unread() {
    const QUERIES: u64 = 100_000;
    let daemon = Daemon::start(&[]).await;
    let client = Http2::connect(&daemon.address()).await;
    let mut call = client.call("RouteStates", &[]).await;
    let open = Open { server_names: vec!["example.org".to_owned()], ..Default::default() };
    let mut send = |asked, is_last| {
        let request = message(&RouteStatesRequest { message: Some(asked) });
        call.request.send_data(request, is_last).unwrap();
    };
    send(Request::Open(open), false);
    for query_id in 1..=QUERIES {
        let user_id = "@a:b".to_owned();
        let query = InterestQuery { query_id, user_id, ..Default::default() };
        send(Request::Interest(query), query_id == QUERIES);
    }
    let (_, mut answers) = call.head().await.unwrap();
    let (bytes, trailers) = read_to_end(&mut answers).await.unwrap();
    assert_eq!(status(&trailers), "0");
    let answered: Vec<u64> = messages::<RouteStatesResponse>(&bytes)
        .into_iter()
        .filter_map(|answer| match answer.message? {
            Response::InterestAnswer(answer) => Some(answer.query_id),
            _ => None,
        })
        .collect();
    assert!(answered.into_iter().eq(1..=QUERIES));
}

/// The limit is still there, far above what an honest client needs: the log names it.
#[tokio::test]
async fn a_client_with_too_many_requests_unread_is_closed_and_named() {
    let daemon = Daemon::start(&[]).await;
    // It takes no answers, so that the daemon reads no more requests after a few.
    let client = Http2::with_window(&daemon.address(), 0).await;
    let open = Open { server_names: vec!["example.org".to_owned()], ..Default::default() };
    let open = message(&RouteStatesRequest { message: Some(Request::Open(open)) });
    let query = InterestQuery { user_id: "@joe:example.org".to_owned(), ..Default::default() };
    let query = message(&RouteStatesRequest { message: Some(Request::Interest(query)) });
    let begin = [&open[..], &query.repeat(100)].concat();
    let flood = async {
        let mut calls = Vec::new();
        for _ in 0..100 {
            calls.push(client.call("RouteStates", &[]).await);
        }
        for call in &mut calls {
            let _ = call.request.send_data(begin.clone().into(), false);
            for _ in 0..1000 {
                // Fails once the daemon has closed the connection.
                let _ = call.request.send_data(Bytes::from_static(b"\0"), false);
            }
        }
        std::future::pending().await
    };
    let line = tokio::select! {
        line = daemon.logged("connection closed: the client broke the rules of HTTP/2") => line,
        () = flood => unreachable!(),
    };
    assert!(line.contains(" WARN ") && line.contains("too_many_data_frames"), "{line}");
}

/// What a client had sent when a stream of it was refused is no breach: its other
/// streams go on.
#[tokio::test]
async fn a_stream_that_is_refused_costs_no_other_one() {
    let daemon = Daemon::start(&[]).await;
    let client = Http2::connect(&daemon.address()).await;
    let open = Open { server_names: vec!["example.org".to_owned()], ..Default::default() };
    let open = message(&RouteStatesRequest { message: Some(Request::Open(open)) });
    let query = InterestQuery { user_id: "@joe:example.org".to_owned(), ..Default::default() };
    let query = message(&RouteStatesRequest { message: Some(Request::Interest(query)) });
    let mut good = client.call("RouteStates", &[]).await;
    good.request.send_data(open, false).unwrap();
    for _ in 0..40 {
        // It does not begin with `open`, and has sent far ahead.
        let mut bad = client.call("RouteStates", &[]).await;
        for _ in 0..5000 {
            let _ = bad.request.send_data(query.clone(), false);
        }
        let (_, mut body) = bad.head().await.unwrap();
        let (_, trailers) = read_to_end(&mut body).await.unwrap();
        assert_eq!(status(&trailers), "9");
    }
    good.request.send_data(query, true).unwrap();
    let (_, mut answers) = good.head().await.unwrap();
    let (_, trailers) = read_to_end(&mut answers).await.unwrap();
    assert_eq!(status(&trailers), "0");
}

fn assert_no_line_about_connections(daemon: &Daemon) {
    let log = daemon.log();
    let about = |line: &&String| {
        line.contains("presence_router::connections") || line.contains("cannot accept")
    };
    assert_eq!(log.iter().find(about), None, "{log:#?}");
}
