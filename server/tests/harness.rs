//! The program as a process: a daemon that a test can call, signal and read the
//! log of; and runs that end by themselves. Every wait is for something, and
//! bounded: where the program hangs a test fails, it does not hang with it.

pub(crate) mod calls;
mod files;
pub(crate) mod http2;

use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};

pub(crate) use self::files::Files;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A policy by which Ann is seen by Joe.
pub(crate) const POLICY: &str = r#"
rules:
  - name: joe sees ann
    allow: { from: "@ann:example.org", to: "@joe:example.org" }
"#;

/// Arguments to serve on a free port.
pub(crate) const FREE_PORT: [&str; 3] = ["serve", "--listen-tcp", "127.0.0.1:0"];

/// A daemon, killed when dropped. Its log is shown when a test fails.
pub(crate) struct Daemon {
    child: Child,
    log: watch::Receiver<Vec<String>>,
}

/// The program, without any settings from the environment of the tests.
pub(crate) fn program(args: &[&str]) -> Command {
    program_named(env!("CARGO_BIN_EXE_presence-router"), args)
}

/// Another program that may start ours, without any settings from the environment of the
/// tests.
pub(crate) fn program_named(name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(name);
    for name in [
        "ADDR",
        "CONFIG",
        "POLICY",
        "WATCH_POLICY",
        "LISTEN_TCP",
        "LISTEN_UNIX",
        "LOG_FORMAT",
        "LOG",
    ] {
        command.env_remove(format!("PRESENCE_ROUTER_{name}"));
    }
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs the program to its end.
pub(crate) async fn run(args: &[&str]) -> Output {
    within("the program ends", program(args).output()).await.unwrap()
}

/// Runs the program, which must not be able to do what it is asked for. What it
/// says on standard error.
pub(crate) async fn cannot_run(args: &[&str]) -> String {
    let Output { status, stdout, stderr } = run(args).await;
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{args:?}: {said}");
    assert!(stdout.is_empty(), "{args:?}: {}", String::from_utf8_lossy(&stdout));
    assert!(!said.contains("panicked"), "{said}");
    said
}

/// Waits for something that must happen.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, future).await;
    waited.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

// === impl Daemon ===

impl Daemon {
    /// Starts a daemon on a free port with these further arguments.
    pub(crate) async fn start(args: &[&str]) -> Self {
        Self::spawn(program(&FREE_PORT).args(args)).await
    }

    /// Starts a daemon, and waits until it serves.
    pub(crate) async fn spawn(command: &mut Command) -> Self {
        Self::spawn_until(command, "serving").await
    }

    /// Starts a daemon, and waits until it has logged this text.
    pub(crate) async fn spawn_until(command: &mut Command, text: &str) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (write, log) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                write.send_modify(|log| log.push(line));
            }
        });
        let daemon = Self { child, log };
        daemon.logged(text).await;
        daemon
    }

    /// Waits for a line of the log that holds this text, and returns it.
    pub(crate) async fn logged(&self, text: &str) -> String {
        self.logged_times(text, 1).await.pop().unwrap()
    }

    /// Waits until this text was logged so many times.
    pub(crate) async fn logged_times(&self, text: &str, times: usize) -> Vec<String> {
        let with_text = |log: &[String]| -> Vec<String> {
            log.iter().filter(|line| line.contains(text)).cloned().collect()
        };
        let mut log = self.log.clone();
        let logged = log.wait_for(|log| with_text(log).len() >= times);
        match within(&format!("`{text}` in the log"), logged).await {
            Ok(log) => with_text(&log),
            Err(_) => panic!("the daemon ended before it logged `{text}`"),
        }
    }

    /// All lines of the log so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.borrow().clone()
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> i32 {
        i32::try_from(self.child.id().expect("the daemon runs")).unwrap()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.id()).unwrap(), signal).unwrap();
    }

    /// Waits for the end of the process and of its log.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let status = within("the daemon ends", self.child.wait()).await.unwrap();
        let mut log = self.log.clone();
        within("the log ends", async { while log.changed().await.is_ok() {} }).await;
        status
    }

    /// Its standard output, if that is piped.
    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().unwrap()
    }

    /// `host:port` that it listens on.
    pub(crate) fn address(&self) -> String {
        let log = self.log();
        let parts = log.iter().flat_map(|line| line.split(['"', ' ', '=']));
        let mut ports = parts.filter(|part| part.starts_with("127.0.0.1:"));
        ports.next().expect("a daemon that listens on a port").to_owned()
    }

    /// A connection of its own.
    pub(crate) async fn connect(&self) -> Channel {
        connect(&format!("http://{}", self.address())).await
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.log().join("\n"));
        }
    }
}

/// Connects to a daemon: `http://127.0.0.1:9470` or `unix:/path`.
pub(crate) async fn connect(address: &str) -> Channel {
    let endpoint = Endpoint::from_shared(address.to_owned()).unwrap();
    within("the daemon accepts", endpoint.connect()).await.unwrap()
}

/// Connects to a daemon whose log cannot tell that it serves.
pub(crate) async fn connect_when_there(address: &str) -> Channel {
    let endpoint = Endpoint::from_shared(address.to_owned()).unwrap();
    let attempts = async {
        loop {
            match endpoint.connect().await {
                Ok(channel) => return channel,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    within("the daemon accepts", attempts).await
}
