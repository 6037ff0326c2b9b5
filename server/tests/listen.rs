//! Sockets that are in use, dead, not ours, or not allowed. Whatever is refused
//! is said with what, where and what to do, and stays as it was.

use std::os::unix::fs::FileTypeExt;

use rustix::process::Signal;
use tokio::net::{UnixSocket, UnixStream};

use crate::harness::calls::interested;
use crate::harness::{Daemon, Files, cannot_run, connect, program};

async fn refused_socket(path: &str) -> String {
    cannot_run(&["serve", "--listen-unix", path]).await
}

#[tokio::test]
async fn a_port_in_use() {
    let daemon = Daemon::start(&[]).await;
    let address = daemon.address();
    let said = cannot_run(&["serve", "--listen-tcp", &address]).await;
    let want = format!(
        "presence-router: cannot listen on {address}: the port is in use; stop the program that uses it, or choose another port\n"
    );
    assert_eq!(said, want);
    interested(&daemon.connect().await, "@joe:example.org").await.unwrap();
}

#[tokio::test]
async fn addresses_off_loopback() {
    for address in ["0.0.0.0:0", "203.0.113.7:9470", "[::]:9470"] {
        let said = cannot_run(&["serve", "--listen-tcp", address]).await;
        assert!(said.contains(&format!("refusing to listen on {address}")), "{said}");
        assert!(said.contains("not authenticated"), "{said}");
        assert!(said.contains("127.0.0.1"), "{said}");
    }
}

#[tokio::test]
async fn the_socket_of_a_live_daemon_is_refused() {
    let files = Files::new();
    let socket = files.name("socket");
    let daemon = Daemon::start(&["--listen-unix", &socket]).await;
    let said = refused_socket(&socket).await;
    let want = format!(
        "presence-router: cannot listen on `{socket}`: another process answers there; stop it, or choose another path\n"
    );
    assert_eq!(said, want);
    let channel = connect(&format!("unix:{socket}")).await;
    interested(&channel, "@joe:example.org").await.unwrap();
    drop(daemon);
}

#[tokio::test]
async fn the_socket_of_a_dead_daemon_is_replaced() {
    let files = Files::new();
    let socket = files.name("socket");
    let mut dead = Daemon::start(&["--listen-unix", &socket]).await;
    dead.signal(Signal::KILL);
    dead.ended().await;
    assert!(files.path("socket").metadata().unwrap().file_type().is_socket());
    let _daemon = Daemon::spawn(&mut program(&["serve", "--listen-unix", &socket])).await;
    let channel = connect(&format!("unix:{socket}")).await;
    interested(&channel, "@joe:example.org").await.unwrap();
}

/// Somebody removed the file of a daemon that runs, and started another one.
#[tokio::test]
async fn a_daemon_leaves_the_socket_of_another_one_alone() {
    let files = Files::new();
    let socket = files.name("socket");
    let mut first = Daemon::spawn(&mut program(&["serve", "--listen-unix", &socket])).await;
    std::fs::remove_file(&socket).unwrap();
    let _second = Daemon::spawn(&mut program(&["serve", "--listen-unix", &socket])).await;
    first.signal(Signal::TERM);
    assert_eq!(first.ended().await.code(), Some(0));
    let channel = connect(&format!("unix:{socket}")).await;
    interested(&channel, "@joe:example.org").await.unwrap();
}

#[tokio::test]
async fn what_is_not_a_socket_stays() {
    let files = Files::new();
    let file = files.write("file", "precious");
    std::fs::create_dir(files.path("directory")).unwrap();
    std::os::unix::fs::symlink(&file, files.path("link")).unwrap();
    for name in ["file", "directory", "link"] {
        let path = files.name(name);
        let said = refused_socket(&path).await;
        let want = format!(
            "presence-router: cannot listen on `{path}`: the file there is not a socket; remove it, or choose another path\n"
        );
        assert_eq!(said, want);
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    assert!(files.path("link").is_symlink());
}

#[tokio::test]
async fn paths_that_no_socket_can_have() {
    let files = Files::new();
    let said = refused_socket(&files.name("missing/socket")).await;
    assert!(said.contains("its directory does not exist; create it"), "{said}");
    let said = refused_socket(&files.name(&"x".repeat(120))).await;
    assert!(said.contains("too long for a socket; choose one of at most 100 bytes"), "{said}");
}

/// One place, and two sockets: the one that nobody calls must not hold it.
#[tokio::test]
async fn the_last_place_is_for_whoever_calls() {
    let files = Files::new();
    let socket = files.name("socket");
    let config = files.write("config.yaml", "limits: { connections: 1 }");
    let daemon = Daemon::start(&["--config", &config, "--listen-unix", &socket]).await;
    let by_unix = connect(&format!("unix:{socket}")).await;
    interested(&by_unix, "@joe:example.org").await.unwrap();
    drop(by_unix);
    interested(&daemon.connect().await, "@joe:example.org").await.unwrap();
}

/// A process that hangs is alive all the same, also when its queue is full.
#[tokio::test]
async fn a_socket_whose_owner_hangs_is_refused() {
    let files = Files::new();
    let socket = files.name("socket");
    let owner = UnixSocket::new_stream().unwrap();
    owner.bind(&socket).unwrap();
    let _owner = owner.listen(1).unwrap();
    assert!(refused_socket(&socket).await.contains("another process answers there"));
    let mut queue = Vec::new();
    while let Ok(client) = UnixStream::connect(&socket).await {
        queue.push(client);
    }
    assert!(refused_socket(&socket).await.contains("another process answers there"));
}
