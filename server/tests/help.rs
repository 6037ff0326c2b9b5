//! Exit codes and addresses in `--help`.

use crate::harness::run;

/// Each verb, and the codes that it has.
const CODES: &[(&str, &[u8])] = &[
    ("serve", &[0, 1, 2]),
    ("check", &[0, 1, 2]),
    ("explain", &[0, 1, 2]),
    ("verify", &[0, 1, 2]),
    ("plan", &[0, 1, 2]),
    ("graph", &[0, 2]),
    ("show", &[0, 2]),
    ("reload", &[0, 1, 2]),
    ("schema", &[0, 2]),
    ("sample", &[0, 2]),
    #[cfg(feature = "conformance")]
    ("conformance", &[0, 1, 2]),
];

async fn help(args: &[&str]) -> String {
    let output = run(&[args, &["--help"]].concat()).await;
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn each_verb_has_its_own_exit_codes_and_no_others() {
    let all = help(&[]).await;
    for &(verb, codes) in CODES {
        assert!(all.contains(&format!("\n  {verb} ")), "{verb}");
        let text = help(&[verb]).await;
        let (_, section) = text.split_once("\nExit codes:\n").expect(verb);
        let found: Vec<u8> = section
            .lines()
            .filter_map(|line| line.strip_prefix("  ")?.split_once("  ")?.0.parse().ok())
            .collect();
        assert_eq!(found, codes, "{text}");
        for &(other, _) in CODES {
            assert!(!section.contains(&format!("`{other}`")), "{verb}: {section}");
        }
    }
    // Nobody can add a verb and forget it here.
    let listed = all.split_once("\nCommands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    assert_eq!(listed.lines().count(), CODES.len() + 1, "with `help`");
}

#[cfg(not(feature = "conformance"))]
#[tokio::test]
async fn a_command_that_is_not_in_this_build_says_so() {
    let why = crate::harness::cannot_run(&["conformance", "--addr", "127.0.0.1:9470"]).await;
    assert!(why.contains("`conformance` is not in this build"), "{why}");
}

#[tokio::test]
async fn the_program_itself_has_those_of_a_daemon() {
    let text = help(&[]).await;
    let (_, section) = text.split_once("\nExit codes:\n").unwrap();
    assert!(section.contains("shut down in order") && section.contains("COMMAND --help"), "{text}");
    assert!(!section.contains("`check`"), "{text}");
}

#[tokio::test]
async fn explain_describes_a_verdict_that_depends_on_rooms_alike() {
    let text = help(&["explain"]).await.split_whitespace().collect::<Vec<_>>().join(" ");
    let (flags, codes) = text.split_once(" Exit codes: ").expect("both");
    assert!(flags.contains("1 for not visible or if this depends on shared rooms"), "{text}");
    assert!(codes.contains("not visible to the recipient, or this depends on shared rooms"));
}

#[tokio::test]
async fn verbs_that_ask_say_where_they_look_in_order() {
    for verb in ["explain", "verify", "plan", "show", "reload"] {
        let text = help(&[verb]).await.split_whitespace().collect::<Vec<_>>().join(" ");
        let places = ["PRESENCE_ROUTER_ADDR", "/tmp/presence-router.sock", "127.0.0.1:9470"];
        assert!(in_order(&text, &places), "{text}");
    }
}

#[test]
fn the_pages_name_the_same_order() {
    let places =
        ["`--addr`", "PRESENCE_ROUTER_ADDR", "/tmp/presence-router.sock", "127.0.0.1:9470"];
    for (page, from, to) in [
        (include_str!("../docs/cli.md"), "\n## Which daemon a command asks\n", "```yaml"),
        (include_str!("../../README.md"), "\n`explain`, `verify` and `plan` ask", "\n\n"),
    ] {
        let (_, rest) = page.split_once(from).expect(from);
        let (section, _) = rest.split_once(to).expect(to);
        assert!(in_order(section, &places), "{section}");
    }
}

/// True if a text holds all of these, one after another.
fn in_order(text: &str, words: &[&str]) -> bool {
    let mut rest = text;
    words.iter().all(|word| match rest.split_once(word) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}
