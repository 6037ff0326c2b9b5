//! `plan`: against a daemon and between two files, with rules in shadow, and what
//! is said when it cannot.

use serde_json::{Value, json};

use crate::harness::{Daemon, Files, cannot_run, program, run, within};

const NOW: &str = "
groups: { staff: ['@ann:a.org', '@joe:a.org'] }
rules:
  - { name: staff, allow: { within: staff } }
  - { name: try out, shadow: true, allow: { from: '@ann:a.org', to: '@eve:b.org' } }
rooms:
  - { name: gone, deny: { message: no } }
  - { name: hint, add: [{ type: org.hint, content: { share: yes } }] }
";
const THEN: &str = "
groups: { staff: ['@ann:a.org', '@joe:a.org', '@sue:a.org'] }
rules:
  - { name: staff, allow: { within: staff } }
rooms:
  - { name: hint, add: [{ type: org.hint, content: { share: no } }] }
  - { name: new, deny: { message: no } }
";

fn parsed(printed: &str) -> Value {
    serde_json::from_str(printed).unwrap()
}

#[tokio::test]
async fn a_daemon_and_two_files_tell_the_same() {
    let files = Files::new();
    files.write("now.yaml", NOW);
    files.write("then.yaml", THEN);
    let mut serve = program(&["serve", "--listen-tcp", "127.0.0.1:0", "--policy", "now.yaml"]);
    let daemon = Daemon::spawn(serve.current_dir(files.dir())).await;
    let address = daemon.address();
    let printed = async |args: &[&str]| {
        let output = program(args).current_dir(files.dir()).output();
        let output = within("plan", output).await.unwrap();
        assert!(output.status.success(), "{output:?}");
        parsed(&String::from_utf8(output.stdout).unwrap())
    };
    let plan = ["plan", "then.yaml", "--json"];
    let mut told = printed(&[&plan[..], &["--addr", &address]].concat()).await;
    let files_told = printed(&[&plan[..], &["--policy", "now.yaml"]].concat()).await;
    assert!(told["revision"].as_str().unwrap().ends_with(":1"), "{told}");
    told["revision"] = Value::Null;
    assert_eq!(told, files_told);
    assert_eq!(told["gained"]["pairs"]["listed"], 4, "sue and each of the two, both ways");
    assert_eq!(told["lost"]["pairs"]["listed"], 0);
    assert_eq!(told["rules"][0]["name"], "staff");
    assert_eq!(told["rules"][0]["gained"]["listed"], 4);

    let rule = |name: &str, change: &str, line: Option<u64>, active_line: Option<u64>| json!({ "name": name, "change": change, "line": line, "active_line": active_line });
    let rooms = [
        rule("gone", "removed", None, Some(7)),
        rule("hint", "changed", Some(6), Some(8)),
        rule("new", "added", Some(7), None),
    ];
    assert_eq!(told["rooms"], Value::from(rooms.to_vec()));

    let live = ["plan", "--live-rule", "try out", "--json"];
    for subject in [["--addr", &address], ["--policy", "now.yaml"]] {
        let told = printed(&[&live[..], &subject].concat()).await;
        assert_eq!(told["gained"]["pairs"]["listed"], 1);
        assert_eq!(told["gained"]["samples"][0]["recipient"], "@eve:b.org");
        assert_eq!(told["gained"]["destinations"][0], "b.org");
        assert_eq!(told["rooms"], Value::Array(Vec::new()));
    }
}

/// The accident that `plan` is for: most users are lost.
#[tokio::test]
async fn a_candidate_that_loses_most_users_is_told_exactly() {
    const MANY: u64 = 10_003;
    let many: String = (0..MANY).map(|user| format!("'@u{user}:a.org', ")).collect();
    let rules = "rules: [{ name: groups, allow: { within: '*' } }]";
    let two = "two: ['@ann:b.org', '@joe:b.org']";
    let files = Files::new();
    files.write("now.yaml", format!("groups: {{ {two}, many: [{many}] }}\n{rules}"));
    files.write("dropped.yaml", format!("groups: {{ {two} }}\n{rules}"));
    files.write("emptied.yaml", format!("groups: {{ {two}, many: [] }}\n{rules}"));
    let mut serve = program(&["serve", "--listen-tcp", "127.0.0.1:0", "--policy", "now.yaml"]);
    let daemon = Daemon::spawn(serve.current_dir(files.dir())).await;
    let address = daemon.address();
    for candidate in ["dropped.yaml", "emptied.yaml"] {
        for subject in [["--addr", &address], ["--policy", "now.yaml"]] {
            let args = [&["plan", candidate, "--json"][..], &subject].concat();
            let output = program(&args).current_dir(files.dir()).output();
            let output = within("plan", output).await.unwrap();
            assert!(output.status.success(), "{candidate} {subject:?}: {output:?}");
            let told = parsed(&String::from_utf8(output.stdout).unwrap());
            let exactly = |listed: u64| {
                json!({
                    "listed": listed,
                    "open": false,
                    "upper_bound": false,
                    "depends_on_rooms": false,
                })
            };
            assert_eq!(told["lost"]["pairs"], exactly(MANY * (MANY - 1)));
            assert_eq!(
                (&told["lost"]["senders"], &told["lost"]["recipients"]),
                (&json!(MANY), &json!(MANY))
            );
            assert_eq!(told["lost"]["destinations"], json!(["a.org"]));
            assert_eq!(told["gained"]["pairs"], exactly(0));
            assert_eq!(told["rules"][0]["lost"], exactly(MANY * (MANY - 1)));
        }
    }
}

/// By a daemon and by files; with another text that says the same, too.
#[tokio::test]
async fn an_equal_policy_makes_no_difference() {
    let files = Files::new();
    let now = files.write("now.yaml", NOW);
    let then = files.write("then.yaml", format!("# reviewed\n{NOW}"));
    let tested = format!("{NOW}tests: [{{ sender: '@ann:a.org', reaches: '@joe:a.org' }}]");
    let tested = files.write("tested.yaml", tested);
    let daemon = Daemon::start(&["--policy", &now]).await;
    let address = daemon.address();
    for subject in [["--addr", &address], ["--policy", &now]] {
        for (candidate, want) in
            [(&then, "no difference\n"), (&tested, "no difference; 1 test passed\n")]
        {
            let output = run(&[&["plan", candidate][..], &subject].concat()).await;
            assert!(output.status.success(), "{output:?}");
            assert_eq!(String::from_utf8(output.stdout).unwrap(), want);
        }
    }
}

#[tokio::test]
async fn what_a_rule_would_hide_is_told() {
    let files = Files::new();
    let policy = r#"
groups: { staff: ["@ann:a.org", "@joe:a.org"], guests: ["@eve:b.org"] }
rules:
  - { name: all, allow: { from: { group: staff }, to: { any: everyone, except: { server: c.org } } } }
  - name: guests see no status
    shadow: true
    hide: { from: everyone, to: { group: guests }, fields: [status_msg] }
"#;
    let policy = files.write("policy.yaml", policy);
    let live = ["plan", "--policy", &policy, "--live-rule", "guests see no status"];
    let output = run(&live).await;
    let said = String::from_utf8(output.stdout).unwrap();
    let want = "\
gained: 0 pairs
lost: 0 pairs
hide rule `guests see no status`: begins to hide for 2 pairs; stops hiding for 0 pairs
  begins to hide: sender @ann:a.org, recipient @eve:b.org
  begins to hide: sender @joe:a.org, recipient @eve:b.org
";
    assert!(said.ends_with(want), "{said}");
    let output = run(&[&live[..], &["--json", "--samples", "1"]].concat()).await;
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let [begins, ends] = ["begins", "ends"].map(|key| &told["hides"][0][key]["listed"]);
    assert_eq!((begins, ends), (&Value::from(2), &Value::from(0)));
    assert_eq!(told["hides"][0]["begins_samples"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn numbers_that_depend_on_shared_rooms_are_bounds() {
    let files = Files::new();
    let policy = "
groups: { staff: ['@ann:a.org', '@joe:a.org'] }
rules:
  - { name: staff, allow: { within: staff } }
  - name: small rooms
    shadow: true
    allow: { from: { group: staff }, to: '@eve:b.org', share_room: { at_most: 50 } }
";
    let policy = files.write("policy.yaml", policy);
    let live = ["plan", "--policy", &policy, "--live-rule", "small rooms"];
    let output = run(&live).await;
    let said = String::from_utf8(output.stdout).unwrap();
    let want = "\
gained: at most 2 pairs (2 listed senders, 1 listed recipient; recipients on b.org; depends on shared rooms)
lost: 0 pairs
rule `small rooms`: gained at most 2 pairs (depends on shared rooms); lost 0 pairs
";
    assert!(said.ends_with(want), "{said}");
    let output = run(&[&live[..], &["--json"]].concat()).await;
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let bound =
        json!({ "listed": 2, "open": false, "upper_bound": true, "depends_on_rooms": true });
    assert_eq!(told["gained"]["pairs"], bound);
    assert_eq!(told["gained"]["samples"], json!([]));
    assert_eq!(told["rules"][0]["gained"], bound);
}

#[tokio::test]
async fn rules_about_rooms_are_told_to_people() {
    let files = Files::new();
    let (now, then) = (files.write("now.yaml", NOW), files.write("then.yaml", THEN));
    let output = run(&["plan", &then, "--policy", &now]).await;
    let said = String::from_utf8(output.stdout).unwrap();
    let want = "\
room rule `gone`: removed; it was in line 7
room rule `hint`: changed in line 6
room rule `new`: added in line 7
";
    assert!(said.ends_with(want), "{said}");
}

/// A pair of one user is none: who is on both sides of a rule is not counted for that.
#[tokio::test]
async fn nobody_is_touched_by_their_own_presence() {
    let files = Files::new();
    let now = files.write("now.yaml", "rules: []");
    let then =
        "rules: [{ name: x, allow: { from: \"@a\\e:a.org\", to: [\"@a\\e:a.org\", '@b:b.org'] } }]";
    let output = run(&["plan", &files.write("then.yaml", then), "--policy", &now]).await;
    let said = String::from_utf8(output.stdout).unwrap();
    let want = "\
gained: 1 pair (1 listed sender, 1 listed recipient; recipients on b.org)
  sender \"@a\\u001b:a.org\", recipient @b:b.org
";
    assert!(said.contains(want), "{said}");
}

/// An id that is copied from the output names the same user, to `explain` and in a
/// policy, be there backslashes in it or what cannot be printed.
#[tokio::test]
async fn a_copied_id_names_the_same_user() {
    let files = Files::new();
    let now = files.write("now.yaml", "rules: []");
    let policy =
        |user: &str| format!("rules: [{{ name: x, allow: {{ from: {user}, to: '@z:b.org' }} }}]");
    for (written, shown, id) in [
        ("'@a\\u{41}:a.org'", "@a\\u{41}:a.org", "@a\\u{41}:a.org"),
        ("'@a\\\\b:a.org'", "@a\\\\b:a.org", "@a\\\\b:a.org"),
        ("\"@\\e\\\"\\\\\\n:a.org\"", "\"@\\u001b\\\"\\\\\\n:a.org\"", "@\u{1b}\"\\\n:a.org"),
        ("\"@\\U000e0001:a.org\"", "\"@\\U000e0001:a.org\"", "@\u{e0001}:a.org"),
        ("'@\"e\u{301}\u{900}:a.org'", "@\"e\u{301}\u{900}:a.org", "@\"e\u{301}\u{900}:a.org"),
    ] {
        let then = files.write("then.yaml", policy(written));
        let output = run(&["plan", &then, "--policy", &now]).await;
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(&format!("\n  sender {shown}, recipient @z:b.org\n")), "{said}");

        let output = run(&["explain", shown, "@z:b.org", "--policy", &then, "--json"]).await;
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&told["visible"], &told["sender"]), (&json!(true), &json!(id)));
        if shown.starts_with('"') {
            files.write("then.yaml", policy(shown));
            let output = run(&["explain", shown, "@z:b.org", "--policy", &then]).await;
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(said.starts_with(&format!("{shown} is visible to @z:b.org")), "{said}");
        }
    }
    let said = cannot_run(&["explain", "\"@a:b", "@z:b.org", "--policy", &now]).await;
    assert!(said.contains("is not a user id: the first character is not `@`"), "{said}");
}

/// A rule that is open on both its sides is told as a whole only as far as its pairs
/// turn: nobody gains by a deny that goes with all that was allowed, and nobody loses
/// what another rule denied.
#[tokio::test]
async fn open_rules_are_told_as_far_as_their_pairs_turn() {
    let files = Files::new();
    let now = files.write(
        "now.yaml",
        "rules:
  - { name: denied, deny: { from: { server: b.org }, to: everyone } }
  - { name: nobody from c, deny: { from: { server: c.org }, to: everyone } }
  - { name: allowed, allow: { from: [{ server: b.org }, '@x:b.org'], to: { server: a.org } } }
",
    );
    let then = files.write(
        "then.yaml",
        "rules: [{ name: nobody from c, deny: { from: { server: c.org }, to: everyone } }]",
    );
    let output = run(&["plan", &then, "--policy", &now]).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.ends_with("\ngained: 0 pairs\nlost: 0 pairs\n"), "{said}");
}

#[tokio::test]
async fn what_cannot_be_planned_is_said() {
    let files = Files::new();
    let now = files.write("now.yaml", NOW);
    let bad = files.write("bad.yaml", "rules: [{ name: x, alow: {} }]");
    let output = run(&["plan", &bad, "--policy", &now]).await;
    let (code, out) = (output.status.code(), String::from_utf8(output.stdout).unwrap());
    assert_eq!(code, Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "presence-router: 2 problems\n");
    assert!(out.contains("bad.yaml:1:20:") && out.contains("did you mean `allow`?"), "{out}");
    for (args, why) in [
        (vec!["plan", "--live-rule", "staff", "--policy", &now], "has no shadow rule `staff`"),
        (vec!["plan", "missing.yaml", "--policy", &now], "cannot read the policy `missing.yaml`"),
        (vec!["plan", &now, "--policy", "missing.yaml"], "cannot read the policy `missing.yaml`"),
        (vec!["plan", &now, "--addr", "unix:/nowhere/at/all"], "cannot reach a daemon"),
    ] {
        let said = cannot_run(&args).await;
        assert!(said.contains(why), "{said}");
    }
}
