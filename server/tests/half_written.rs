//! A file that is half written never becomes active, unless nobody finishes it.

use std::fs::File;
use std::io::Write;

use rustix::process::Signal;

use crate::harness::calls::{interested, users_for};
use crate::harness::{Daemon, Files};

const WAITING: &str = "another program is writing a file of the policy";
const COMPARING: &str = "comparing the policy's files";

/// Everybody sees everybody, but nobody those in the list, of whom Zoe is the last.
const PROTECTED: &str = "
groups:
  hidden: { members_file: hidden.txt }
rules:
  - name: open
    allow: { from: { server: example.org }, to: { server: example.org } }
  - name: hidden
    deny: { from: { group: hidden }, to: everyone }
";
const FIRST_HALF: &str = "@ann:example.org\n@bob:example.org\n";
const SECOND_HALF: &str = "@yan:example.org\n@zoe:example.org\n";

async fn start(files: &Files, policy: &str) -> Daemon {
    let file = files.write("policy.yaml", policy);
    let arguments = ["--policy", &file, "--log", "info,presence_router_server=debug"];
    let daemon = Daemon::start(&arguments).await;
    daemon.logged("watching the policy for changes").await;
    daemon
}

fn times(daemon: &Daemon, text: &str) -> usize {
    daemon.log().iter().filter(|line| line.contains(text)).count()
}

/// Which of these users Joe does not see.
async fn hidden_from_joe(daemon: &Daemon, users: &[&str]) -> Vec<String> {
    let channel = daemon.connect().await;
    let mut hidden = Vec::new();
    for user in users {
        let id = format!("@{user}:example.org");
        let answer = users_for(&channel, &[&id]).await.unwrap();
        if answer.recipients.is_empty() && answer.open_recipients.is_empty() {
            hidden.push((*user).to_owned());
        }
    }
    hidden
}

/// The report that this is about: `(head -500; sleep 1; tail -n +501) > hidden.txt`.
/// For two seconds everybody saw those who must not be seen.
#[tokio::test]
async fn a_members_file() {
    let files = Files::new();
    files.write("hidden.txt", format!("{FIRST_HALF}{SECOND_HALF}"));
    let daemon = start(&files, PROTECTED).await;

    let mut file = File::create(files.path("hidden.txt")).unwrap();
    for (text, comparisons) in [("", 1), (FIRST_HALF, 2)] {
        file.write_all(text.as_bytes()).unwrap();
        // It has been quiet for as long as a complete file is waited for.
        daemon.logged_times(WAITING, comparisons).await;
        daemon.logged_times(COMPARING, comparisons).await;
        assert_eq!(times(&daemon, "policy loaded"), 0);
        assert_eq!(hidden_from_joe(&daemon, &["ann", "zoe"]).await, ["ann", "zoe"]);
    }
    file.write_all(SECOND_HALF.as_bytes()).unwrap();
    file.write_all(b"@new:example.org\n").unwrap();
    drop(file);
    daemon.logged("policy loaded").await;
    assert_eq!(
        hidden_from_joe(&daemon, &["ann", "zoe", "new", "old"]).await,
        ["ann", "zoe", "new"]
    );
}

#[tokio::test]
async fn a_policy() {
    let files = Files::new();
    files.write("hidden.txt", FIRST_HALF);
    let daemon = start(&files, PROTECTED).await;
    let (first, second) = PROTECTED.split_at(PROTECTED.find("  - name: hidden").unwrap());
    let mut file = File::create(files.path("policy.yaml")).unwrap();
    file.write_all(first.as_bytes()).unwrap();
    daemon.logged(COMPARING).await;
    assert_eq!(times(&daemon, "policy loaded"), 0);
    assert_eq!(hidden_from_joe(&daemon, &["ann"]).await, ["ann"]);
    file.write_all(second.as_bytes()).unwrap();
    file.write_all(b"# complete\n").unwrap();
    drop(file);
    daemon.logged("policy loaded").await;
    assert_eq!(hidden_from_joe(&daemon, &["ann"]).await, ["ann"]);
}

/// One that is complete is not loaded beside another that is not.
#[tokio::test]
async fn two_files() {
    let files = Files::new();
    files.write("hidden.txt", FIRST_HALF);
    let daemon = start(&files, PROTECTED).await;
    let mut list = File::create(files.path("hidden.txt")).unwrap();
    list.write_all(b"@ann:example.org\n").unwrap();
    daemon.logged(WAITING).await;
    files.write("policy.yaml.new", format!("{PROTECTED}# new\n"));
    std::fs::rename(files.path("policy.yaml.new"), files.path("policy.yaml")).unwrap();
    daemon.logged(COMPARING).await;
    assert_eq!(times(&daemon, "policy loaded"), 0);
    list.write_all(b"@zoe:example.org\n").unwrap();
    drop(list);
    daemon.logged("policy loaded").await;
    assert_eq!(hidden_from_joe(&daemon, &["ann", "bob", "zoe"]).await, ["ann", "zoe"]);
}

/// By a writer that keeps it open, as some exporters do.
#[tokio::test]
async fn one_that_is_never_closed() {
    let files = Files::new();
    files.write("hidden.txt", FIRST_HALF);
    let daemon = start(&files, PROTECTED).await;
    let mut file = File::create(files.path("hidden.txt")).unwrap();
    file.write_all(b"@zoe:example.org\n").unwrap();
    let line = daemon.logged("never closed").await;
    assert!(line.contains("WARN") && line.contains("hidden.txt"), "{line}");
    daemon.logged("policy loaded").await;
    assert_eq!(hidden_from_joe(&daemon, &["ann", "zoe"]).await, ["zoe"]);
    drop(file);
}

/// A signal says that the files are as they are to be.
#[tokio::test]
async fn a_signal_does_not_wait() {
    let files = Files::new();
    files.write("hidden.txt", FIRST_HALF);
    let daemon = start(&files, PROTECTED).await;
    let mut file = File::create(files.path("hidden.txt")).unwrap();
    file.write_all(b"@zoe:example.org\n").unwrap();
    daemon.logged(WAITING).await;
    daemon.signal(Signal::HUP);
    daemon.logged("policy loaded").await;
    assert_eq!(times(&daemon, "never closed"), 0);
    assert_eq!(hidden_from_joe(&daemon, &["ann", "zoe"]).await, ["zoe"]);
    // And goes on waiting for what comes after it.
    file.write_all(b"@y").unwrap();
    daemon.logged_times(WAITING, 2).await;
    file.write_all(b"an:example.org\n").unwrap();
    drop(file);
    daemon.logged_times("policy loaded", 2).await;
    assert_eq!(hidden_from_joe(&daemon, &["yan", "zoe"]).await, ["yan", "zoe"]);
    let answer = interested(&daemon.connect().await, "@joe:example.org").await.unwrap();
    assert!(!answer.user_ids.contains(&"@zoe:example.org".to_owned()), "{answer:?}");
}
