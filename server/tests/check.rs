//! `check`: all problems on standard output, or a summary; 0, 1 or 2.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;

use crate::harness::{Files, POLICY, cannot_run, program, run, within};

/// Four problems, far apart.
const PROBLEMS: &str = r#"
groups:
  a: ["ann"]
  a: []
ruls: []
rules:
  - name: x
    allow: { from: { group: nope }, to: everyone }
"#;

/// Each line stands for ten times the one before it.
fn bomb() -> String {
    let mut text = "groups:\n  a0: &a0 [\"@ann:example.org\"]\n".to_owned();
    for i in 1..12 {
        let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
        text += &format!("  a{i}: &a{i} [{aliases}]\n");
    }
    text
}

#[tokio::test]
async fn a_valid_policy_has_a_summary() {
    let files = Files::new();
    let file = files.write("policy.yaml", POLICY);
    let output = run(&["check", &file]).await;
    assert_eq!(output.status.code(), Some(0));
    let want =
        format!("{file}: valid: 1 rule, 0 groups, 2 users listed on 1 server: example.org (2)\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), want);
    assert!(output.stderr.is_empty());
}

#[tokio::test]
async fn all_problems_are_told_at_once() {
    let files = Files::new();
    let file = files.write("policy.yaml", PROBLEMS);
    let output = run(&["check", &file]).await;
    assert_eq!(output.status.code(), Some(1));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = stdout.lines().collect();
    let wants = [
        ("3:7", "not-a-set"),
        ("4:3", "duplicate-group"),
        ("5:1", "unknown-key"),
        ("8:29", "unknown-group"),
    ];
    assert_eq!(lines.len(), wants.len(), "{stdout}");
    for (line, (position, code)) in lines.iter().zip(wants) {
        let (start, end) = (format!("{file}:{position}: "), format!(" [{code}]"));
        assert!(line.starts_with(&start) && line.ends_with(&end), "{start} {end}: {line}");
    }
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "presence-router: 4 problems\n");
}

#[tokio::test]
async fn a_text_that_is_no_policy_has_one_problem() {
    for (name, content, code) in [
        ("empty", Vec::new(), "[empty-file]"),
        ("not UTF-8", b"rules:\n  - \xff\n".to_vec(), "[not-utf8]"),
        ("half-written", b"groups:\n  a: [\"@ann:exa".to_vec(), "[not-yaml]"),
        ("a bomb", bomb().into_bytes(), "[too-large]"),
    ] {
        let files = Files::new();
        let file = files.write("policy.yaml", content);
        let output = run(&["check", &file]).await;
        assert_eq!(output.status.code(), Some(1), "{name}");
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(stdout.lines().count(), 1, "{name}: {stdout}");
        assert!(stdout.starts_with(&file) && stdout.trim_end().ends_with(code), "{name}: {stdout}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_not_checked() {
    let files = Files::new();
    // Root may read everything: what may be opened and not read is a directory.
    std::fs::create_dir(files.path("directory")).unwrap();
    for (name, why) in [("missing", "No such file"), ("directory", "Is a directory")] {
        let file = files.name(name);
        let said = cannot_run(&["check", &file]).await;
        let want = format!("presence-router: cannot read the policy `{file}`: {why}");
        assert!(said.starts_with(&want), "{said}");
    }
    // Nobody may read it, or the process lacks what root has.
    let said = cannot_run(&["check", "/proc/self/mem"]).await;
    assert!(said.contains("cannot read the policy `/proc/self/mem`"), "{said}");
    assert!(cannot_run(&["check"]).await.contains("<POLICY>"));
}

/// Runs the program in a directory, with this text on standard input.
async fn piped(args: &[&str], text: &str, files: &Files) -> (Option<i32>, String, String) {
    let mut command = program(args);
    command.current_dir(files.dir()).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that does not read is no reason to fail here.
    let _ = stdin.write_all(text.as_bytes()).await;
    drop(stdin);
    let output = within("the program ends", child.wait_with_output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn standard_input_is_checked() {
    let files = Files::new();
    files.write("staff.txt", "@ann:example.org\n@joe:example.org\n");
    let policy = "groups: { staff: { members_file: staff.txt } }\n\
                  rules: [{ name: staff, allow: { within: staff } }]\n";
    let (code, stdout, stderr) = piped(&["check", "-"], policy, &files).await;
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert_eq!(
        stdout,
        "<stdin>: valid: 1 rule, 1 group, 2 users listed on 1 server: example.org (2)\n"
    );

    let (code, stdout, stderr) = piped(&["check", "-"], "ruls: []\n", &files).await;
    assert_eq!((code, stderr.as_str()), (Some(1), "presence-router: 1 problem\n"));
    let is_wanted = stdout.starts_with("<stdin>:1:1: ") && stdout.ends_with(" [unknown-key]\n");
    assert!(is_wanted, "{stdout}");

    // A file of that name is another thing.
    files.write("-", "rules: []\n");
    let (_, stdout, _) = piped(&["check", "./-"], "ruls: []\n", &files).await;
    assert!(stdout.starts_with("./-: valid: "), "{stdout}");
}

#[tokio::test]
async fn so_do_other_verbs_that_read_a_policy() {
    let files = Files::new();
    let file = files.write("policy.yaml", POLICY);
    let pair = ["explain", "@ann:example.org", "@joe:example.org", "--quiet", "--policy", "-"];
    assert_eq!(piped(&pair, POLICY, &files).await.0, Some(0));
    assert_eq!(piped(&pair, "rules: []", &files).await.0, Some(1));
    assert_eq!(piped(&["verify", "--policy", "-"], POLICY, &files).await.0, Some(0));
    let (code, stdout, _) = piped(&["graph", "-"], POLICY, &files).await;
    assert!(code == Some(0) && stdout.starts_with("digraph"), "{stdout}");
    let (code, stdout, _) = piped(&["plan", "-", "--policy", &file], "rules: []", &files).await;
    assert!(code == Some(0) && stdout.contains("lost: 1 pair"), "{stdout}");
    let (code, stdout, _) = piped(&["plan", "-", "--policy", &file], "ruls: []", &files).await;
    let is_wanted = stdout.starts_with("<stdin>:1:1: ") && stdout.ends_with(" [unknown-key]\n");
    assert!(code == Some(1) && is_wanted, "{stdout}");
    let (code, _, stderr) = piped(&["plan", "-", "--policy", "-"], POLICY, &files).await;
    assert_eq!(code, Some(2));
    assert!(stderr.contains("standard input holds one policy only"), "{stderr}");
}

/// Of a device no more is read than shows that it is too much. A pipe is for whoever
/// names it, and not for a folder that is read by itself.
#[tokio::test]
async fn what_is_no_file_has_an_end() {
    let output = run(&["check", "/dev/zero"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("/dev/zero: the text has more than 268435456 bytes; "), "{said}");
    let files = Files::new();
    let file = files.write("policy.yaml", POLICY);
    std::fs::create_dir(files.path("tests")).unwrap();
    files.pipe("tests/a.yaml");
    let said = cannot_run(&["check", &file, "--tests", &files.name("tests")]).await;
    assert!(said.contains("a.yaml`: the path is not a regular file"), "{said}");
}

/// Neither a reader who goes away nor a full disk is a panic.
#[tokio::test]
async fn a_result_that_cannot_be_written() {
    let files = Files::new();
    let file = files.write("policy.yaml", PROBLEMS);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    for (stdout, code) in
        [(Stdio::from(writer), 1), (std::fs::File::create("/dev/full").unwrap().into(), 2)]
    {
        let mut command = program(&["check", &file]);
        command.stdout(stdout).stderr(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output();
        let output = within("`check` ends", output).await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
    }
}
