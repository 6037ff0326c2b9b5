//! The default addresses, and sockets that are not trusted.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use super::*;

fn defaults(socket: &Path, trusted_users: &[u32]) -> (Vec<String>, Option<String>) {
    match Candidates::by_default(socket, trusted_users) {
        Candidates::Default { addresses, left_out } => {
            (addresses.iter().map(Address::to_string).collect(), left_out)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_socket_of_root_or_of_the_user_comes_before_the_port() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let both = vec![format!("unix:{}", socket.display()), "127.0.0.1:9470".to_owned()];
    assert_eq!(defaults(&socket, &[0]), (both.clone(), None), "not there yet");
    let _listener = UnixListener::bind(&socket).unwrap();
    let owner = socket.metadata().unwrap().uid();
    assert_eq!(defaults(&socket, &[owner]), (both, None));
}

#[test]
fn a_planted_socket_is_not_tried() {
    let folder = tempfile::tempdir().unwrap();
    let [socket, link, file] = ["socket", "link", "file"].map(|name| folder.path().join(name));
    let _listener = UnixListener::bind(&socket).unwrap();
    symlink(&socket, &link).unwrap();
    std::fs::write(&file, "").unwrap();
    let owner = socket.metadata().unwrap().uid();
    for (path, trusted, why) in [
        (&socket, owner + 1, format!("it belongs to user {owner}, who is neither")),
        (&link, owner, "it is not a socket".to_owned()),
        (&file, owner, "it is not a socket".to_owned()),
    ] {
        let (addresses, left_out) = defaults(path, &[trusted]);
        assert_eq!(addresses, ["127.0.0.1:9470"]);
        let left_out = left_out.unwrap();
        let want = format!("`unix:{}` was not tried: {why}", path.display());
        assert!(left_out.starts_with(&want), "{left_out}");
    }
}
