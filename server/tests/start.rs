//! Policies and settings that `serve` does not start with: exit code 2, and what
//! is wrong, where, and what is valid.

use crate::harness::{FREE_PORT, Files, cannot_run};

/// What `serve` says with these arguments on top of a free port.
async fn refused(args: &[&str]) -> String {
    cannot_run(&[&FREE_PORT, args].concat()).await
}

/// What `serve` says of a config file.
async fn refused_config(text: &str) -> (String, String) {
    let files = Files::new();
    let file = files.write("config.yaml", text);
    let said = cannot_run(&["serve", "--config", &file]).await;
    assert_eq!(said.lines().count(), 1, "{said}");
    (said, format!("presence-router: {file}"))
}

#[tokio::test]
async fn a_policy_that_is_not_there() {
    let files = Files::new();
    let file = files.name("policy.yaml");
    let said = refused(&["--policy", &file]).await;
    let want = format!("presence-router: cannot read the policy `{file}`: No such file");
    assert!(said.starts_with(&want), "{said}");
}

/// It would be waited for, and no signal would end that.
#[tokio::test]
async fn a_policy_that_is_a_pipe() {
    let files = Files::new();
    let file = files.pipe("policy.yaml");
    let said = refused(&["--policy", &file]).await;
    let want = format!(
        "presence-router: cannot read the policy `{file}`: the path is not a regular file\n"
    );
    assert_eq!(said, want);
}

#[tokio::test]
async fn a_policy_with_problems() {
    let files = Files::new();
    let file = files.write("policy.yaml", "ruls: []\ngroups: { a: [ann] }\n");
    let said = refused(&["--policy", &file]).await;
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert_eq!(lines[0], "presence-router: the policy has problems:");
    for (line, (position, code)) in
        lines[1..].iter().zip([("1:1", "unknown-key"), ("2:15", "not-a-set")])
    {
        let (begin, end) = (format!("{file}:{position}: "), format!(" [{code}]"));
        assert!(line.starts_with(&begin) && line.ends_with(&end), "{line}");
    }
}

#[tokio::test]
async fn arguments() {
    for (args, wants) in [
        (&["--log", "a=b=c"][..], &["`a=b=c` is not a log filter", "`info,h2=debug`"][..]),
        (&["--log", "debgu"], &["`debgu` is not a log filter", "`debug`"]),
        (&["--log", ""], &["`` is not a log filter", "`info`"]),
        (&["--log-format", "xml"], &["'xml'", "plain, json"]),
        (&["--bad"], &["unexpected argument '--bad'"]),
        (&["extra"], &["unexpected argument 'extra'"]),
    ] {
        let said = refused(args).await;
        assert!(wants.iter().all(|want| said.contains(want)), "{args:?}: {said}");
    }
    for address in ["localhost:9470", "127.0.0.1"] {
        let said = cannot_run(&["serve", "--listen-tcp", address]).await;
        assert!(said.contains("an IP address with a port is valid here"), "{said}");
    }
    let said = cannot_run(&["sreve"]).await;
    assert!(said.contains("'sreve'") && said.contains("'serve'"), "{said}");
}

#[tokio::test]
async fn a_config_file_that_cannot_be_read() {
    let files = Files::new();
    std::fs::create_dir(files.path("directory")).unwrap();
    for (name, why) in [("missing", "No such file"), ("directory", "Is a directory")] {
        let file = files.name(name);
        let said = refused(&["--config", &file]).await;
        let want = format!("presence-router: cannot read the config file `{file}`: {why}");
        assert!(said.starts_with(&want), "{said}");
    }
}

#[tokio::test]
async fn a_config_file_that_is_wrong() {
    for (text, want) in [
        (
            "listen:\n  tpc: 127.0.0.1:0\n",
            ":2:3: unknown key `tpc`; valid here are `tcp`, `unix`; did you mean `tcp`?\n",
        ),
        ("log: { format: xml }\n", ":1:16: `xml`: `plain` and `json` are valid here\n"),
        (
            "limits:\n  heartbeat_seconds: soon\n",
            ":2:22: `soon`: a whole number from 1 to 65535 is valid here\n",
        ),
        (
            "limits: { shutdown_seconds: 0 }\n",
            ":1:29: `0`: a whole number from 1 to 65535 is valid here\n",
        ),
    ] {
        let (said, start) = refused_config(text).await;
        assert_eq!(said, format!("{start}{want}"));
    }
    let (said, start) = refused_config("log: { filter: debgu }\n").await;
    let want = format!("{start}: `filter` in the section `log`: `debgu` is not a log filter: ");
    assert!(said.starts_with(&want), "{said}");
    let (said, start) = refused_config("limits: { batch_states: 0 }\n").await;
    assert!(said.starts_with(&format!("{start}:1:25: `0`: a whole number from 1 to ")), "{said}");
}
