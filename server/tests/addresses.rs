//! The addresses at which verbs ask, in every form, and the name that a daemon has for its
//! own socket.

use std::process::Output;

use tokio::process::Command;

use crate::harness::{Daemon, Files, POLICY, cannot_run, program, within};

/// A daemon with a port, and a socket of this name in a directory.
async fn daemon(files: &Files, socket: &str) -> Daemon {
    let policy = files.write("policy.yaml", POLICY);
    let mut command = program(&["serve", "--listen-tcp", "127.0.0.1:0", "--policy", &policy]);
    Daemon::spawn(command.args(["--listen-unix", socket]).current_dir(files.dir())).await
}

async fn run_to_end(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.stdout(std::process::Stdio::piped()).output();
    let Output { status, stdout, stderr } = within("the program ends", output).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// `show`, with `PRESENCE_ROUTER_ADDR` set.
fn show_by_variable(address: &str) -> Command {
    let mut command = program(&["show"]);
    command.env("PRESENCE_ROUTER_ADDR", address);
    command
}

fn shown() -> (Option<i32>, String, String) {
    (Some(0), POLICY.to_owned(), String::new())
}

#[tokio::test]
async fn a_socket_may_be_written_in_each_form() {
    let files = Files::new();
    let _daemon = daemon(&files, "a b.sock").await;
    let path = files.name("a b.sock");
    for address in [
        format!("unix:{path}"),
        format!("unix://{path}"),
        "unix:a b.sock".into(),
        "unix:./a b.sock".into(),
    ] {
        let mut command = program(&["show", "--addr", &address]);
        assert_eq!(run_to_end(command.current_dir(files.dir())).await, shown(), "{address}");
    }
}

#[tokio::test]
async fn a_variable_says_where_the_daemon_is() {
    let files = Files::new();
    let daemon = daemon(&files, "socket").await;
    let address = format!("unix:{}", files.name("socket"));
    assert_eq!(run_to_end(&mut show_by_variable(&address)).await, shown());
    assert_eq!(run_to_end(&mut show_by_variable(&daemon.address())).await, shown());

    // The flag outranks it, and a verb that asks no daemon does not mind it.
    let mut by_flag = show_by_variable("unix:/nowhere/socket");
    assert_eq!(run_to_end(by_flag.args(["--addr", &address])).await, shown());
    let policy = files.name("policy.yaml");
    let mut explain = program(&["explain", "@ann:example.org", "@joe:example.org", "--quiet"]);
    explain.args(["--policy", &policy]).env("PRESENCE_ROUTER_ADDR", "unix:/nowhere/socket");
    assert_eq!(run_to_end(&mut explain).await, (Some(0), String::new(), String::new()));
}

#[tokio::test]
async fn an_address_of_the_variable_is_blamed_on_the_variable() {
    for (value, why) in [
        (
            "unix:/nowhere/socket",
            "cannot reach a daemon at `unix:/nowhere/socket` (from `PRESENCE_ROUTER_ADDR`): No such file",
        ),
        ("here", "the environment variable `PRESENCE_ROUTER_ADDR` is `here`: the port is missing"),
        (
            "/run/x.sock",
            "the environment variable `PRESENCE_ROUTER_ADDR` is `/run/x.sock`: a path needs `unix:` before it; write `unix:/run/x.sock`",
        ),
        ("", "the environment variable `PRESENCE_ROUTER_ADDR` is empty; give it a value"),
    ] {
        let (code, stdout, stderr) = run_to_end(&mut show_by_variable(value)).await;
        assert_eq!((code, stdout.as_str()), (Some(2), ""));
        assert!(stderr.starts_with(&format!("presence-router: {why}")), "{stderr}");
    }
}

#[tokio::test]
async fn what_is_no_address_says_what_is() {
    for (address, why) in [
        ("here", "the port is missing"),
        ("http://here", "the port is missing"),
        ("a b:1", "valid addresses are `host:port` and `unix:/path/to/socket`"),
        ("https://127.0.0.1:9470", "TLS is not supported"),
        ("grpc://127.0.0.1:9470", "the scheme is unknown"),
        ("unix:", "the path behind `unix:` is missing"),
        ("unix://run/x.sock", "so write three slashes"),
        ("/run/x.sock", "a path needs `unix:` before it; write `unix:/run/x.sock`"),
        ("./socket", "a path needs `unix:` before it; write `unix:./socket`"),
        ("x.sock", "a path needs `unix:` before it; write `unix:x.sock`"),
    ] {
        for verb in [&["show"][..], &["conformance", "--only", "teams"]] {
            let said = cannot_run(&[verb, &["--addr", address]].concat()).await;
            assert!(said.contains(why), "{address}: {said}");
            let valid = "valid addresses are `host:port` and `unix:/path/to/socket`";
            assert!(said.contains(valid) || why.contains("write"), "{address}: {said}");
        }
    }
}

/// Somebody who reads the log has another current directory than the daemon.
#[tokio::test]
async fn a_relative_socket_is_named_by_its_absolute_path() {
    let files = Files::new();
    let config = files.write("config.yaml", "listen: { unix: socket }");
    let address = format!("unix:{}", files.name("socket"));
    for source in [&["--listen-unix", "./socket"][..], &["--config", &config]] {
        let mut command = program(&["serve"]);
        let daemon = Daemon::spawn(command.args(source).current_dir(files.dir())).await;
        let line = daemon.logged("serving").await;
        assert!(line.contains(&format!("address=\"{address}\"")), "{line}");
    }
    let mut command = program(&["serve"]);
    command.env("PRESENCE_ROUTER_LISTEN_UNIX", "socket").current_dir(files.dir());
    let daemon = Daemon::spawn(&mut command).await;
    assert!(daemon.logged("serving").await.contains(&address));
}

#[tokio::test]
async fn what_is_no_path_of_a_socket_says_what_is() {
    let files = Files::new();
    for (path, why) in [
        ("unix:/p", "a path alone is valid here, without `unix:`; write `/p`"),
        ("unix:///p", "a path alone is valid here, without `unix:`; write `/p`"),
        ("unix:", "a path alone is valid here, without `unix:`; write `/path/to/socket`"),
    ] {
        let said = cannot_run(&["serve", "--listen-unix", path]).await;
        assert!(said.contains(&format!("'{path}' for '--listen-unix <PATH>': {why}")), "{said}");
        let config = files.write("config.yaml", format!("listen: {{ unix: '{path}' }}"));
        let said = cannot_run(&["serve", "--config", &config]).await;
        assert!(said.ends_with(&format!(":1:17: `{path}`: {why}\n")), "{said}");
    }
    let config = files.write("config.yaml", "listen: { unix: '' }");
    let said = cannot_run(&["serve", "--config", &config]).await;
    assert!(said.contains("a path is valid here, such as `/path/to/socket`"), "{said}");
    for path in ["unix:/p", "/run/x.sock"] {
        let said = cannot_run(&["serve", "--listen-tcp", path]).await;
        assert!(said.contains("a Unix socket is set by `--listen-unix`"), "{said}");
    }
}
