//! Flags over environment over file over defaults. What is active shows in the
//! first line of the log: its form, and the policy and address in it.

use crate::harness::{Daemon, Files, POLICY, program};

/// Policies for each place that can name one, and a config file that names the
/// one of its own, a socket, and JSON.
struct Case {
    files: Files,
}

/// Which policy a daemon serves, and whether its log is JSON.
async fn active(daemon: &Daemon) -> (String, bool) {
    let line = daemon.logged("serving").await;
    let names = ["flag.yaml", "env.yaml", "file.yaml", "example.yaml"];
    let policy = names.into_iter().find(|name| line.contains(name)).unwrap();
    (policy.to_owned(), line.starts_with('{'))
}

// === impl Case ===

impl Case {
    fn new() -> Self {
        let files = Files::new();
        for name in ["flag.yaml", "env.yaml", "file.yaml"] {
            files.write(name, POLICY);
        }
        let dir = files.dir().display();
        let config = format!(
            "policy: {dir}/file.yaml\nlisten: {{ unix: {dir}/file.sock }}\nlog: {{ format: json }}\n"
        );
        files.write("config.yaml", config);
        Self { files }
    }

    /// Starts a daemon with these flags and variables, without their prefixes.
    /// `DIR` in a value stands for the directory of the files.
    async fn start(&self, flags: &[(&str, &str)], variables: &[(&str, &str)]) -> Daemon {
        let value = |text: &str| text.replace("DIR", self.files.dir().to_str().unwrap());
        let mut command = program(&["serve"]);
        for (name, text) in flags {
            command.arg(format!("--{name}={}", value(text)));
        }
        for (name, text) in variables {
            command.env(format!("PRESENCE_ROUTER_{name}"), value(text));
        }
        Daemon::spawn(&mut command).await
    }

    fn sockets(&self) -> Vec<&str> {
        let all = ["flag.sock", "env.sock", "file.sock"];
        all.into_iter().filter(|name| self.files.path(name).exists()).collect()
    }
}

const CONFIG: (&str, &str) = ("config", "DIR/config.yaml");
const ENV: [(&str, &str); 4] = [
    ("CONFIG", "DIR/config.yaml"),
    ("POLICY", "DIR/env.yaml"),
    ("LISTEN_UNIX", "DIR/env.sock"),
    ("LOG_FORMAT", "plain"),
];

#[tokio::test]
async fn the_file_over_defaults() {
    let case = Case::new();
    let daemon = case.start(&[CONFIG], &[]).await;
    assert_eq!(active(&daemon).await, ("file.yaml".to_owned(), true));
    assert_eq!(case.sockets(), ["file.sock"]);
}

#[tokio::test]
async fn the_environment_over_the_file() {
    let case = Case::new();
    let daemon = case.start(&[], &ENV).await;
    assert_eq!(active(&daemon).await, ("env.yaml".to_owned(), false));
    assert_eq!(case.sockets(), ["env.sock"]);
}

#[tokio::test]
async fn flags_over_the_environment() {
    let case = Case::new();
    let flags =
        [("policy", "DIR/flag.yaml"), ("listen-unix", "DIR/flag.sock"), ("log-format", "json")];
    let daemon = case.start(&flags, &ENV).await;
    assert_eq!(active(&daemon).await, ("flag.yaml".to_owned(), true));
    assert_eq!(case.sockets(), ["flag.sock"]);
}

/// A port by flag sets the file's socket aside: whoever says where to listen says
/// all of it.
#[tokio::test]
async fn where_to_listen_is_replaced_as_a_whole() {
    let case = Case::new();
    let daemon = case.start(&[CONFIG, ("listen-tcp", "127.0.0.1:0")], &[]).await;
    daemon.connect().await;
    assert!(case.sockets().is_empty());
}

#[tokio::test]
async fn defaults() {
    let case = Case::new();
    let daemon = case.start(&[("listen-tcp", "127.0.0.1:0")], &[]).await;
    assert_eq!(active(&daemon).await, ("example.yaml".to_owned(), false));
}
