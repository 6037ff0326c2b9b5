//! What the log says of calls: who asks for a line for each gets it, and never a user
//! id at info.

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::calls::{HeldCall, Stream, interested, users_for};
use crate::harness::http2::{Http2, status};
use crate::harness::{Daemon, FREE_PORT, Files, POLICY, run};

/// The filter that shows every call.
const ALL_CALLS: &str = "info,presence_router::calls=debug";

/// Names that stand in requests, and in no policy or message of our own.
const SECRET: &str = "secret-person";
const SEEN: &str = "@secret-person:example.org";
const MALFORMED: &str = "secret-person:example.org";

fn objects(log: &[String]) -> Vec<Value> {
    log.iter().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// Calls of all kinds that name the person, and how many of them are unary.
async fn calls(daemon: &Daemon) -> usize {
    let channel = daemon.connect().await;
    users_for(&channel, &[SEEN, "@ann:example.org"]).await.unwrap();
    interested(&channel, SEEN).await.unwrap();
    users_for(&channel, &[MALFORMED]).await.unwrap_err();
    interested(&channel, MALFORMED).await.unwrap_err();
    let mut stream = Stream::open(&channel).await;
    for user in [SEEN, MALFORMED] {
        stream.ask(1, user);
        stream.next().await.unwrap();
    }
    drop(stream);
    daemon.logged("stream ended").await;
    4
}

#[tokio::test]
async fn one_line_for_each_call_on_demand_and_no_user_id() {
    for format in ["plain", "json"] {
        let daemon = Daemon::start(&["--log-format", format, "--log", ALL_CALLS]).await;
        let unary = calls(&daemon).await;
        let log = daemon.log();
        let lines = log.iter().filter(|l| l.contains("GetUsers") || l.contains("GetInterested"));
        assert_eq!(lines.count(), unary, "{log:#?}");
        assert!(log.iter().all(|line| !line.contains(SECRET)), "{log:#?}");
    }
}

/// A homeserver makes thousands of them. What went wrong, and streams, have a line.
#[tokio::test]
async fn calls_that_succeed_have_no_line_by_default() {
    let daemon = Daemon::start(&[]).await;
    calls(&daemon).await;
    let log = daemon.log();
    let lines: Vec<_> = log.iter().filter(|line| line.contains("presence_router::")).collect();
    assert_eq!(lines.len(), 3, "{log:#?}");
    assert!(lines[..2].iter().all(|line| line.contains("code=InvalidArgument")), "{log:#?}");
    assert!(lines[2].contains("stream ended"), "{log:#?}");
    assert!(log.iter().all(|line| !line.contains(SECRET)), "{log:#?}");
}

#[tokio::test]
async fn a_line_says_what_a_call_was_about() {
    let daemon = Daemon::start(&["--log-format", "json", "--log", ALL_CALLS]).await;
    calls(&daemon).await;
    let log = objects(&daemon.log());
    let calls: Vec<_> = log.iter().filter(|line| line["message"] == "call").collect();
    let serving = log.iter().find(|line| line["message"] == "serving").unwrap();
    for (line, (method, code, asked)) in calls.iter().zip([
        ("GetUsersForStates", "Ok", Some(2)),
        ("GetInterestedUsers", "Ok", Some(1)),
        ("GetUsersForStates", "InvalidArgument", None),
        ("GetInterestedUsers", "InvalidArgument", None),
    ]) {
        assert_eq!(line["method"], method, "{line}");
        assert_eq!(line["code"], code, "{line}");
        assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
        assert!(line["micros"].is_u64(), "{line}");
        if let Some(asked) = asked {
            assert_eq!(line["level"], "DEBUG", "{line}");
            assert_eq!(line["target"], "presence_router::calls", "{line}");
            assert_eq!(line["asked"], asked, "{line}");
            assert!(line["answered"].is_u64(), "{line}");
            assert_eq!(line["revision"], serving["revision"], "{line}");
        } else {
            assert_eq!(line["level"], "INFO", "{line}");
            assert_eq!(line["target"], "presence_router::calls::refused", "{line}");
            assert!(line["why"].as_str().unwrap().contains("is not a user id"), "{line}");
        }
    }
}

/// A client that repeats a mistake as fast as it can: a second has room for twenty
/// lines about it, and the rest is counted.
#[tokio::test]
async fn one_client_cannot_fill_the_log() {
    const CALLS: u64 = 600;
    let mut daemon = Daemon::start(&["--log-format", "json"]).await;
    let client = Http2::connect(&daemon.address()).await;
    for _ in 0..CALLS {
        let (head, _) = client.call("NoSuchMethod", &[]).await.head().await.unwrap();
        assert_eq!(status(&head), "12");
    }
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().await.code(), Some(0));
    let log = objects(&daemon.log());
    let written = log.iter().filter(|line| line["method"] == "NoSuchMethod").count();
    let left_out: u64 = log.iter().filter_map(|line| line["lines"].as_u64()).sum();
    assert!(left_out > 0, "the log took all of {written} lines: {log:#?}");
    assert_eq!(u64::try_from(written).unwrap() + left_out, CALLS, "{log:#?}");
}

/// Also a policy with problems, whose message has several lines, and the end.
#[tokio::test]
async fn every_line_of_json_is_an_object() {
    let files = Files::new();
    let file = files.write("policy.yaml", POLICY);
    let config = files.write("config.yaml", "limits: { shutdown_seconds: 1 }");
    let args = ["--log-format", "json", "--policy", &file, "--config", &config];
    let mut daemon = Daemon::start(&args).await;
    calls(&daemon).await;
    files.write("policy.yaml", "ruls: []\ngroups: { a: [ann] }\n");
    daemon.signal(Signal::HUP);
    daemon.logged("policy rejected").await;
    let _held = HeldCall::begin(&daemon.connect().await).await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().await.code(), Some(1));
    let log = objects(&daemon.log());
    assert!(log.iter().all(Value::is_object), "{log:?}");
    let last = log.last().unwrap()["message"].as_str().unwrap();
    assert!(last.contains("calls were still under way"), "{last}");

    // It does not start with that policy, and says so in the same way.
    let output = run(&[&FREE_PORT[..], &args[..4]].concat()).await;
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    let log = objects(&said.lines().map(str::to_owned).collect::<Vec<_>>());
    assert!(log[0]["message"].as_str().unwrap().contains("[unknown-key]"), "{said}");
}

/// Each line that the page explains is one that the daemon writes.
#[test]
fn the_page_explains_lines_that_there_are() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = String::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                // Texts over several lines are one.
                let source = std::fs::read_to_string(path).unwrap();
                let lines = source.split("\\\n").map(str::trim_start);
                sources.extend(lines.map(str::to_owned));
            }
        }
    }
    let page = std::fs::read_to_string(root.join("docs/log.md")).unwrap();
    let table = page.split("| the log says |").nth(1).unwrap().split("\n\n").next().unwrap();
    let mut explained = 0;
    for row in table.lines().skip(2) {
        let line = row.split(" | ").next().unwrap().trim_start_matches("| ");
        let line = line.trim_matches('`').trim();
        for part in line.split("..").map(str::trim).filter(|part| !part.is_empty()) {
            assert!(sources.contains(part), "no line has `{part}`");
            explained += 1;
        }
    }
    assert!(explained > 12, "{explained}");
    for filter in ["calls", "probes", "connections"] {
        assert!(page.contains(&format!("`info,presence_router::{filter}=debug`")));
        assert!(sources.contains(&format!("\"presence_router::{filter}\"")));
    }
}
