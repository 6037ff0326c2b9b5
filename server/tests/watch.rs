//! A change of the policy's files becomes active by itself, in whatever way it is made;
//! one with problems is reported once, and the previous policy stays active.

use std::fs::{create_dir, remove_dir_all, remove_file, rename};
use std::os::unix::fs::symlink;

use rustix::process::Signal;

use crate::harness::calls::interested;
use crate::harness::{Daemon, Files, POLICY, program_named, run};

const NOBODY: &str = "rules: []\n";
const BROKEN: &str = "ruls: []\n";
const REFUSED: &str = "policy rejected";

/// A policy by which this user is seen by Joe.
fn shows(user: &str) -> String {
    POLICY.replace("@ann", user)
}

/// Waits for so many loads, and for what Joe sees then.
async fn joe_sees(daemon: &Daemon, loads: usize) -> Vec<String> {
    daemon.logged_times("policy loaded", loads).await;
    interested(&daemon.connect().await, "@joe:example.org").await.unwrap().user_ids
}

async fn watching(policy: &str) -> Daemon {
    let daemon = Daemon::start(&["--policy", policy]).await;
    daemon.logged("watching the policy for changes").await;
    daemon
}

fn times(daemon: &Daemon, text: &str) -> usize {
    daemon.log().iter().filter(|line| line.contains(text)).count()
}

#[tokio::test]
async fn a_file_that_is_written_or_replaced() {
    let files = Files::new();
    let file = files.write("policy.yaml", POLICY);
    let daemon = watching(&file).await;
    files.write("policy.yaml", shows("@in-place"));
    assert_eq!(joe_sees(&daemon, 1).await, ["@in-place:example.org"]);

    files.write("policy.yaml.tmp", shows("@renamed"));
    rename(files.path("policy.yaml.tmp"), &file).unwrap();
    assert_eq!(joe_sees(&daemon, 2).await, ["@renamed:example.org"]);

    // As vim does it: the old one out of the way, and a new one.
    rename(&file, files.path("policy.yaml~")).unwrap();
    files.write("policy.yaml", shows("@vim"));
    remove_file(files.path("policy.yaml~")).unwrap();
    assert_eq!(joe_sees(&daemon, 3).await, ["@vim:example.org"]);
    assert_eq!(times(&daemon, REFUSED), 0);
}

/// Kubernetes mounts a ConfigMap as links through `..data`, and replaces that.
#[tokio::test]
async fn a_link_that_is_swapped() {
    let files = Files::new();
    let version = |name: &str, user: &str| {
        create_dir(files.path(name)).unwrap();
        files.write(&format!("{name}/policy.yaml"), shows(user));
        symlink(name, files.path("..data_tmp")).unwrap();
        rename(files.path("..data_tmp"), files.path("..data")).unwrap();
    };
    version("..one", "@one");
    symlink("..data/policy.yaml", files.path("policy.yaml")).unwrap();
    let daemon = watching(&files.name("policy.yaml")).await;
    version("..two", "@two");
    remove_dir_all(files.path("..one")).unwrap();
    assert_eq!(joe_sees(&daemon, 1).await, ["@two:example.org"]);
    version("..three", "@three");
    remove_dir_all(files.path("..two")).unwrap();
    assert_eq!(joe_sees(&daemon, 2).await, ["@three:example.org"]);
    // And what the link leads to.
    files.write("..three/policy.yaml", shows("@three-too"));
    assert_eq!(joe_sees(&daemon, 3).await, ["@three-too:example.org"]);
}

#[tokio::test]
async fn a_directory_that_is_replaced() {
    let files = Files::new();
    create_dir(files.path("etc")).unwrap();
    let file = files.write("etc/policy.yaml", POLICY);
    let daemon = watching(&file).await;
    rename(files.path("etc"), files.path("old")).unwrap();
    create_dir(files.path("etc")).unwrap();
    files.write("etc/policy.yaml", shows("@new"));
    assert_eq!(joe_sees(&daemon, 1).await, ["@new:example.org"]);

    // Gone for longer.
    remove_dir_all(files.path("etc")).unwrap();
    daemon.logged(&format!("cannot read the policy `{file}`: No such file")).await;
    create_dir(files.path("etc")).unwrap();
    files.write("etc/policy.yaml", shows("@back"));
    assert_eq!(joe_sees(&daemon, 2).await, ["@back:example.org"]);
    assert_eq!(times(&daemon, REFUSED), 1);
}

#[tokio::test]
async fn a_broken_file_is_told_once() {
    let files = Files::new();
    let file = files.write("policy.yaml", POLICY);
    let daemon = watching(&file).await;
    files.write("policy.yaml", BROKEN);
    let line = daemon.logged(&format!("{file}:1:1: ")).await;
    assert!(line.contains("[unknown-key]"), "{line}");
    // Touched again and again, it is the same; by hand it is always told.
    for signals in 1..=3 {
        files.write("policy.yaml", BROKEN);
        daemon.signal(Signal::HUP);
        daemon.logged_times(REFUSED, 1 + signals).await;
    }
    // Another text is another problem, also with the same message.
    files.write("policy.yaml", format!("{BROKEN}# mended?\n"));
    daemon.logged_times(REFUSED, 5).await;
    // Not a file for a moment: nobody may be able to read one of mode 000 but root.
    remove_file(&file).unwrap();
    create_dir(&file).unwrap();
    daemon.logged(&format!("cannot read the policy `{file}`: the path is a directory")).await;
    assert_eq!(times(&daemon, "policy loaded"), 0);
    std::fs::remove_dir(&file).unwrap();
    files.write("policy.yaml", POLICY);
    daemon.logged("policy is unchanged").await;
    files.write("policy.yaml", NOBODY);
    assert!(joe_sees(&daemon, 1).await.is_empty());
    assert!(times(&daemon, REFUSED) <= 7, "{:?}", daemon.log());
}

/// Also where the policy that names it was refused because of it.
#[tokio::test]
async fn a_members_file_elsewhere() {
    let files = Files::new();
    create_dir(files.path("lists")).unwrap();
    let file = files.write("policy.yaml", NOBODY);
    let daemon = watching(&file).await;
    files.write(
        "policy.yaml",
        "groups: { all: { members_file: lists/all.txt } }\nrules: [{ name: x, allow: { within: all } }]\n",
    );
    daemon.logged("cannot read the members file `lists/all.txt`").await;
    files.write("lists/all.txt", "@ann:example.org\n@joe:example.org\n");
    assert_eq!(joe_sees(&daemon, 1).await, ["@ann:example.org"]);
    files.write("lists/all.txt", "@ann:example.org\n@joe:example.org\n@sue:example.org\n");
    assert_eq!(joe_sees(&daemon, 2).await, ["@ann:example.org", "@sue:example.org"]);
    files.write("lists/all.txt", "@ann:example.org\nbob\n");
    let line = daemon.logged("lists/all.txt:2:1: ").await;
    assert!(line.contains("[not-a-user-id]"), "{line}");
}

/// What a call loads is watched as what a signal loads. A directory is renamed above
/// those that are watched, so that nothing else tells of a change.
#[tokio::test]
async fn a_load_that_a_call_asked_for() {
    let files = Files::new();
    let deploy = |members_file: &str| {
        create_dir(files.path("new")).unwrap();
        create_dir(files.path("new/router")).unwrap();
        let policy = format!(
            "groups: {{ all: {{ members_file: ../../{members_file} }} }}\nrules: [{{ name: x, allow: {{ within: all }} }}]\n"
        );
        files.write("new/router/policy.yaml", policy);
        rename(files.path("etc"), files.path(&format!("before-{members_file}"))).unwrap();
        rename(files.path("new"), files.path("etc")).unwrap();
    };
    create_dir(files.path("etc")).unwrap();
    create_dir(files.path("etc/router")).unwrap();
    let daemon = watching(&files.write("etc/router/policy.yaml", NOBODY)).await;
    let address = daemon.address();
    let reload = async || run(&["reload", "--addr", &address]).await;
    // One that it notices: after that, none is under way which would also find what
    // follows.
    files.write("etc/router/policy.yaml", shows("@bob"));
    assert_eq!(joe_sees(&daemon, 1).await, ["@bob:example.org"]);

    files.write("one.txt", "@ann:example.org\n@joe:example.org\n");
    deploy("one.txt");
    let output = reload().await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(joe_sees(&daemon, 2).await, ["@ann:example.org"]);
    files.write("one.txt", "@sue:example.org\n@joe:example.org\n");
    assert_eq!(joe_sees(&daemon, 3).await, ["@sue:example.org"]);

    // Refused, since a file that it names is missing.
    deploy("two.txt");
    let output = reload().await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    files.write("two.txt", "@sam:example.org\n@joe:example.org\n");
    assert_eq!(joe_sees(&daemon, 4).await, ["@sam:example.org"]);
}

#[tokio::test]
async fn a_storm_of_changes_is_few_loads() {
    const WRITES: usize = 300;
    let files = Files::new();
    let file = files.write("policy.yaml", POLICY);
    let daemon = watching(&file).await;
    for i in 0..WRITES {
        files.write("policy.yaml", shows(&format!("@user{i}")));
        tokio::task::yield_now().await;
    }
    files.write("policy.yaml", shows("@last"));
    let mut loads = 1;
    while joe_sees(&daemon, loads).await != ["@last:example.org"] {
        loads += 1;
    }
    assert!(times(&daemon, "policy loaded") < WRITES / 10);
}

#[tokio::test]
async fn nothing_is_watched_if_that_is_not_wanted() {
    let files = Files::new();
    let file = files.write("policy.yaml", POLICY);
    let config = files.write("config.yaml", "watch_policy: false\n");
    let daemon = Daemon::start(&["--policy", &file, "--config", &config]).await;
    files.write("policy.yaml", NOBODY);
    daemon.signal(Signal::HUP);
    assert!(joe_sees(&daemon, 1).await.is_empty());
    assert_eq!(times(&daemon, "watching"), 0);
}

/// Nothing waits for whoever might write to it: the daemon answers, and takes the next
/// file.
#[tokio::test]
async fn a_pipe_in_its_place() {
    let files = Files::new();
    let file = files.write("policy.yaml", POLICY);
    let daemon = watching(&file).await;
    files.pipe("pipe");
    rename(files.path("pipe"), &file).unwrap();
    daemon.logged("the path is not a regular file").await;
    let output = run(&["reload", "--addr", &daemon.address()]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    files.write("next", shows("@next"));
    rename(files.path("next"), &file).unwrap();
    assert_eq!(joe_sees(&daemon, 1).await, ["@next:example.org"]);
}

/// A file that is mounted by itself, as into a container, and one that is written under
/// another of its names: their directory hears nothing.
#[tokio::test]
async fn a_file_that_is_written_elsewhere() {
    let files = Files::new();
    create_dir(files.path("host")).unwrap();
    let elsewhere = files.write("host/policy.yaml", POLICY);
    std::fs::hard_link(&elsewhere, files.path("policy.yaml")).unwrap();
    let daemon = watching(&files.name("policy.yaml")).await;
    files.write("host/policy.yaml", shows("@linked"));
    assert_eq!(joe_sees(&daemon, 1).await, ["@linked:example.org"]);

    // In a namespace of its own, so that the mount goes with the daemon.
    let target = files.write("mounted.yaml", NOBODY);
    let mount = format!("mount --bind '{elsewhere}' '{target}'");
    let may_mount = std::process::Command::new("unshare").args(["-m", "sh", "-c", &mount]).status();
    if !may_mount.is_ok_and(|status| status.success()) {
        eprintln!("may not mount here: the hard link has to do");
        return;
    }
    let serve = format!(
        "{mount} && exec '{}' serve --listen-tcp 127.0.0.1:0 --policy '{target}'",
        env!("CARGO_BIN_EXE_presence-router")
    );
    let mut command = program_named("unshare", &["-m", "sh", "-c", &serve]);
    let daemon = Daemon::spawn(&mut command).await;
    daemon.logged("watching the policy for changes").await;
    files.write("host/policy.yaml", shows("@mounted"));
    assert_eq!(joe_sees(&daemon, 1).await, ["@mounted:example.org"]);
}

/// The system announces nothing to a watch below the renamed directory.
#[tokio::test]
async fn a_directory_that_is_renamed_further_up() {
    let files = Files::new();
    for (tree, user) in [("etc", "@ann"), ("new", "@new")] {
        std::fs::create_dir_all(files.path(&format!("{tree}/router"))).unwrap();
        files.write(&format!("{tree}/router/policy.yaml"), shows(user));
    }
    let daemon = watching(&files.name("etc/router/policy.yaml")).await;
    rename(files.path("etc"), files.path("old")).unwrap();
    rename(files.path("new"), files.path("etc")).unwrap();
    assert_eq!(joe_sees(&daemon, 1).await, ["@new:example.org"]);
}

/// Without a single watch, the files are looked at, and the log does not say that they
/// are watched.
#[tokio::test]
async fn without_any_watch() {
    let files = Files::new();
    let file = files.write("policy.yaml", POLICY);
    let serve = format!(
        "echo 0 >/proc/sys/user/max_inotify_instances && exec '{}' serve \
         --listen-tcp 127.0.0.1:0 --policy '{file}'",
        env!("CARGO_BIN_EXE_presence-router")
    );
    // The limit is one of this user namespace alone.
    let mut command = program_named("unshare", &["-U", "-r", "sh", "-c", &serve]);
    let daemon = Daemon::spawn(&mut command).await;
    let line = daemon.logged("checking the policy's files every 5s").await;
    assert!(line.contains("WARN") && line.contains("fs.inotify.max_user_instances"), "{line}");
    files.write("policy.yaml", shows("@found"));
    assert_eq!(joe_sees(&daemon, 1).await, ["@found:example.org"]);
    assert_eq!(times(&daemon, "watching the policy"), 0);
}
