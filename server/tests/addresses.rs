//! How a daemon names its own socket.

use crate::harness::{Daemon, Files, cannot_run, program};

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
