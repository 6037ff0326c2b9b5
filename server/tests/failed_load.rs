//! A load that failed: what the log and `show --about` say of it, and that it is tried
//! again where that may help.

use std::os::unix::fs::symlink;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Daemon, FREE_PORT, Files, POLICY, program, run, within};

const REJECTED: &str = "policy rejected; the previous one stays active";

async fn about(daemon: &Daemon) -> String {
    let output = run(&["show", "--about", "--addr", &daemon.address()]).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Nobody would notice before a restart fails on it.
#[tokio::test]
async fn who_asks_about_the_policy_hears_of_it() {
    let files = Files::new();
    let file = files.write("policy.yaml", POLICY);
    let daemon = Daemon::start(&["--policy", &file, "--watch-policy", "false"]).await;
    assert!(!about(&daemon).await.contains("problem"));

    files.write("policy.yaml", "ruls: []\ngroups: { a: [ann] }\n");
    daemon.signal(Signal::HUP);
    daemon.logged(REJECTED).await;
    let said = about(&daemon).await;
    for (begin, end) in [
        (format!("{file}:1:1: "), " [unknown-key]"),
        (format!("{file}:2:15: "), " [not-a-set]"),
        (format!("{file}: the file has 2 problems since 20"), ""),
    ] {
        let is_wanted = |line: &str| line.starts_with(&begin) && line.ends_with(end);
        assert!(said.lines().any(is_wanted), "{begin}..{end} is not in {said}");
    }
    assert!(said.contains("; an earlier policy stays active:\n"), "{said}");
    assert!(said.contains("allow `joe sees ann`"), "{said}");
    let since = |said: &str| {
        let line = said.lines().find(|line| line.contains(" since ")).unwrap().to_owned();
        line.split(" since ").nth(1).unwrap().to_owned()
    };

    // It stays the same failure, until a load succeeds.
    files.write("policy.yaml", "ruls: []\n");
    daemon.signal(Signal::HUP);
    daemon.logged_times(REJECTED, 2).await;
    let later = about(&daemon).await;
    assert!(later.contains(": the file has 1 problem since "), "{later}");
    assert_eq!(since(&said), since(&later));
    files.write("policy.yaml", POLICY);
    daemon.signal(Signal::HUP);
    daemon.logged("policy is unchanged").await;
    assert!(!about(&daemon).await.contains("problem"));
}

/// For machines one record, for people a line for each problem.
#[tokio::test]
async fn the_log_has_all_problems() {
    let files = Files::new();
    let file = files.write("policy.yaml", POLICY);
    for format in ["json", "plain"] {
        files.write("policy.yaml", POLICY);
        let arguments = ["--policy", &file, "--watch-policy", "false", "--log-format", format];
        let daemon = Daemon::start(&arguments).await;
        files.write("policy.yaml", "ruls: []\ngroups: { a: [ann] }\n");
        daemon.signal(Signal::HUP);
        let line = daemon.logged(REJECTED).await;
        // Whatever belongs to it stands before the next.
        files.write("policy.yaml", POLICY);
        daemon.signal(Signal::HUP);
        daemon.logged("policy is unchanged").await;
        if format == "json" {
            let record: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(record["level"], "ERROR");
            let problems = record["problems"].as_array().unwrap();
            assert_eq!(problems.len(), 2, "{line}");
            assert_eq!(problems[0]["file"], file);
            assert_eq!((&problems[1]["line"], &problems[1]["column"]), (&2.into(), &15.into()));
            assert_eq!(
                (&problems[0]["code"], &problems[1]["code"]),
                (&"unknown-key".into(), &"not-a-set".into())
            );
            assert_eq!(problems[1]["message"], "`ann` is not a set");
            assert!(problems[1]["help"].as_str().unwrap().starts_with("write a user id "));
            assert_eq!(daemon.log().iter().filter(|line| line.contains("`ann`")).count(), 1);
        } else {
            assert!(!line.contains("ruls"), "{line}");
            for (position, code) in [("1:1", "[unknown-key]"), ("2:15", "[not-a-set]")] {
                let line = daemon.logged(&format!("{file}:{position}: ")).await;
                assert!(line.contains("ERROR") && line.contains(code), "{line}");
            }
        }
    }
}

/// The memory of a process is a file whose first byte cannot be read: an I/O error.
/// Nothing is watched, so that nothing but another try finds that it has passed.
#[tokio::test]
async fn one_by_an_io_error_is_tried_again() {
    let files = Files::new();
    let policy = "groups: { all: { members_file: all.txt } }\nrules: [{ name: x, allow: { within: all } }]\n";
    let file = files.write("policy.yaml", policy);
    files.write("all.txt", "@ann:example.org\n");
    let daemon = Daemon::start(&["--policy", &file, "--watch-policy", "false"]).await;
    std::fs::remove_file(files.path("all.txt")).unwrap();
    symlink("/proc/self/mem", files.path("all.txt")).unwrap();
    daemon.signal(Signal::HUP);
    daemon.logged("Input/output error").await;
    daemon.logged("the daemon retries the load").await;
    files.write("next.txt", "@ann:example.org\n@joe:example.org\n");
    std::fs::rename(files.path("next.txt"), files.path("all.txt")).unwrap();
    daemon.logged("policy loaded").await;
    // Another kind of failure is not tried again.
    std::fs::remove_file(files.path("all.txt")).unwrap();
    daemon.signal(Signal::HUP);
    daemon.logged("No such file or directory").await;
    assert_eq!(
        daemon.log().iter().filter(|line| line.contains("the daemon retries the load")).count(),
        1
    );
}

/// Before it serves, and while it reads what takes long.
#[tokio::test]
async fn a_signal_during_the_first_load_ends_it_in_order() {
    let files = Files::new();
    let users: String = (0..400_000).map(|i| format!("@u{i}:example.org\n")).collect();
    files.write("all.txt", users);
    let policy = "groups: { all: { members_file: all.txt } }\nrules: [{ name: x, allow: { within: all } }]\n";
    let file = files.write("policy.yaml", policy);
    let mut command = program(&FREE_PORT);
    command.args(["--policy", &file, "--log", "debug"]).stderr(Stdio::piped());
    let daemon = Daemon::spawn_until(&mut command, "loading the policy");
    let mut daemon = within("the daemon begins to load", daemon).await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().await.code(), Some(0));
    assert!(daemon.log().iter().any(|line| line.contains("the daemon served nothing")));
    assert!(daemon.log().iter().all(|line| !line.contains("serving address")));
}
