use std::os::unix::fs::symlink;

use notify::event::{DataChange, MetadataKind, RemoveKind, RenameMode};

use super::*;

/// Returns the entries of a path, relative to a directory.
fn below(directory: &Path, path: &str) -> Vec<String> {
    let found = deciding_entries(&directory.join(path));
    let below = |path: &PathBuf| path.strip_prefix(directory).unwrap().display().to_string();
    found.iter().map(below).collect()
}

#[test]
fn every_link_on_the_way_decides() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    std::fs::create_dir_all(dir.join("a/..one")).unwrap();
    std::fs::write(dir.join("a/..one/policy.yaml"), "").unwrap();
    symlink("..one", dir.join("a/..data")).unwrap();
    symlink("..data/policy.yaml", dir.join("a/policy.yaml")).unwrap();
    symlink(dir.join("a/../a"), dir.join("current")).unwrap();
    symlink("loop", dir.join("loop")).unwrap();
    let mounted = ["a/policy.yaml", "a/..data", "a/..one/policy.yaml"];
    assert_eq!(below(&dir, "a/policy.yaml"), mounted);
    assert_eq!(below(&dir, "current/./policy.yaml"), [&["current"], &mounted[..]].concat());
    assert_eq!(below(&dir, "a/none/policy.yaml"), ["a/none"], "what is missing first");
    assert_eq!(below(&dir, "a/..one/policy.yaml/x"), ["a/..one/policy.yaml"]);
    assert_eq!(below(&dir, "a"), ["a"], "a directory where a file should be");
    assert_eq!(below(&dir, "loop/x").len(), 41);
}

#[test]
fn only_a_file_that_somebody_writes_is_unfinished() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("file"), "").unwrap();
    std::fs::write(path("two names"), "").unwrap();
    std::fs::hard_link(path("two names"), path("linked")).unwrap();
    symlink("file", path("symlink")).unwrap();
    let change = |kind, name: &str| change_by(kind, &path(name));

    let create = EventKind::Create(CreateKind::File);
    assert_eq!(change(create, "file"), Some(Change::Unfinished));
    for complete in ["linked", "symlink", "gone again"] {
        assert_eq!(change(create, complete), Some(Change::Complete), "{complete}");
    }
    let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    assert_eq!(change(data, "file"), Some(Change::Unfinished));
    let close = |mode| EventKind::Access(AccessKind::Close(mode));
    assert_eq!(change(close(AccessMode::Write), "file"), Some(Change::Complete));
    for replaced in [
        EventKind::Modify(ModifyKind::Name(RenameMode::To)),
        EventKind::Remove(RemoveKind::File),
        EventKind::Create(CreateKind::Folder),
    ] {
        assert_eq!(change(replaced, "file"), Some(Change::Complete), "{replaced:?}");
    }
    let mode = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
    assert_eq!(change(mode, "file"), Some(Change::Touched), "its writer may go on writing");
    assert_eq!(change(close(AccessMode::Read), "file"), None);
    assert_eq!(change(EventKind::Access(AccessKind::Open(AccessMode::Any)), "file"), None);
}

/// The watch is on the inode, since the directory receives no event for a write under another
/// name of the file.
#[tokio::test]
async fn a_write_under_another_name_is_announced() {
    let (watched, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = watched.path().canonicalize().unwrap().join("list");
    std::fs::write(&path, "one").unwrap();
    std::fs::hard_link(&path, other.path().join("list")).unwrap();
    let inbox = Inbox::default();
    let mut watcher = Watcher::new(inbox.clone());
    watcher.watch_only(std::slice::from_ref(&path)).unwrap();
    assert!(inbox.wait_for_changes().await.unknown, "it was not watched before");
    watcher.watch_only(std::slice::from_ref(&path)).unwrap();
    assert_eq!(inbox.take_changes(), Default::default());

    std::fs::write(other.path().join("list"), "two").unwrap();
    let mut changes = inbox.wait_for_changes().await;
    while changes.by_path.get(&path) != Some(&Change::Complete) {
        changes = inbox.wait_for_changes().await;
    }
}

#[test]
fn describes_errors_that_an_operator_can_solve() {
    let words = |kind| explain_error(&notify::Error::new(kind));
    assert!(words(notify::ErrorKind::MaxFilesWatch).contains("max_user_watches"));
    let too_many = std::io::Error::from(rustix::io::Errno::MFILE);
    assert!(words(notify::ErrorKind::Io(too_many)).contains("max_user_instances"));
}
