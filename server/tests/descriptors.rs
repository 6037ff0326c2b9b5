//! The number of files that the process may have open: raised at the start, and never
//! used up by connections.

use std::process::Stdio;

use rustix::process::Signal;
use tokio::net::UnixStream;
use tokio::process::Command;

use crate::harness::calls::interested;
use crate::harness::{Daemon, Files, POLICY, connect};

/// A daemon that a shell starts with these limits.
async fn limited(limits: &str, files: &Files, args: &[&str]) -> Daemon {
    let binary = env!("CARGO_BIN_EXE_presence-router");
    let script = format!("{limits}; exec {binary} serve \"$@\"");
    let socket = files.name("socket");
    let mut shell = Command::new("bash");
    shell.args(["-c", &script, "sh", "--listen-unix", &socket]).args(args);
    Daemon::spawn(shell.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true)).await
}

/// The soft limit for open files, as the system has it.
fn soft_limit(daemon: &Daemon) -> u64 {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_soft_limit_is_raised_to_the_hard_one() {
    let files = Files::new();
    let daemon = limited("ulimit -Sn 256; ulimit -Hn 4096", &files, &[]).await;
    assert_eq!(soft_limit(&daemon), 4096);
    assert!(!daemon.log().iter().any(|line| line.contains(" WARN ")), "{:#?}", daemon.log());
}

/// As many clients as may, and more, and the policy changes.
#[tokio::test]
async fn connections_leave_what_a_reload_needs() {
    let files = Files::new();
    let policy = files.write("policy.yaml", POLICY);
    let daemon = limited("ulimit -n 128", &files, &["--policy", &policy]).await;
    let warned = daemon.logged("`limits.connections` exceeds the limit of open files").await;
    assert!(warned.contains("connections=64") && warned.contains("ulimit -n"), "{warned}");
    let first = connect(&format!("unix:{}", files.name("socket"))).await;
    interested(&first, "@joe:example.org").await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..120 {
        clients.push(UnixStream::connect(files.path("socket")).await.unwrap());
    }
    daemon.logged("`limits.connections` is reached").await;
    files.write("policy.yaml", POLICY.replace("joe", "eve"));
    daemon.signal(Signal::HUP);
    daemon.logged("policy loaded").await;
    interested(&first, "@joe:example.org").await.unwrap();
    assert!(!daemon.log().iter().any(|line| line.contains("Too many open files")));
}
