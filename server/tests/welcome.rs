//! What a first start prints: where the daemon listens, and what to type next.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};

use crate::harness::calls::interested;
use crate::harness::{Daemon, Files, POLICY, program, within};

#[tokio::test]
async fn no_arguments_at_all() {
    let files = Files::new();
    let socket = files.name("socket");
    let mut command = program(&[]);
    command
        .env("PRESENCE_ROUTER_LISTEN_TCP", "127.0.0.1:0")
        .env("PRESENCE_ROUTER_LISTEN_UNIX", &socket)
        .stdout(Stdio::piped());
    let mut daemon = Daemon::spawn(&mut command).await;
    let address = daemon.address();
    let mut lines = BufReader::new(daemon.stdout()).lines();
    let mut text = String::new();
    while !text.contains("Ctrl-C") {
        let line = within("the text", lines.next_line()).await.unwrap();
        text += &format!("{}\n", line.expect("a text that says how to end"));
    }
    assert!(text.contains(&format!("  listening on {address}\n")), "{text}");
    assert!(text.contains(&format!("  listening on unix:{socket}\n")), "{text}");
    for method in ["GetUsersForStates", "GetInterestedUsers"] {
        let call = format!(" {address} presence_router.v1.PresenceRouterService/{method}\n");
        assert!(text.contains(&call), "{text}");
    }
    assert_eq!(text.matches("grpcurl -plaintext").count(), 2, "{text}");
}

#[tokio::test]
async fn nothing_is_printed_when_there_is_a_policy() {
    let files = Files::new();
    let policy = files.write("policy.yaml", POLICY);
    let mut command = program(&["serve", "--listen-tcp", "127.0.0.1:0", "--policy", &policy]);
    let mut daemon = Daemon::spawn(command.stdout(Stdio::piped())).await;
    daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(daemon.ended().await.code(), Some(0));
    let mut lines = BufReader::new(daemon.stdout()).lines();
    assert_eq!(lines.next_line().await.unwrap(), None);
}

#[tokio::test]
async fn nobody_has_to_read_it() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = program(&["--listen-tcp", "127.0.0.1:0"]);
    let daemon = Daemon::spawn(command.stdout(Stdio::from(writer))).await;
    interested(&daemon.connect().await, "@joe:example.org").await.unwrap();
}
