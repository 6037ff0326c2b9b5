//! `check` with warnings, tests and homeservers, and `schema`: what they print, and
//! their exit codes.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

const POLICY: &str = "\
groups:
  staff: { members_file: staff.txt }
rules:
  - name: staff see each other
    allow: { within: staff }
  - name: joe sees nobody
    deny: { from: [], to: '@joe:example.org' }
";

/// A folder with a policy, a members file, and these files of tests.
fn folder(tests: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |file: &str, text: &str| {
        std::fs::write(folder.path().join(file), text).expect("written");
    };
    write("policy.yaml", POLICY);
    write("staff.txt", "@ann:example.org\n@joe:example.org\n");
    std::fs::create_dir(folder.path().join("tests")).expect("a folder");
    tests.iter().for_each(|(file, text)| write(&format!("tests/{file}"), text));
    folder
}

/// Exit code, standard output and standard error.
fn check(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    run(Command::new(env!("CARGO_BIN_EXE_presence-router"))
        .current_dir(folder)
        .arg("check")
        .args(arguments))
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().expect("run");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn prints_warnings_and_a_summary() {
    let never = "policy.yaml:6:5: warning: rule `joe sees nobody` can never match: `from` contains nobody; correct the set, or remove the rule [rule-never-matches]\n";
    let summary =
        "policy.yaml: valid: 2 rules, 1 group, 2 users listed on 1 server: example.org (2)\n";
    let (code, out, err) = check(folder(&[]).path(), &["policy.yaml"]);
    assert_eq!((code, out, err.as_str()), (Some(0), format!("{never}{summary}"), ""));

    // An empty `from` is nothing that Synapse would have to enforce.
    let (code, out, _) = check(folder(&[]).path(), &["policy.yaml", "--for", "synapse"]);
    assert_eq!((code, out), (Some(0), format!("{never}{summary}")));
}

#[test]
fn says_what_synapse_does_instead() {
    let folder = folder(&[]);
    let policy = "rules: [{ name: x, deny: { from: everyone, to: everyone } }]\n";
    std::fs::write(folder.path().join("policy.yaml"), policy).expect("written");
    let (code, out, _) = check(folder.path(), &["policy.yaml", "--for", "synapse"]);
    assert_eq!(code, Some(0));
    let begins =
        "policy.yaml:1:9: warning: Synapse enforces deny rule `x` in part: on the local `/sync`, ";
    assert!(out.starts_with(begins), "{out}");
    // If the policy alone decides, a deny holds everywhere.
    let (code, out, _) = check(folder.path(), &["policy.yaml", "--for", "synapse-exact"]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with("policy.yaml: valid"), "{out}");
    let (code, _, err) = check(folder.path(), &["policy.yaml", "--for", "dendrite"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("possible values: synapse, synapse-exact"), "{err}");
}

#[test]
fn runs_the_tests_of_a_folder() {
    let one = "tests: [{ sender: '@ann:example.org', reaches: '@joe:example.org' }]\n";
    let two = "tests:\n  - { recipient: '@ann:example.org', not: '@joe:example.org' }\n";
    let arguments = ["policy.yaml", "--tests", "tests"];
    let (code, out, _) = check(folder(&[("a.yaml", one), ("b.txt", two)]).path(), &arguments);
    assert_eq!(code, Some(0));
    assert!(out.ends_with("on 1 server: example.org (2); 1 test passed in tests\n"), "{out}");

    let both = folder(&[("a.yaml", one), ("b.yaml", two), ("c.yaml", "test: 1\n")]);
    let (code, out, err) = check(both.path(), &arguments);
    assert_eq!(code, Some(1));
    let want = "\
tests/b.yaml:2:43: test fails: `@ann:example.org` sees `@joe:example.org`: allowed by rule `staff see each other` (line 4 of the policy) [test-failed]
tests/c.yaml:1:1: unknown key `test`; valid here are `tests`; did you mean `tests`? [unknown-key]
tests/c.yaml:1:7: expected a list of tests, found a number [wrong-type]
";
    assert!(out.ends_with(want), "{out}");
    assert_eq!(err, "presence-router: 3 problems\n");

    for (arguments, why) in [
        (&arguments, "there are no tests, `*.yaml` or `*.yml`, in `tests`"),
        (&["policy.yaml", "--tests", "nowhere"], "cannot read the tests `nowhere`: "),
    ] {
        let (code, _, err) = check(folder(&[]).path(), arguments);
        assert_eq!(code, Some(2));
        assert!(err.contains(why), "{err}");
    }
}

/// Tests that nobody runs would pass for tests that pass; what an editor leaves beside
/// a file is none of them.
#[test]
fn runs_the_tests_of_both_endings_and_of_no_hidden_file() {
    let wrong = "tests: [{ sender: '@ann:example.org', not: '@joe:example.org' }]\n";
    let folder = folder(&[("a.yml", wrong), ("b.yaml", ""), (".c.yaml", "no")]);
    std::os::unix::fs::symlink("ann@host.1", folder.path().join("tests/.#a.yaml")).unwrap();
    let (code, out, err) = check(folder.path(), &["policy.yaml", "--tests", "tests"]);
    assert_eq!(code, Some(1));
    let lines: Vec<_> = out.lines().collect();
    assert!(lines[0].starts_with("tests/a.yml:1:44: test fails: "), "{out}");
    assert_eq!(
        lines[1],
        "tests/b.yaml: the file of tests is empty; write `tests: []` for a file without tests [empty-file]"
    );
    assert_eq!(err, "presence-router: 2 problems\n");
}

/// The object that `check --json` prints, the exit code and standard error.
fn check_json(folder: &Path, arguments: &[&str]) -> (Option<i32>, Value, String) {
    let (code, out, err) = check(folder, &[arguments, &["--json"]].concat());
    (code, serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}")), err)
}

#[test]
fn prints_json_for_programs() {
    let finding = |file: &str, [line, column]: [u64; 2], code: &str, [message, help]: [&str; 2]| {
        let mut finding = json!({ "file": file, "line": line, "column": column, "code": code });
        finding["message"] = message.into();
        finding["help"] = help.into();
        finding
    };
    let (code, found, err) = check_json(folder(&[]).path(), &["policy.yaml"]);
    let texts = [
        "rule `joe sees nobody` can never match: `from` contains nobody",
        "correct the set, or remove the rule",
    ];
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(
        found,
        json!({
            "problems": [],
            "warnings": [finding("policy.yaml", [6, 5], "rule-never-matches", texts)],
            "summary": "valid: 2 rules, 1 group, 2 users listed on 1 server: example.org (2)",
        })
    );

    // Of a members file, and of a file of tests.
    let wrong = folder(&[("a.yaml", "")]);
    let (code, found, err) = check_json(wrong.path(), &["policy.yaml", "--tests", "tests"]);
    assert_eq!((code, err.as_str()), (Some(1), "presence-router: 1 problem\n"));
    let texts = ["the file of tests is empty", "write `tests: []` for a file without tests"];
    let problem = finding("tests/a.yaml", [0, 0], "empty-file", texts);
    assert_eq!(found, json!({ "problems": [problem], "warnings": [], "summary": null }));
    std::fs::write(wrong.path().join("staff.txt"), "ann\n").expect("written");
    let (code, found, _) = check_json(wrong.path(), &["policy.yaml"]);
    assert_eq!(code, Some(1));
    let problem = &found["problems"][0];
    assert_eq!([&problem["file"], &problem["code"]], ["staff.txt", "not-a-user-id"]);
    assert_eq!([&problem["line"], &problem["column"]], [1, 1]);
}

/// The page's example of `check --json`.
#[test]
fn prints_the_json_of_the_page() {
    let page = include_str!("../docs/problems.md");
    let (_, rest) =
        page.split_once("$ presence-router check policy.yaml --json\n").expect("it is there");
    let (want, _) = rest.split_once("```").expect("a fence that ends");
    let folder = folder(&[]);
    let policy = "rules:\n  - deny: { from: [], to: [] }\n";
    std::fs::write(folder.path().join("policy.yaml"), policy).expect("written");
    assert_eq!(check(folder.path(), &["policy.yaml", "--json"]).1, want);
}

#[test]
fn prints_the_schema() {
    let schema = include_str!("../engine/policies/policy.schema.json");
    let printed = run(Command::new(env!("CARGO_BIN_EXE_presence-router")).arg("schema"));
    assert_eq!(printed, (Some(0), schema.to_owned(), String::new()));
}
