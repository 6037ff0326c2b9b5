//! The examples of `docs/cli.md` that are commands, run as they stand against a
//! daemon with the policy that stands before them. What is another one at each run
//! is made alike: revisions, and when something was loaded.

use std::process::Output;

use crate::harness::{Daemon, Files, program, within};

const PAGE: &str = include_str!("../docs/cli.md");

/// What stands in the fences of a kind.
fn fences<'p>(page: &'p str, kind: &str) -> Vec<&'p str> {
    let fences = page.split(&format!("```{kind}\n")).skip(1).collect::<Vec<_>>();
    fences.into_iter().map(|rest| rest.split_once("```").expect("a fence that ends").0).collect()
}

/// Without what is another one at each run.
fn alike(said: &str) -> String {
    let word = |word: &str| {
        let history = word.trim_end_matches([')', '\n']).split_once(':').map(|(epoch, _)| epoch);
        let is_epoch =
            |epoch: &str| epoch.len() == 16 && epoch.bytes().all(|byte| byte.is_ascii_hexdigit());
        match history {
            Some(epoch) if is_epoch(epoch) => word.replace(epoch, "EPOCH"),
            Some(time) if time.len() == 13 && time.contains('T') => "TIME\n".to_owned(),
            _ => word.to_owned(),
        }
    };
    said.split_inclusive([' ', '\n']).map(word).collect()
}

#[tokio::test]
async fn the_reference_shows_what_is_printed() {
    let files = Files::new();
    let policies = fences(PAGE, "yaml");
    files.write("policy.yaml", policies[0]);
    files.write("rooms-policy.yaml", policies[1]);
    files.write("rooms.yaml", fences(PAGE, "yml")[0]);
    files.write("candidate.yaml", policies[2]);
    let mut serve = program(&["serve", "--listen-tcp", "127.0.0.1:0", "--policy", "policy.yaml"]);
    let daemon = Daemon::spawn(serve.current_dir(files.dir())).await;
    let examples = fences(PAGE, "console");
    assert_eq!(examples.len(), 10, "those that are there");
    for example in examples {
        let (command, want) = example.split_once('\n').expect("a command, and what it prints");
        let mut args: Vec<&str> =
            command.strip_prefix("$ presence-router ").expect("a command").split(' ').collect();
        let address = daemon.address();
        if !args.contains(&"--policy") && !["check", "graph"].contains(&args[0]) {
            args.extend(["--addr", &address]);
        }
        let output = program(&args).current_dir(files.dir()).output();
        let Output { status, stdout, stderr } = within(command, output).await.unwrap();
        assert!(status.success(), "{command}: {}", String::from_utf8_lossy(&stderr));
        assert_eq!(alike(&String::from_utf8(stdout).unwrap()), alike(want), "{command}");
    }
}
