//! Variables of the environment: empty, wrong, misspelt, and those that others set.

use crate::harness::{Daemon, FREE_PORT, Files, POLICY, program, within};

const VARIABLES: [&str; 7] =
    ["CONFIG", "POLICY", "WATCH_POLICY", "LISTEN_TCP", "LISTEN_UNIX", "LOG_FORMAT", "LOG"];

/// Exit code and standard error of the program with a variable, named without its prefix.
async fn with_variable(args: &[&str], name: &str, value: &str) -> (Option<i32>, String) {
    let mut command = program(args);
    let output = command.env(format!("PRESENCE_ROUTER_{name}"), value).output();
    let output = within("the program ends", output).await.unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn an_empty_variable_is_named() {
    for name in VARIABLES {
        let (code, said) = with_variable(&["serve"], name, "").await;
        let want = format!(
            "presence-router: the environment variable `PRESENCE_ROUTER_{name}` is empty; give it \
             a value, or unset it\n"
        );
        assert_eq!((code, said), (Some(2), want));
    }
}

#[tokio::test]
async fn a_variable_with_a_wrong_value_is_named() {
    for (name, value, valid) in [
        ("WATCH_POLICY", "yes", "`true` and `false` are valid here"),
        ("LISTEN_TCP", "localhost", "an IP address with a port is valid here"),
        ("LISTEN_UNIX", "unix:/p", "a path alone is valid here, without `unix:`; write `/p`"),
        ("LOG_FORMAT", "xml", "`plain` and `json` are valid here"),
        ("LOG", "debgu", "`debgu` is not a log filter: valid are"),
    ] {
        let (code, said) = with_variable(&["serve"], name, value).await;
        let want = format!(
            "presence-router: the environment variable `PRESENCE_ROUTER_{name}` is `{value}`: {valid}"
        );
        assert!(code == Some(2) && said.starts_with(&want), "{said}");
    }
}

/// A container may have the daemon's variables, and somebody checks a policy in it.
#[tokio::test]
async fn other_verbs_do_not_mind_what_serve_reads() {
    let files = Files::new();
    let file = files.write("policy.yaml", POLICY);
    for name in VARIABLES {
        for value in ["", "no such value"] {
            let ran = with_variable(&["check", &file], name, value).await;
            assert_eq!(ran, (Some(0), String::new()), "{name}");
        }
    }
}

#[tokio::test]
async fn a_misspelt_variable_is_warned_of() {
    for format in ["plain", "json"] {
        let mut command = program(&FREE_PORT);
        command.args(["--log-format", format]).env("PRESENCE_ROUTER_POLCY", "policy.yaml");
        let daemon = Daemon::spawn(&mut command).await;
        let line = daemon.logged("did you mean").await;
        assert!(line.contains("WARN") && line.contains("`PRESENCE_ROUTER_POLCY`"), "{line}");
        assert!(line.contains("did you mean `PRESENCE_ROUTER_POLICY`?"), "{line}");
    }
    let addr = ["show", "--addr", "unix:/nowhere/socket"];
    let (_, said) = with_variable(&addr[..1], "ADR", "unix:/nowhere/socket").await;
    assert!(said.contains("did you mean `PRESENCE_ROUTER_ADDR`?"), "{said}");
    let (_, said) = with_variable(&addr, "ADR", "unix:/nowhere/socket").await;
    assert!(!said.contains("did you mean"), "the flag is what counts: {said}");
}

/// As in every container beside a service `presence-router`.
#[tokio::test]
async fn variables_of_kubernetes_are_left_alone() {
    let mut command = program(&FREE_PORT);
    for (name, value) in [
        ("SERVICE_HOST", "10.0.0.7"),
        ("SERVICE_PORT", "9470"),
        ("SERVICE_PORT_GRPC", "9470"),
        ("PORT", "tcp://10.0.0.7:9470"),
        ("PORT_9470_TCP", "tcp://10.0.0.7:9470"),
        ("PORT_9470_TCP_ADDR", "10.0.0.7"),
        ("PORT_9470_TCP_PORT", "9470"),
        ("PORT_9470_TCP_PROTO", "tcp"),
    ] {
        command.env(format!("PRESENCE_ROUTER_{name}"), value);
    }
    let daemon = Daemon::spawn(&mut command).await;
    assert!(daemon.log().iter().all(|line| !line.contains("WARN")), "{:#?}", daemon.log());
}
