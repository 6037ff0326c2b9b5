//! SIGTERM and SIGINT: the end in order, and the end at once.

use rustix::process::Signal;
use tokio::net::TcpStream;
use tonic::Code;

use crate::harness::calls::{HeldCall, Stream, interested};
use crate::harness::{Daemon, Files, connect, within};

/// A config in which a shutdown waits for so many seconds.
fn patient(files: &Files, seconds: u16) -> String {
    files.write("config.yaml", format!("limits: {{ shutdown_seconds: {seconds} }}"))
}

#[tokio::test]
async fn either_signal_ends_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let files = Files::new();
        let socket = files.name("socket");
        let mut daemon = Daemon::start(&["--listen-unix", &socket]).await;
        let mut stream = Stream::open(&daemon.connect().await).await;
        let by_unix = connect(&format!("unix:{socket}")).await;
        interested(&by_unix, "@joe:example.org").await.unwrap();
        daemon.signal(signal);
        let reason = stream.next().await.unwrap_err();
        assert_eq!(reason.code(), Code::Unavailable, "{reason}");
        assert!(reason.message().contains("shutting down"), "{reason}");
        assert_eq!(daemon.ended().await.code(), Some(0));
        assert!(!files.path("socket").exists());
        assert!(daemon.log().last().unwrap().ends_with("shut down"), "{:?}", daemon.log().last());
    }
}

#[tokio::test]
async fn a_call_under_way_is_answered_and_nobody_else_let_in() {
    let files = Files::new();
    let config = patient(&files, 600);
    let socket = files.name("socket");
    let mut daemon = Daemon::start(&["--config", &config, "--listen-unix", &socket]).await;
    let held = HeldCall::begin(&daemon.connect().await).await;
    daemon.signal(Signal::TERM);
    port_is_closed(&daemon).await;
    let answer = held.finish().await.unwrap();
    assert!(!answer.revision.is_empty());
    assert_eq!(daemon.ended().await.code(), Some(0));
    assert!(!files.path("socket").exists());
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let files = Files::new();
    let config = patient(&files, 600);
    let mut daemon = Daemon::start(&["--config", &config]).await;
    let _held = HeldCall::begin(&daemon.connect().await).await;
    daemon.signal(Signal::TERM);
    daemon.logged("shutting down: no new connections").await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().await.code(), Some(1));
    assert_logged(&daemon, "second signal");
}

#[tokio::test]
async fn a_call_that_does_not_end_is_cut_off() {
    let files = Files::new();
    let config = patient(&files, 1);
    let socket = files.name("socket");
    let mut daemon = Daemon::start(&["--config", &config, "--listen-unix", &socket]).await;
    let _held = HeldCall::begin(&daemon.connect().await).await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().await.code(), Some(1));
    assert_logged(&daemon, "calls were still under way after 1s");
    assert!(!files.path("socket").exists());
}

/// The place that a client holds must not keep the daemon from closing its port.
#[tokio::test]
async fn ends_though_all_places_are_taken() {
    let files = Files::new();
    let config = files.write("config.yaml", "limits: { connections: 1, shutdown_seconds: 1 }");
    let socket = files.name("socket");
    let mut daemon = Daemon::start(&["--config", &config, "--listen-unix", &socket]).await;
    let _held = HeldCall::begin(&connect(&format!("unix:{socket}")).await).await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().await.code(), Some(1));
    assert!(!files.path("socket").exists());
}

fn assert_logged(daemon: &Daemon, text: &str) {
    assert!(daemon.log().iter().any(|line| line.contains(text)), "`{text}` is not in the log");
}

/// Waits until the daemon accepts nobody any more. Each attempt is a wait of its
/// own: it is answered or refused.
async fn port_is_closed(daemon: &Daemon) {
    daemon.logged("shutting down: no new connections").await;
    let closed = async { while TcpStream::connect(daemon.address()).await.is_ok() {} };
    within("the port is closed", closed).await;
}
