//! The servers, each a process of its own: the daemon as it is shipped, over a
//! policy of a million users; and this program again, as something stock.
//!
//! What a server costs is what the kernel says that its threads ran.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use crate::{Kind, SERVING, USERS, worlds};

/// Longest wait for a server to have its users.
const START: Duration = Duration::from_secs(60);

/// A server, killed when dropped.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) socket: PathBuf,
    child: Child,
    /// Not closed: its log must go somewhere.
    _log: Lines<BufReader<ChildStderr>>,
}

/// Processor time of each thread, in nanoseconds.
pub(crate) struct Spent(HashMap<PathBuf, u64>);

// === impl Server ===

impl Server {
    /// Starts one, and waits until it serves.
    pub(crate) async fn start(kind: Kind, dir: &Path) -> Self {
        let socket = dir.join(format!("{kind:?}.sock"));
        let mut command = match kind {
            Kind::Daemon => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_presence-router"));
                // Settings of whoever runs this must not count.
                command.env_clear().arg("serve");
                command.arg("--policy").arg(policy(dir)).arg("--listen-unix").arg(&socket);
                command
            }
            _ => {
                let mut command = Command::new(std::env::current_exe().unwrap());
                command.arg("--serve").arg(format!("{kind:?}")).arg(&socket);
                command
            }
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let serving = async {
            while !log.next_line().await.unwrap().expect("it serves").contains(SERVING) {}
        };
        timeout(START, serving).await.expect("it serves in time");
        Self { kind, socket, child, _log: log }
    }

    /// What it has spent by now.
    pub(crate) fn spent(&self) -> Spent {
        let tasks = format!("/proc/{}/task", self.child.id().expect("it runs"));
        let threads = fs::read_dir(tasks).expect("processor times: only Linux tells them");
        let threads = threads.filter_map(|thread| {
            let path = thread.ok()?.path();
            // A thread may have ended since.
            let times = fs::read_to_string(path.join("schedstat")).ok()?;
            Some((path, times.split(' ').next()?.parse().ok()?))
        });
        Spent(threads.collect())
    }
}

// === impl Spent ===

impl Spent {
    /// Nanoseconds from an earlier time on.
    pub(crate) fn since(&self, earlier: &Self) -> u64 {
        let before = |thread| earlier.0.get(thread).copied().unwrap_or(0);
        self.0.iter().map(|(thread, now)| now - before(thread)).sum()
    }
}

/// World *classes* as a policy: each group with a file of its members.
fn policy(dir: &Path) -> PathBuf {
    let mut members = vec![String::new(); worlds::CLASSES_GROUPS];
    let signatures = worlds::signatures();
    for (user, groups) in worlds::users(USERS).iter().zip(signatures.iter().cycle()) {
        for group in groups {
            members[*group] += user;
            members[*group].push('\n');
        }
    }
    let mut text = String::from("groups:\n");
    for (group, members) in members.iter().enumerate() {
        fs::write(dir.join(format!("{group}.txt")), members).unwrap();
        writeln!(text, "  team/{group}: {{ members_file: {group}.txt }}").unwrap();
    }
    let private = format!("{{ group: team/{} }}", worlds::CLASSES_GROUPS - 1);
    text += "rules:\n  - { name: teams, allow: { within: \"team/*\" } }\n";
    writeln!(
        text,
        "  - {{ name: private, deny: {{ from: {private}, to: {{ any: everyone, except: {private} }} }} }}"
    )
    .unwrap();
    let path = dir.join("policy.yaml");
    fs::write(&path, text).unwrap();
    path
}
