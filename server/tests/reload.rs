//! SIGHUP: a policy that is changed comes into force, one with problems does not,
//! and however often it is asked for, the daemon goes on.

use rustix::process::Signal;

use crate::harness::calls::interested;
use crate::harness::{Daemon, Files, POLICY};

const NOBODY: &str = "rules: []\n";

async fn joe_sees(daemon: &Daemon) -> (Vec<String>, String) {
    let answer = interested(&daemon.connect().await, "@joe:example.org").await.unwrap();
    (answer.user_ids, answer.revision)
}

#[tokio::test]
async fn a_changed_policy_comes_into_force() {
    let files = Files::new();
    let file = files.write("policy.yaml", POLICY);
    let daemon = Daemon::start(&["--policy", &file, "--watch-policy", "false"]).await;
    let (before, first) = joe_sees(&daemon).await;
    assert_eq!(before, ["@ann:example.org"]);

    files.write("policy.yaml", NOBODY);
    daemon.signal(Signal::HUP);
    let line = daemon.logged("policy loaded").await;
    let (after, second) = joe_sees(&daemon).await;
    assert!(after.is_empty(), "{after:?}");
    assert_ne!(first, second);
    assert!(line.contains(&second), "{second} is not in {line}");

    daemon.signal(Signal::HUP);
    assert!(daemon.logged("policy is unchanged").await.contains(&second));
}

#[tokio::test]
async fn one_with_problems_does_not() {
    let files = Files::new();
    let file = files.write("policy.yaml", POLICY);
    let daemon = Daemon::start(&["--policy", &file, "--watch-policy", "false"]).await;
    let before = joe_sees(&daemon).await;

    files.write("policy.yaml", "ruls: []\ngroups: { a: [ann] }\n");
    daemon.signal(Signal::HUP);
    let line = daemon.logged("policy rejected; the previous one stays active").await;
    assert!(line.contains("ERROR") && line.contains(&before.1), "{line}");
    for (position, code) in [("1:1", "[unknown-key]"), ("2:15", "[not-a-set]")] {
        let line = daemon.logged(&format!("{file}:{position}: ")).await;
        assert!(line.contains("ERROR") && line.contains(code), "{line}");
    }
    assert_eq!(joe_sees(&daemon).await, before);

    std::fs::remove_file(&file).unwrap();
    daemon.signal(Signal::HUP);
    daemon.logged(&format!("cannot read the policy `{file}`: No such file")).await;
    assert_eq!(joe_sees(&daemon).await, before);

    files.write("policy.yaml", NOBODY);
    daemon.signal(Signal::HUP);
    daemon.logged("policy loaded").await;
    assert!(joe_sees(&daemon).await.0.is_empty());
}

/// A load takes much longer than a signal, so that most of them fall into one.
#[tokio::test]
async fn a_storm_of_signals_is_few_loads() {
    const SIGNALS: usize = 100;
    let files = Files::new();
    let big = |last: &str| -> String {
        let users: String = (0..20_000).map(|i| format!("  - \"@u{i}:example.org\"\n")).collect();
        format!("groups:\n  big:\n{users}{POLICY}  # {last}\n")
    };
    let file = files.write("policy.yaml", big("first"));
    let daemon = Daemon::start(&["--policy", &file, "--watch-policy", "false"]).await;
    files.write("policy.yaml", big("second"));
    for _ in 0..SIGNALS {
        daemon.signal(Signal::HUP);
    }
    daemon.logged("policy loaded").await;
    assert_eq!(joe_sees(&daemon).await.0, ["@ann:example.org"]);
    // Whatever was asked for is done when one more change is active.
    files.write("policy.yaml", NOBODY);
    daemon.signal(Signal::HUP);
    daemon.logged_times("policy loaded", 2).await;
    assert!(joe_sees(&daemon).await.0.is_empty());
    let loads = daemon.log().iter().filter(|line| line.contains("policy is unchanged")).count();
    assert!(loads < SIGNALS / 2, "{loads} loads besides");
}
