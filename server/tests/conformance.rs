//! `conformance`: our own daemon passes, by each way to make a policy active;
//! another policy does not, and the table says where.

mod changing_server;
mod faulty_server;
mod room_server;

use std::process::Output;

use self::faulty_server::Fault;
use crate::harness::{Daemon, Files, cannot_run, run};

const SERVE: &str = r#""$PRESENCE_ROUTER" serve --policy "$POLICY" --listen-unix "$SOCKET""#;

/// A daemon to start, by the name that [`SERVE`] has for it.
fn serve(command: &str) -> String {
    format!("PRESENCE_ROUTER='{}'; exec {command}", env!("CARGO_BIN_EXE_presence-router"))
}

/// The last line when every scenario of the binary passes.
fn all_passed() -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/scenarios");
    format!("\n{} passed, 0 failed\n", 2 * (1 + std::fs::read_dir(folder).unwrap().count()))
}

fn stdout_text(output: &Output) -> String {
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn our_daemon_passes_when_started_for_each_scenario() {
    let output = run(&["conformance", "--serve", &serve(SERVE)]).await;
    let table = stdout_text(&output);
    assert_eq!(output.status.code(), Some(0), "{table}");
    assert!(table.starts_with("scenario             unary   stream\n"), "{table}");
    assert!(table.contains("teams                passed  passed\n"), "{table}");
    assert!(table.ends_with(&all_passed()), "{table}");
}

#[tokio::test]
async fn our_daemon_passes_when_it_runs_already() {
    let files = Files::new();
    let policy = files.write("policy.yaml", "rules: []");
    let daemon = Daemon::start(&["--policy", &policy]).await;
    let apply = format!("cp \"$POLICY\" '{policy}' && kill -HUP {}", daemon.id());
    let output = run(&["conformance", "--addr", &daemon.address(), "--apply", &apply]).await;
    let table = stdout_text(&output);
    assert_eq!(output.status.code(), Some(0), "{table}");
    assert!(table.ends_with(&all_passed()), "{table}");

    // The last one is active still.
    let address = daemon.address();
    let output = run(&["conformance", "--addr", &address, "--only", "wallboard"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stdout_text(&output));
}

#[tokio::test]
async fn the_table_says_where_another_policy_differs() {
    let files = Files::new();
    let policy = files.write(
        "policy.yaml",
        r#"rules: [{ name: r, allow: { from: { server: example.org }, to: "@sam:example.org" } }]"#,
    );
    let command =
        format!("\"$PRESENCE_ROUTER\" serve --policy '{policy}' --listen-unix \"$SOCKET\"");
    let only = ["--only", "teams", "--only", "nobody-by-default"];
    let serve = serve(&command);
    let output = run(&[&["conformance", "--serve", &serve], &only[..]].concat()).await;
    let table = stdout_text(&output);
    assert_eq!(output.status.code(), Some(1), "{table}");
    for line in [
        "nobody-by-default  passed  passed",
        "teams              FAILED  FAILED",
        "teams, unary: caller example.org: audience of @ann:example.org lacks @joe:example.org, \
         @pat:partner.example",
        "teams, stream: caller example.org: audience of @ann:example.org lacks @joe:example.org, \
         @pat:partner.example",
        "2 passed, 2 failed",
    ] {
        assert!(table.lines().any(|one| one == line), "{line}\n{table}");
    }
}

/// A scenario of one pair.
const ONE_PAIR: &str = "
about: Ann is seen by Joe.
policy: |
  rules: [{ name: r, allow: { from: '@ann:x', to: '@joe:x' } }]
users: ['@ann:x', '@joe:x']
callers: [{ server_names: [x], audiences: { '@ann:x': ['@joe:x'] }, interests: { '@joe:x': ['@ann:x'] } }]
";

#[tokio::test]
async fn what_the_contract_promises_is_checked() {
    let files = Files::new();
    files.write("mine.yaml", ONE_PAIR);
    let folder = files.name("");
    for (fault, by_unary, by_stream) in [
        (Fault::Nothing, "", ""),
        (Fault::NoRevision, "an answer has no revision", ""),
        (Fault::RevisionMoves, "the revision changed, but the policy did not", ""),
        (Fault::SelfIsSpelledOut, "@joe:x is listed as its own recipient", ""),
        (Fault::RepeatedStateIsDropped, "two states of @ann:x", "two states of @ann:x"),
        (Fault::NoSuchState, "there is no state 4", "there is no state 4"),
        (
            Fault::Hides,
            "the list of fields of @ann:x that the audience hides from @joe:x must not contain",
            "the list of fields of @ann:x that the audience hides from @joe:x must not contain",
        ),
        (Fault::NoOpened, "", "`Opened` does not come first"),
        (Fault::NoHeartbeatInterval, "", "lacks a revision or a heartbeat interval"),
        (Fault::OutOfOrder, "", "requests are not answered in order"),
        (Fault::SetIsMissing, "", "set 1 is used, but is not defined"),
        (Fault::SetIsIncomplete, "", "set 1 is used before it is complete"),
        (Fault::StateIsDeliveredTwice, "", "state 2 is in two deliveries"),
        (Fault::RevisionWasNotTold, "", "an answer has revision `e:2`"),
        (Fault::NamesAreMissing, "", "no named servers come directly after `Opened`"),
        (Fault::NamesAreIncomplete, "", "a message comes before the last part of named servers"),
        (Fault::NamesAreTheCallersOwn, "", "server x is named, but is the caller's own"),
    ] {
        let address = faulty_server::serve(fault).await.to_string();
        let only = ["--scenarios", &folder, "--only", "mine"];
        let output = run(&[&["conformance", "--addr", &address], &only[..]].concat()).await;
        let table = stdout_text(&output);
        let found = |way: &str| -> String {
            let prefix = format!("mine, {way}: caller x: ");
            table.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or("").to_owned()
        };
        for (way, expected) in [("unary", by_unary), ("stream", by_stream)] {
            let found = found(way);
            assert!(found.contains(expected), "{fault:?} {way}: {table}");
            assert_eq!(found.is_empty(), expected.is_empty(), "{fault:?} {way}: {table}");
        }
        let passes = by_unary.is_empty() && by_stream.is_empty();
        assert_eq!(output.status.code(), Some(if passes { 0 } else { 1 }), "{fault:?}: {table}");
    }
}

/// Ann is seen by all but those with whom she shares a big room, and her status by those with
/// whom she shares no encrypted room. Callers that evaluate less see nobody.
const BIG_ROOMS: &str = "
about: A deny with a relation.
policy: |
  rules:
    - { name: a, allow: { from: '@ann:x', to: ['@joe:x', '@sue:x'] } }
    - { name: d, deny: { share_room: { at_least: 3 } } }
    - { name: h, hide: { share_room: { encrypted: true }, fields: [status_msg] } }
users: ['@ann:x', '@joe:x', '@sue:x', '@max:x']
rooms:
  '!direct': { members: ['@ann:x', '@joe:x'], encrypted: true }
  '!big': { members: ['@ann:x', '@sue:x', '@max:x'] }
callers:
  - { server_names: [x], audiences: { '@ann:x': ['@joe:x'] }, interests: { '@joe:x': ['@ann:x'] }, hides: { '@ann:x': { '@joe:x': [status_msg] } } }
  - { server_names: [x], capabilities: [room_mates] }
  - { server_names: [x], capabilities: [] }
";

#[tokio::test]
async fn answers_that_depend_on_rooms_are_checked() {
    use room_server::Fault;
    let files = Files::new();
    files.write("mine.yaml", BIG_ROOMS);
    let folder = files.name("");
    for (fault, expected) in [
        (Fault::Nothing, ""),
        (
            Fault::ConditionIsUnknown,
            "x: a condition on rooms is empty, malformed, or of an unknown kind",
        ),
        (Fault::DenyIsIgnored, "x: audience of @ann:x must not contain @sue:x"),
        (Fault::RelationOfDenyIsIgnored, "x: audience of @ann:x lacks @joe:x"),
        (
            Fault::HideIsIgnored,
            "x: the list of fields of @ann:x that the audience hides from @joe:x lacks status_msg",
        ),
        (
            Fault::RelationOfHideIsWrong,
            "x: the list of fields of @ann:x that the audience hides from @joe:x lacks status_msg",
        ),
        (
            Fault::KindsAreIgnored,
            "x, which evaluates room_mates: an expression refers to rooms, for which the client \
             has no capability",
        ),
        (
            Fault::CapabilitiesAreIgnored,
            "x, which evaluates room_mates: an expression refers to rooms, for which the client \
             has no capability",
        ),
        (
            Fault::OlderClientGetsLeaf,
            "x, which evaluates no rooms: an expression refers to rooms, for which the client has \
             no capability",
        ),
        (
            Fault::OlderClientIsShownMore,
            "x, which evaluates no rooms: audience of @ann:x must not contain @joe:x, @sue:x",
        ),
    ] {
        let address = room_server::serve(fault).await.to_string();
        let only = ["--scenarios", &folder, "--only", "mine"];
        let output = run(&[&["conformance", "--addr", &address], &only[..]].concat()).await;
        let table = stdout_text(&output);
        for way in ["unary", "stream"] {
            let prefix = format!("mine, {way}: caller ");
            let found = table.lines().find_map(|line| line.strip_prefix(&prefix));
            assert_eq!(found.unwrap_or(""), expected, "{fault:?} {way}: {table}");
        }
    }
}

/// Ann is visible to Joe, then not, then again, on one server.
#[tokio::test]
async fn answers_that_a_client_may_keep_over_a_change_of_policy_are_checked() {
    let files = Files::new();
    let hidden = "about: Nobody.\npolicy: 'rules: []'\nusers: ['@ann:x', '@joe:x']\n\
                  callers: [{ server_names: [x] }]\n";
    std::fs::create_dir(files.path("scenarios")).unwrap();
    files.write("scenarios/1.yaml", ONE_PAIR);
    files.write("scenarios/2.yaml", hidden);
    files.write("scenarios/3.yaml", ONE_PAIR);
    let folder = files.name("scenarios");
    let only = ["--only", "1", "--only", "2", "--only", "3"];
    for (number, (fault, expected)) in [
        (changing_server::Fault::Nothing, ""),
        (
            changing_server::Fault::SetIsNotRetired,
            "2, stream: caller x: an answer outlives a change of policy: audience of @ann:x \
             must not contain @joe:x",
        ),
        (
            changing_server::Fault::NobodyIsNotNamed,
            "3, stream: caller x: an answer outlives a change of policy: audience of @ann:x \
             lacks @joe:x",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let policy = files.name(&format!("policy-{number}.yaml"));
        let address = changing_server::serve(fault, policy.clone().into()).await.to_string();
        let apply = format!("cp \"$POLICY\" '{policy}'");
        let server = ["conformance", "--addr", &address, "--apply", &apply];
        let scenarios = ["--scenarios", &folder];
        let output = run(&[&server[..], &scenarios, &only].concat()).await;
        let table = stdout_text(&output);
        let differs = table.lines().find(|line| line.contains(", stream: ")).unwrap_or_default();
        assert_eq!(differs, expected, "{fault:?}: {table}");
        assert_eq!(output.status.code(), Some(i32::from(!expected.is_empty())), "{table}");
    }
}

#[tokio::test]
async fn invalid_requests_must_be_refused() {
    let files = Files::new();
    files.write("mine.yaml", ONE_PAIR);
    let address = faulty_server::serve(Fault::Nothing).await.to_string();
    let folder = files.name("");
    let output = run(&["conformance", "--addr", &address, "--scenarios", &folder]).await;
    let table = stdout_text(&output);
    assert_eq!(output.status.code(), Some(1), "{table}");
    for line in [
        "mine                passed  passed",
        "(invalid requests)  FAILED  FAILED",
        "(invalid requests), unary: GetUsersForStates without server names is not refused",
        "(invalid requests), stream: a malformed user id: each such request must get a `RequestError`, and the next one an answer",
        "2 passed, 2 failed",
    ] {
        assert!(table.lines().any(|one| one == line), "{line}\n{table}");
    }
}

#[tokio::test]
async fn scenarios_may_be_others_and_their_policies_be_written() {
    let files = Files::new();
    let policies = files.name("policies");
    files.write("mine.yaml", ONE_PAIR);
    let folder = files.name("");
    let own = ["conformance", "--scenarios", &folder];
    let output = run(&[&own[..], &["--write-policies", &policies]].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{}", stdout_text(&output));
    let written = std::fs::read_to_string(format!("{policies}/mine.yaml")).unwrap();
    assert!(written.starts_with("rules: ["), "{written}");

    let output = run(&[&own[..], &["--serve", &serve(SERVE)]].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{}", stdout_text(&output));
    assert!(stdout_text(&output).ends_with("4 passed, 0 failed\n"));
}

#[tokio::test]
async fn what_cannot_be_run_is_said() {
    let files = Files::new();
    let empty = files.name("");
    let scenario = "about: a\npolicy: ''\nusers: []\n";
    let socket = format!("unix:{}", files.name("nobody.sock"));
    for (arguments, expected) in [
        (vec![], "required arguments were not provided"),
        (vec!["--only", "teams"], "--addr <ADDRESS>"),
        (vec!["--addr", &socket, "--only", "teams"], "cannot connect to `unix:"),
        (vec!["--addr", &socket], "give a command for that with `--serve` or `--apply`"),
        (
            vec!["--addr", "no address", "--only", "teams"],
            "valid addresses are `host:port` and `unix:/path/to/socket`",
        ),
        (
            vec!["--addr", &socket, "--only", "tems"],
            "there is no scenario `tems`: valid names are board",
        ),
        (vec!["--addr", &socket, "--scenarios", &empty], "has no scenarios (`*.yaml`)"),
        (
            vec!["--addr", &socket, "--scenarios", "/nowhere"],
            "cannot read the scenarios `/nowhere`",
        ),
        (vec!["--serve", "exit 3"], "the server ended before it listened: exit status: 3"),
        (vec!["--apply", "true"], "--addr <ADDRESS>"),
    ] {
        let said = cannot_run(&[vec!["conformance"], arguments].concat()).await;
        assert!(said.contains(expected), "{expected}: {said}");
    }

    files.write("odd.yaml", format!("{scenario}callers: [{{ server_names: [x], odd: 1 }}]"));
    let said = cannot_run(&["conformance", "--addr", &socket, "--scenarios", &empty]).await;
    assert!(said.contains("scenario `odd` is not valid") && said.contains("odd"), "{said}");
    files.write(
        "odd.yaml",
        format!("{scenario}callers: [{{ server_names: [x], audiences: {{ '@a:x': [] }} }}]"),
    );
    let said = cannot_run(&["conformance", "--addr", &socket, "--scenarios", &empty]).await;
    assert!(said.contains("the list `users` lacks `@a:x`"), "{said}");

    files.write(
        "odd.yaml",
        format!("{scenario}callers: [{{ server_names: [x], capabilities: [at_mots] }}]"),
    );
    let said = cannot_run(&["conformance", "--addr", &socket, "--scenarios", &empty]).await;
    assert!(
        said.contains("no capability `at_mots`: valid names are room_mates, at_most"),
        "{said}"
    );

    let rooms = "rooms: { '!a:x': { memebers: ['@ann:x'] } }";
    files.write("odd.yaml", format!("{scenario}{rooms}\ncallers: [{{ server_names: [x] }}]"));
    let said = cannot_run(&["conformance", "--addr", &socket, "--scenarios", &empty]).await;
    assert!(said.contains("scenario `odd` is not valid") && said.contains("members"), "{said}");

    let daemon = Daemon::start(&[]).await;
    let apply = ["--addr", &daemon.address(), "--apply", "exit 4"];
    let said = cannot_run(&[&["conformance"], &apply[..]].concat()).await;
    assert!(said.contains("`exit 4` failed: exit status: 4"), "{said}");
}
