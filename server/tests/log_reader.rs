//! A log that nobody reads, or that cannot be written: no reason not to answer, nor
//! not to end.

use std::io::{BufRead, BufReader, PipeReader};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tonic::transport::Channel;

use crate::harness::calls::{interested, users_for};
use crate::harness::{Files, connect, connect_when_there, program, within};

/// The filter that shows every call, so that the log fills fast.
const ALL_CALLS: &str = "info,presence_router::calls=debug";

/// More lines than a pipe and the daemon's own queue hold.
const MANY: usize = 30_000;

/// A daemon with a standard error of the test's own.
struct Unread {
    child: Child,
    channel: Channel,
    address: String,
}

// === impl Unread ===

impl Unread {
    async fn start(files: &Files, args: &[&str], stderr: impl Into<Stdio>) -> Self {
        let socket = files.name("socket");
        let mut command = program(&["serve", "--listen-unix", &socket]);
        let child = command.args(args).stderr(stderr).spawn().unwrap();
        Self::connected(child, socket).await
    }

    async fn connected(child: Child, socket: String) -> Self {
        let address = format!("unix:{socket}");
        let channel = connect_when_there(&address).await;
        Self { child, channel, address }
    }

    /// Makes calls that succeed, a few at a time.
    async fn call(&self, times: usize) {
        const AT_ONCE: usize = 100;
        for _ in 0..times / AT_ONCE {
            let call = || {
                let channel = self.channel.clone();
                tokio::spawn(async move { interested(&channel, "@joe:example.org").await })
            };
            let calls: Vec<_> = (0..AT_ONCE).map(|_| call()).collect();
            for call in calls {
                call.await.unwrap().unwrap();
            }
        }
    }

    /// Ends it, and waits for that.
    async fn end(mut self) -> ExitStatus {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
        within("the daemon ends", self.child.wait()).await.unwrap()
    }
}

/// Reads what is left of a log whose daemon has ended.
fn lines(reader: PipeReader) -> Vec<String> {
    BufReader::new(reader).lines().map(Result::unwrap).collect()
}

/// The sum of a number in lines that have this text.
fn sum(lines: &[String], text: &str, field: &str) -> usize {
    let lines = lines.iter().filter(|line| line.contains(text));
    let values = lines.filter_map(|line| line.split(&format!("{field}=")).nth(1));
    values.map(|value| value.split(' ').next().unwrap().parse::<usize>().unwrap()).sum()
}

/// The program that collected the log is gone.
#[tokio::test]
async fn a_log_whose_reader_is_gone_disturbs_no_call() {
    let files = Files::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut daemon = Unread::start(&files, &[], writer).await;
    daemon.call(100).await;
    assert!(daemon.child.try_wait().unwrap().is_none());
    assert_eq!(daemon.end().await.code(), Some(0));
}

/// It is there, and hangs. Calls, new connections and the end are as ever.
#[tokio::test]
async fn a_log_that_nobody_reads_disturbs_no_call() {
    let files = Files::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let daemon = Unread::start(&files, &["--log", ALL_CALLS], writer).await;
    daemon.call(2000).await;
    interested(&connect(&daemon.address).await, "@joe:example.org").await.unwrap();
    assert_eq!(daemon.end().await.code(), Some(0));
    drop(reader);
}

/// It hangs for a while, and reads on: lines of calls were left out, and a line says
/// how many; nothing else was.
#[tokio::test]
async fn a_reader_that_comes_back_learns_what_it_missed() {
    let files = Files::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let daemon = Unread::start(&files, &["--log", ALL_CALLS], writer).await;
    daemon.call(MANY).await;
    for _ in 0..10 {
        users_for(&daemon.channel, &["nobody"]).await.unwrap_err();
    }
    let (send, reading) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || send.send(lines(reader)));
    assert_eq!(daemon.end().await.code(), Some(0));
    let log = within("the end of the log", reading).await.unwrap();
    let calls = log.iter().filter(|line| line.contains("code=Ok")).count();
    let left_out = sum(&log, "the daemon dropped lines of its log", "calls");
    assert!(calls > 0 && left_out > 0, "{calls} calls, {left_out} left out");
    assert_eq!(calls + left_out, MANY, "all calls are there, or counted");
    let refused = log.iter().filter(|line| line.contains("code=InvalidArgument")).count();
    assert_eq!(refused, 10, "a refusal is not left out");
    assert_eq!(sum(&log, "the daemon dropped lines of its log", "others"), 0);
    assert!(log.iter().any(|line| line.ends_with("shut down")), "{:?}", log.last());
}

/// `ulimit -f`, or a quota: the log ends there, and nothing else.
#[tokio::test]
async fn a_log_file_that_may_not_grow_does_not_end_the_daemon() {
    let files = Files::new();
    let (socket, log) = (files.name("socket"), files.name("log"));
    let binary = env!("CARGO_BIN_EXE_presence-router");
    // Blocks of 1,024 bytes.
    let script = format!("ulimit -f 8; exec {binary} \"$@\" 2>{log}");
    let args = ["-c", &script, "sh", "serve", "--listen-unix", &socket, "--log", ALL_CALLS];
    let mut shell = tokio::process::Command::new("bash");
    let child = shell.args(args).stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let mut daemon = Unread::connected(child, socket).await;
    daemon.call(1000).await;
    assert!(daemon.child.try_wait().unwrap().is_none());
    assert_eq!(std::fs::metadata(&log).unwrap().len(), 8 * 1024);
    assert_eq!(daemon.end().await.code(), Some(0));
}
