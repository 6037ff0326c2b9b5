//! Members files that lost their users, that are too long, or that cannot be found.

use std::process::Output;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Daemon, Files, cannot_run, run};

const POLICY: &str = "
groups:
  hidden: { members_file: hidden.txt }
rules:
  - name: open
    allow: { from: { server: example.org }, to: { server: example.org } }
  - name: hidden
    deny: { from: { group: hidden }, to: everyone }
";

fn lines(users: usize) -> String {
    (0..users).map(|i| format!("@user{i}:example.org\n")).collect()
}

async fn run_to_end(args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = run(args).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// A daemon that watches, and one whose list has 500 users.
async fn daemon(files: &Files, config: &str) -> (Daemon, String) {
    files.write("hidden.txt", lines(500));
    let config = files.write("config.yaml", config);
    let policy = files.write("policy.yaml", POLICY);
    let daemon = Daemon::start(&["--config", &config, "--policy", &policy]).await;
    let address = daemon.address();
    (daemon, address)
}

/// What a failed export leaves behind. Whoever means it can say so.
#[tokio::test]
async fn one_that_names_nobody_any_more_is_rejected() {
    let files = Files::new();
    let (daemon, address) = daemon(&files, "").await;
    daemon.logged("watching the policy for changes").await;
    files.write("hidden.txt", "# nobody\n");
    let line = daemon.logged("lists no users, but listed 500 users in the active policy").await;
    assert!(line.contains("reload --force"), "{line}");
    daemon.signal(Signal::HUP);
    daemon.logged_times("policy rejected", 2).await;

    let check = ["check", &files.name("policy.yaml"), "--addr", &address];
    let (code, stdout, _) = run_to_end(&check).await;
    assert_eq!(code, 1, "a check says what a load would do: {stdout}");
    assert!(stdout.contains(":3:27: the members file `hidden.txt` lists no users"), "{stdout}");
    let (code, stdout, stderr) = run_to_end(&["reload", "--addr", &address]).await;
    assert_eq!(code, 1, "{stdout}");
    assert!(stdout.contains("lists no users"), "{stdout}");
    assert!(stderr.contains("1 problem; the previous policy stays active"), "{stderr}");
    let (code, stdout, stderr) = run_to_end(&["reload", "--force", "--addr", &address]).await;
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(stdout.contains("warning: the members file `hidden.txt` lists no users"), "{stdout}");
    assert!(stdout.contains("groups changed: 1 (`hidden`)"), "{stdout}");

    // What was forced is active, and loads again without force.
    files.write("policy.yaml", format!("{POLICY}# more\n"));
    daemon.logged("policy loaded").await;
}

#[tokio::test]
async fn a_setting_lets_it_name_nobody() {
    let files = Files::new();
    let (daemon, address) = daemon(&files, "allow_empty_members_files: true\n").await;
    daemon.logged("watching the policy for changes").await;
    files.write("hidden.txt", "");
    daemon.logged("policy loaded").await;
    let (code, ..) = run_to_end(&["check", &files.name("policy.yaml"), "--addr", &address]).await;
    assert_eq!(code, 0);
}

#[tokio::test]
async fn one_that_lost_more_than_half_is_warned_of() {
    let files = Files::new();
    let (daemon, address) = daemon(&files, "watch_policy: false\n").await;
    files.write("hidden.txt", lines(250));
    daemon.signal(Signal::HUP);
    daemon.logged("policy loaded").await;
    files.write("hidden.txt", lines(124));
    daemon.signal(Signal::HUP);
    daemon.logged_times("policy loaded", 2).await;
    let warned: Vec<String> =
        daemon.log().into_iter().filter(|line| line.contains("listed 250")).collect();
    let [line] = warned.as_slice() else { panic!("{warned:?}") };
    assert!(line.contains("WARN") && line.contains("[members-file-shrunk]"), "{line}");
    assert!(line.contains("lists 124 users, but listed 250 "), "{line}");
    assert!(daemon.log().iter().all(|line| !line.contains("listed 500")), "half is left");
    let (_, about, _) = run_to_end(&["show", "--about", "--addr", &address]).await;
    assert!(about.contains("warning: the members file `hidden.txt` lists 124 users"), "{about}");
}

/// By a daemon and between two files, in text and JSON.
#[tokio::test]
async fn a_plan_has_both_numbers() {
    let files = Files::new();
    let (_daemon, address) = daemon(&files, "watch_policy: false\n").await;
    std::fs::create_dir(files.path("next")).unwrap();
    let next = files.write("next/policy.yaml", POLICY);
    let now = files.name("policy.yaml");
    for (list, want) in [
        (lines(500), None),
        (lines(40), Some("members file `hidden.txt`: 500 users now, 40 in the candidate\n")),
        (
            String::new(),
            Some(
                "members file `hidden.txt`: 500 users now, 0 in the candidate; the daemon would reject the candidate",
            ),
        ),
    ] {
        files.write("next/hidden.txt", &list);
        let (code, stdout, stderr) = run_to_end(&["plan", &next, "--policy", &now]).await;
        assert_eq!(code, 0, "{stdout}{stderr}");
        match want {
            Some(want) => assert!(stdout.contains(want), "{stdout}"),
            None => assert!(!stdout.contains("members file"), "{stdout}"),
        }
    }
    // The daemon reads its own.
    files.write("hidden.txt", lines(3));
    let (_, stdout, stderr) = run_to_end(&["plan", &next, "--addr", &address, "--json"]).await;
    let plan: Value = serde_json::from_str(&stdout).expect(&stderr);
    let want = serde_json::json!([{ "name": "hidden.txt", "active_users": 500, "users": 3 }]);
    assert_eq!(plan["members_files"], want);
}

/// Three sparse gigabytes: the length alone is enough to reject them.
#[tokio::test]
async fn one_that_is_too_long_is_rejected() {
    let files = Files::new();
    let (daemon, _) =
        daemon(&files, "watch_policy: false\nlimits: { members_file_bytes: 20000 }").await;
    files.write("hidden.txt", lines(1000));
    daemon.signal(Signal::HUP);
    daemon
        .logged("the file has 20890 bytes, more than the 20000 of `limits.members_file_bytes`")
        .await;

    // Without a daemon there is a flag of the same name.
    let policy = files.name("policy.yaml");
    let (code, stdout, _) = run_to_end(&["check", &policy, "--members-file-bytes", "20000"]).await;
    assert_eq!(code, 1);
    assert!(stdout.contains("more than the 20000 of `limits.members_file_bytes`"), "{stdout}");
    let (code, ..) = run_to_end(&["check", &policy, "--members-file-bytes", "30000"]).await;
    assert_eq!(code, 0);

    let large = std::fs::File::create(files.path("hidden.txt")).unwrap();
    large.set_len(3 << 30).unwrap();
    let said = cannot_run(&["serve", "--policy", &files.name("policy.yaml")]).await;
    assert!(said.contains("the file has 3221225472 bytes, more than the 268435456 of"), "{said}");
}

#[tokio::test]
async fn one_that_cannot_be_read_is_named_with_its_path() {
    let files = Files::new();
    let policy = files.write("policy.yaml", POLICY);
    let said = cannot_run(&["serve", "--policy", &policy]).await;
    let tried = format!("(tried `{}`)", files.name("hidden.txt"));
    assert!(said.contains("cannot read the members file `hidden.txt`: No such file"), "{said}");
    assert!(said.contains(&tried), "{said}");
}
