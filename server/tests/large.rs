//! Policies that are larger than a message of a homeserver may be: with the settings as they
//! are, the verbs take and give them, and messages have no advice for somebody else.

use std::process::Output;

use crate::harness::{Daemon, Files, POLICY, run};

/// A policy of more bytes than a daemon takes or gives otherwise, by its defaults.
fn large() -> String {
    let line = format!("# {}\n", "x".repeat(97));
    format!("{POLICY}{}", line.repeat(60_000))
}

/// Exit code, standard output and standard error.
async fn run_to_end(args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = run(args).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[tokio::test]
async fn a_large_policy_is_shown_checked_and_planned_by_a_daemon() {
    let files = Files::new();
    let file = files.write("policy.yaml", large());
    let daemon = Daemon::start(&["--policy", &file]).await;
    let address = ["--addr", &daemon.address()];

    let (code, stdout, stderr) = run_to_end(&[&["show"], &address[..]].concat()).await;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout == large(), "{} bytes", stdout.len());
    let (code, stdout, stderr) = run_to_end(&[&["show", "--about"], &address[..]].concat()).await;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains("joe sees ann"), "{stdout}");

    let (code, stdout, stderr) = run_to_end(&[&["check", &file], &address[..]].concat()).await;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.starts_with(&format!("{file}: valid: 1 rule")), "{stdout}");

    let candidate = files.write("candidate.yaml", large().replace("@joe:", "@sue:"));
    let (code, stdout, stderr) = run_to_end(&[&["plan", &candidate], &address[..]].concat()).await;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains("sender @ann:example.org, recipient @sue:example.org"), "{stdout}");
}

/// Of the rest, the limits of the config file hold still, with what a person can do.
#[tokio::test]
async fn an_answer_over_the_limit_says_what_helps_at_a_shell() {
    let files = Files::new();
    let config = files.write("config.yaml", "limits: { request_bytes: 64, response_bytes: 64 }");
    let file = files.write("policy.yaml", POLICY);
    let daemon = Daemon::start(&["--config", &config, "--policy", &file]).await;
    let address = ["--addr", &daemon.address()];
    for args in [&["show"][..], &["show", "--about"]] {
        let (code, _, stderr) = run_to_end(&[args, &address[..]].concat()).await;
        assert_eq!(code, Some(2), "{stderr}");
        let why = "exceeds the daemon's `limits.response_bytes`, 64: raise the limit\n";
        assert!(stderr.ends_with(why), "{stderr}");
    }
    // Larger than the limit on requests, as nearly every policy is then.
    let broken = files
        .write("broken.yaml", "ruls: []\n# and a remark that makes it larger than the limit\n");
    let (code, _, stderr) = run_to_end(&[&["check", &broken], &address[..]].concat()).await;
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("fix some of the problems, or raise the limit"), "{stderr}");
}
