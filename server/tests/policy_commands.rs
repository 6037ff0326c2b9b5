//! The verbs that ask: `explain`, `verify`, `show`, `reload` and `check --addr`, of
//! a daemon by port and by socket, and of a file; and daemons that are not there.

use std::process::Output;

use rustix::process::Signal;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::harness::{Daemon, Files, cannot_run, run};

const POLICY: &str = "\
groups:
  team/a: ['@ann:example.org', '@joe:example.org']
  both: { all_of: [{ group: team/a }, [{ server: '*.org' }, '@x:y']] }
rules:
  - name: teams
    allow: { within: 'team/*' }
  - name: both
    hide: { from: everyone, to: { group: both }, fields: [status_msg], unless: { presence: [busy] } }
  - name: never
    deny: { from: [], to: everyone }
";

const TREE: &str = "\
@ann:example.org is visible to @joe:example.org: allowed by rule `teams` (line 5)
hidden by rule `both` (line 7): status_msg (unless busy)

rules whose users match the pair:
  allow `teams`, line 5
    sender: team/a > line 2 lists @ann:example.org
    recipient: team/a > line 2 lists @joe:example.org
  hide `both`, line 7
    sender: everyone
    recipient: both > all of
      - team/a > line 2 lists @joe:example.org
      - server glob *.org

rules that match only the recipient:
  deny `never`, line 9
    recipient: everyone
";

/// A daemon that loads nothing by itself.
async fn daemon(files: &Files, policy: &str) -> (Daemon, String) {
    let config = files.write("config.yaml", "watch_policy: false\n");
    let policy = files.write("policy.yaml", policy);
    let socket = files.name("socket");
    let arguments = ["--config", &config, "--policy", &policy, "--listen-unix", &socket];
    (Daemon::start(&arguments).await, format!("unix:{socket}"))
}

/// Exit code, standard output and standard error.
async fn run_to_end(args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = run(args).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// What a verb prints that has nothing to complain of.
async fn fine(args: &[&str]) -> String {
    let (code, stdout, stderr) = run_to_end(args).await;
    assert_eq!((code, stderr.as_str()), (0, ""), "{args:?}: {stdout}");
    stdout
}

#[tokio::test]
async fn a_pair_is_explained_by_daemon_and_file_alike() {
    let files = Files::new();
    let (daemon, socket) = daemon(&files, POLICY).await;
    let file = files.name("policy.yaml");
    let pair = ["explain", "@ann:example.org", "@joe:example.org"];
    assert_eq!(fine(&[&pair[..], &["--policy", &file]].concat()).await, TREE);
    for address in [&daemon.address(), &format!("http://{}", daemon.address()), &socket] {
        let said = fine(&[&pair[..], &["--addr", address]].concat()).await;
        let revision = said.strip_prefix(TREE).and_then(|rest| rest.strip_prefix("\nrevision "));
        assert!(revision.is_some_and(|revision| revision.ends_with(":1\n")), "{said}");
    }
}

#[tokio::test]
async fn json_says_the_same() {
    let files = Files::new();
    let (_daemon, socket) = daemon(&files, POLICY).await;
    let json = async |sender: &str, recipient: &str| -> Value {
        let said = fine(&["explain", sender, recipient, "--json", "--addr", &socket]).await;
        serde_json::from_str(&said).unwrap()
    };
    let visible = json("@ann:example.org", "@joe:example.org").await;
    assert_eq!(visible["visible"], true);
    assert!(visible["revision"].is_string());
    let hidden = r#"[{"rule":"both","fields":["status_msg"],"unless":["busy"],"if":null}]"#;
    assert_eq!(visible["hidden"], serde_json::from_str::<Value>(hidden).unwrap());
    let way = r#"[
        {"depth":0,"kind":"group","value":"both","line":3},
        {"depth":1,"kind":"all_of","value":null,"line":null},
        {"depth":2,"kind":"group","value":"team/a","line":2},
        {"depth":3,"kind":"user","value":null,"line":2},
        {"depth":2,"kind":"server","value":"*.org","line":null}]"#;
    assert_eq!(visible["rules"][1]["recipient"], serde_json::from_str::<Value>(way).unwrap());

    // That somebody is not visible is no finding.
    let not = json("@joe:example.org", "@x:y").await;
    assert_eq!((&not["visible"], &not["reason"]), (&false.into(), &"no allow rule matches".into()));
    assert_eq!(not["hidden"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn a_quiet_explanation_is_an_exit_code() {
    let files = Files::new();
    let (_daemon, socket) = daemon(&files, POLICY).await;
    let file = files.name("policy.yaml");
    for subject in [["--addr", &socket], ["--policy", &file]] {
        for (pair, code) in
            [(["@ann:example.org", "@joe:example.org"], 0), (["@joe:example.org", "@x:y"], 1)]
        {
            for flag in ["--quiet", "-q"] {
                let args = [&["explain"], &pair[..], &subject[..], &[flag]].concat();
                assert_eq!(
                    run_to_end(&args).await,
                    (code, String::new(), String::new()),
                    "{args:?}"
                );
            }
        }
    }
    // An error is neither.
    let said = cannot_run(&["explain", "ann", "@a:b", "--policy", &file, "--quiet"]).await;
    assert!(said.contains("`ann` is not a user id"), "{said}");
    let said =
        cannot_run(&["explain", "@a:b", "@c:d", "--policy", &file, "--quiet", "--json"]).await;
    assert!(said.contains("'--quiet' cannot be used with '--json'"), "{said}");
}

#[tokio::test]
async fn what_cannot_be_explained() {
    let files = Files::new();
    let good = files.write("good.yaml", POLICY);
    let said = cannot_run(&["explain", "ann", "@a:b", "--policy", &good]).await;
    assert_eq!(said, "presence-router: `ann` is not a user id: the first character is not `@`\n");

    let bad = files.write("bad.yaml", "ruls: []\n");
    for verb in [&["explain", "@a:b", "@c:d"][..], &["verify"]] {
        let said = cannot_run(&[verb, &["--policy", &bad]].concat()).await;
        let want = format!("presence-router: the policy has problems:\n{bad}:1:1: ");
        assert!(said.starts_with(&want) && said.ends_with(" [unknown-key]\n"), "{said}");
        let missing = files.name("missing.yaml");
        let said = cannot_run(&[verb, &["--policy", &missing]].concat()).await;
        assert!(
            said.contains(&format!("cannot read the policy `{missing}`: No such file")),
            "{said}"
        );
        let said =
            cannot_run(&[verb, &["--policy", &good, "--addr", "127.0.0.1:9470"]].concat()).await;
        assert!(said.contains("cannot be used with"), "{said}");
    }
}

#[tokio::test]
async fn answers_are_verified() {
    let files = Files::new();
    let (daemon, _) = daemon(&files, POLICY).await;
    let (address, file) = (daemon.address(), files.name("policy.yaml"));
    let said = fine(&["verify", "--addr", &address]).await;
    assert!(
        said.starts_with("verified: ") && said.contains("all pairs of 3 listed users"),
        "{said}"
    );
    assert!(said.contains(", revision "), "{said}");
    let drawn = ["verify", "--policy", &file, "--pairs", "9", "--seed", "7"];
    let said = fine(&drawn).await;
    assert!(
        said.ends_with("(drawn at random from 3 listed users and some invented users; seed 7)\n"),
        "{said}"
    );
    assert_eq!(fine(&drawn).await, said);
    for pairs in ["0", "100000001", "x"] {
        let said = cannot_run(&["verify", "--policy", &file, "--pairs", pairs]).await;
        assert!(said.contains(&format!("invalid value '{pairs}' for '--pairs")), "{said}");
    }
}

/// A daemon gives the same object as a check without it.
#[tokio::test]
async fn a_daemon_checks_with_json() {
    let files = Files::new();
    let (_daemon, socket) = daemon(&files, POLICY).await;
    let json = async |file: &str, more: &[&str]| {
        let (code, stdout, _) = run_to_end(&[&["check", file, "--json"], more].concat()).await;
        (code, serde_json::from_str::<Value>(&stdout).unwrap())
    };
    let valid = files.name("policy.yaml");
    let (code, found) = json(&valid, &["--addr", &socket]).await;
    assert_eq!((code, &found), (0, &json(&valid, &[]).await.1));
    let warning = &found["warnings"][0];
    assert_eq!((&warning["code"], &warning["line"]), (&"rule-never-matches".into(), &9.into()));
    assert!(found["summary"].as_str().unwrap().starts_with("valid: 3 rules, "), "{found}");

    let wrong = files.write("wrong.yaml", "ruls: []\ngroups: { a: [ann] }\n");
    let (code, found) = json(&wrong, &["--addr", &socket]).await;
    assert_eq!((code, &found), (1, &json(&wrong, &[]).await.1));
    let problem = &found["problems"][0];
    assert_eq!((&problem["file"], &problem["code"]), (&wrong.into(), &"unknown-key".into()));
    assert!(problem["help"].as_str().unwrap().ends_with("did you mean `rules`?"), "{found}");
    assert_eq!((&found["warnings"], &found["summary"]), (&Value::Array(vec![]), &Value::Null));
}

#[tokio::test]
async fn a_load_tells_what_came_of_it() {
    let files = Files::new();
    let (daemon, socket) = daemon(&files, POLICY).await;
    let file = files.name("policy.yaml");
    let reload = ["reload", "--addr", &socket];
    assert!(fine(&reload).await.starts_with(&format!("{file} is unchanged: revision ")));

    files.write("policy.yaml", format!("{POLICY}# changed\n"));
    let said = fine(&reload).await;
    let want = format!(
        "{file}:9:5: warning: rule `never` can never match: `from` contains nobody; correct the set, or remove the rule [rule-never-matches]\nloaded {file}: revision "
    );
    assert!(said.starts_with(&want) && said.ends_with(":2; no difference\n"), "{said}");
    daemon.logged("policy loaded").await;

    files.write("policy.yaml", "ruls: []\ngroups: { a: [ann] }\n");
    let (code, stdout, stderr) = run_to_end(&reload).await;
    assert_eq!(code, 1);
    assert!(stdout.starts_with(&format!("{file}:1:1: ")), "{stdout}");
    assert!(stdout.contains(" [unknown-key]\n") && stdout.ends_with(" [not-a-set]\n"), "{stdout}");
    let want = "presence-router: 2 problems; the previous policy stays active, at revision ";
    assert!(stderr.starts_with(want) && stderr.ends_with(":2\n"), "{stderr}");
    daemon.logged("policy rejected").await;
}

#[tokio::test]
async fn the_policy_in_force_is_shown() {
    let files = Files::new();
    let (_daemon, socket) = daemon(&files, POLICY).await;
    // Not what is in the file by now.
    let file = files.write("policy.yaml", "rules: []\n");
    assert_eq!(fine(&["show", "--addr", &socket]).await, POLICY);
    let said = fine(&["show", "--about", "--addr", &socket]).await;
    for line in [
        &format!(
            "{file}:9:5: warning: rule `never` can never match: `from` contains nobody; correct the set, or remove the rule [rule-never-matches]"
        ),
        &format!("file      {file}"),
        "rule      line 5: allow `teams`",
        "rule      line 7: hide `both`",
        "rule      line 9: deny `never`",
    ] {
        assert!(said.lines().any(|said| said == line), "`{line}` is not in\n{said}");
    }
    assert!(said.contains("\nsha256    ") && said.contains("\nloaded    20"), "{said}");
}

#[tokio::test]
async fn a_daemon_checks_a_file() {
    let files = Files::new();
    let (_daemon, socket) = daemon(&files, POLICY).await;
    let file = files.write("other.yaml", POLICY);
    let by_daemon = fine(&["check", &file, "--addr", &socket]).await;
    assert_eq!(fine(&["check", &file]).await, by_daemon);

    let file = files.write("bad.yaml", "ruls: []\ngroups: { a: [ann] }\n");
    let by_daemon = run_to_end(&["check", &file, "--addr", &socket]).await;
    assert_eq!(by_daemon.0, 1);
    assert_eq!(run_to_end(&["check", &file]).await, by_daemon);
    assert!(fine(&["show", "--addr", &socket]).await.starts_with("groups:"), "nothing changed");
}

#[tokio::test]
async fn no_daemon_is_there() {
    let files = Files::new();
    let (mut gone, socket) = daemon(&files, POLICY).await;
    let address = gone.address();
    gone.signal(Signal::TERM);
    gone.ended().await;
    let policy = files.name("policy.yaml");
    for verb in
        [&["explain", "@a:b", "@c:d"][..], &["verify"], &["show"], &["reload"], &["check", &policy]]
    {
        for (address, why) in [(&address, "Connection refused"), (&socket, "No such file")] {
            let said = cannot_run(&[verb, &["--addr", address]].concat()).await;
            let want = format!("presence-router: cannot reach a daemon at `{address}`: {why}");
            assert!(said.starts_with(&want), "{said}");
            let what = "; start a daemon with `presence-router serve`, or give its address with `--addr`\n";
            assert!(said.ends_with(what), "{said}");
        }
    }
}

#[tokio::test]
async fn something_else_is_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let said = cannot_run(&["show", "--addr", &address]).await;
    assert!(said.contains(&format!("daemon at `{address}`")), "{said}");
}
