//! `explain` of rules that require a shared room: open without rooms, and decided by
//! `--rooms`, by a daemon and a file alike; files of rooms with mistakes.

use std::fmt::Write as _;
use std::process::Output;

use serde_json::{Value, json};

use crate::harness::{Daemon, Files, cannot_run, run};

const POLICY: &str = "\
rules:
  - name: small rooms
    allow: { share_room: { at_most: 3 } }
  - name: not in public
    deny: { share_room: { join_rule: public } }
  - name: less
    hide: { share_room: { encrypted: false }, fields: status_msg }
";

const ROOMS: &str = "\
'!small:a.org': { members: ['@ann:a.org', '@joe:a.org'] }
'!big:a.org': { members: ['@ann:a.org', '@sue:a.org', '@x:a.org', '@y:a.org'] }
'!secret:a.org': { members: ['@sue:a.org', '@joe:a.org'], encrypted: true }
'!public:a.org': { members: ['@ann:a.org', '@pat:a.org'], join_rule: public }
'!partial:a.org': { members: ['@ann:a.org', '@kim:a.org'], partial: true }
";

const OPEN: &str = "\
@ann:a.org may be visible to @joe:a.org: allowed by rule `small rooms` (line 2) if they share a room of at most 3 members, but denied by rule `not in public` (line 4) if they share a room that has the join rule `public`
hidden by rule `less` (line 6) if they share a room that is not encrypted: status_msg

rules whose users match the pair:
  allow `small rooms`, line 2
    sender: everyone
    recipient: everyone
    matches if they share a room of at most 3 members
  deny `not in public`, line 4
    sender: everyone
    recipient: everyone
    matches if they share a room that has the join rule `public`
  hide `less`, line 6
    sender: everyone
    recipient: everyone
    matches if they share a room that is not encrypted
";

const DECIDED: &str = "\
@ann:a.org is visible to @joe:a.org: allowed by rule `small rooms` (line 2; they share `!small:a.org`)
hidden by rule `less` (line 6): status_msg

rules whose users match the pair:
  allow `small rooms`, line 2
    sender: everyone
    recipient: everyone
    matches if they share a room of at most 3 members: yes, they share `!small:a.org`
  deny `not in public`, line 4
    sender: everyone
    recipient: everyone
    matches if they share a room that has the join rule `public`: no, they share `!small:a.org`, which has the join rule `invite`
  hide `less`, line 6
    sender: everyone
    recipient: everyone
    matches if they share a room that is not encrypted: yes, they share `!small:a.org`
";

/// Exit code and standard output of a command that prints no error.
async fn fine(args: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = run(args).await;
    assert_eq!(String::from_utf8(stderr).unwrap(), "", "{args:?}");
    (status.code().unwrap(), String::from_utf8(stdout).unwrap())
}

#[tokio::test]
async fn rooms_decide_for_daemon_and_file_alike() {
    let files = Files::new();
    let (policy, rooms) = (files.write("policy.yaml", POLICY), files.write("rooms.yaml", ROOMS));
    let daemon = Daemon::start(&["--policy", &policy]).await;
    let address = daemon.address();
    let pair = ["explain", "@ann:a.org", "@joe:a.org"];
    for (more, want) in [(&[][..], OPEN), (&["--rooms", &rooms], DECIDED)] {
        let of_file = [&pair, &["--policy", &policy][..], more].concat();
        assert_eq!(fine(&of_file).await, (0, want.to_owned()));
        let (_, text) = fine(&[&pair, &["--addr", &address][..], more].concat()).await;
        assert!(
            text.strip_prefix(want).is_some_and(|rest| rest.starts_with("\nrevision ")),
            "{text}"
        );
    }
    for (recipient, want) in [
        (
            "@sue:a.org",
            "is not visible to @sue:a.org: no allow rule matches: rule `small rooms` (line 2) requires that they share a room of at most 3 members, but they share `!big:a.org`, which has 4 members\n",
        ),
        (
            "@pat:a.org",
            "is not visible to @pat:a.org: denied by rule `not in public` (line 4; they share `!public:a.org`)\n",
        ),
        (
            "@kim:a.org",
            "but they share `!partial:a.org`, which has a number of members that the homeserver does not know\n",
        ),
        ("@far:b.org", "of at most 3 members, but they share no room\n"),
        (
            "@ann:a.org",
            "is not visible to @ann:a.org: rules do not apply to a user's own presence\n",
        ),
    ] {
        let args = ["explain", "@ann:a.org", recipient, "--rooms", &rooms, "--addr", &address];
        let (_, text) = fine(&args).await;
        assert!(text.split_inclusive('\n').next().unwrap().ends_with(want), "{text}");
        let (code, _) = fine(&[&args[..], &["--quiet"]].concat()).await;
        assert_eq!(code, 1, "{recipient}");
    }
    // A verdict that depends on rooms is none for a script.
    let quiet = ["--policy", &policy, "--quiet"];
    assert_eq!(fine(&[&pair[..], &quiet].concat()).await, (1, String::new()));
    let decided = [&pair[..], &quiet, &["--rooms", &rooms]].concat();
    assert_eq!(fine(&decided).await, (0, String::new()));
    let (_, about) = fine(&["show", "--about", "--addr", &address]).await;
    let rule = "rule      line 2: allow `small rooms` if they share a room of at most 3 members\n";
    assert!(about.contains(rule), "{about}");
}

#[tokio::test]
async fn json_has_relations() {
    let files = Files::new();
    let (policy, rooms) = (files.write("policy.yaml", POLICY), files.write("rooms.yaml", ROOMS));
    let explain = async |recipient: &str, more: &[&str]| -> Value {
        let args = ["explain", "@joe:a.org", recipient, "--json", "--policy", &policy];
        let (_, text) = fine(&[&args[..], more].concat()).await;
        serde_json::from_str(&text).unwrap()
    };
    let open = explain("@ann:a.org", &[]).await;
    assert_eq!((&open["visible"], &open["depends_on_rooms"]), (&json!(false), &json!(true)));
    let relation = json!({
        "if": "they share a room of at most 3 members", "holds": null, "evidence": null
    });
    assert_eq!(open["rules"][0]["relation"], relation);
    assert_eq!(open["hidden"][0]["if"], "they share a room that is not encrypted");

    let decided = explain("@ann:a.org", &["--rooms", &rooms]).await;
    assert_eq!((&decided["visible"], &decided["depends_on_rooms"]), (&json!(true), &json!(false)));
    let relation = json!({
        "if": "they share a room of at most 3 members",
        "holds": true,
        "evidence": "they share `!small:a.org`",
    });
    assert_eq!(decided["rules"][0]["relation"], relation);
    assert_eq!(decided["rules"][1]["relation"]["holds"], false);
    let hidden = json!([{ "rule": "less", "fields": ["status_msg"], "unless": [], "if": null }]);
    assert_eq!(decided["hidden"], hidden);

    let encrypted = explain("@sue:a.org", &["--rooms", &rooms]).await;
    assert_eq!((&encrypted["visible"], &encrypted["hidden"]), (&json!(true), &json!([])));
}

#[tokio::test]
async fn a_file_of_rooms_may_have_mistakes() {
    let files = Files::new();
    let policy = files.write("policy.yaml", POLICY);
    let explain = async |rooms: &str| {
        cannot_run(&["explain", "@ann:a.org", "@joe:a.org", "--policy", &policy, "--rooms", rooms])
            .await
    };
    let missing = files.name("missing.yaml");
    let said = explain(&missing).await;
    let want = format!("presence-router: cannot read the rooms `{missing}`: No such file");
    assert!(said.starts_with(&want), "{said}");
    assert!(explain(&files.dir().display().to_string()).await.contains("cannot read the rooms"));
    for (text, want) in [
        (
            "'!a': { memebrs: [] }",
            ":1:9: unknown key `memebrs`; valid here are `encrypted`, `history_visibility`, `join_rule`, `members`, `partial`, `presence_sharing`, `spaces`; did you mean `members`? [unknown-key]",
        ),
        ("'#a:b': { members: [] }", ":1:1: `#a:b` is not a room id"),
        ("'!a': { members: [ann] }", ":1:19: `ann` is not a user id"),
        (
            "'!a': { members: '@a:b', encrypted: 1 }",
            ":1:37: expected `true` or `false`, found a number [wrong-type]",
        ),
        ("rules: []", ":1:1: `rules` is not a room id"),
        ("", ": the file of rooms is empty; write `{}` if nobody shares a room [empty-file]"),
        ("'!a: {", " [not-yaml]"),
    ] {
        let rooms = files.write("rooms.yaml", text);
        let said = explain(&rooms).await;
        let begin = format!("presence-router: the rooms have problems:\n{rooms}:");
        assert!(said.starts_with(&begin) && said.contains(want), "{text}\n{said}");
    }
}

/// A room may have 100,000 members, and a user may be in 5,000 rooms.
#[tokio::test]
async fn a_file_of_rooms_may_be_large() {
    let files = Files::new();
    let policy = files.write("policy.yaml", POLICY);
    let members: Vec<String> = (0..100_000).map(|user| format!("'@u{user}:a.org'")).collect();
    let mut text = format!("'!large': {{ members: [{}] }}\n", members.join(", "));
    for room in 0..5_000 {
        let members = "'@u0:a.org', '@u1:a.org', '@u2:a.org', '@u3:a.org'";
        let _ = writeln!(text, "'!{room}': {{ members: [{members}] }}");
    }
    let rooms = files.write("rooms.yaml", &text);
    let args = ["explain", "@u0:a.org", "@u1:a.org", "--policy", &policy, "--rooms", &rooms];
    let (_, text) = fine(&args).await;
    let want = "but they share `!0`, which has 4 members, `!1`, which has 4 members, `!10`, which has 4 members, and 4998 more rooms\n";
    assert!(text.split_inclusive('\n').next().unwrap().ends_with(want), "{text}");
}
