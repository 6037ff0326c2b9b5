//! What `--help` says of addresses.

use crate::harness::run;

async fn help(args: &[&str]) -> String {
    let output = run(&[args, &["--help"]].concat()).await;
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
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
        (include_str!("../docs/policy.md"), "\n## Seeing what it does\n", "```yaml"),
        (include_str!("../../README.md"), "\n`explain`, `verify` and `plan` ask", "\n\n"),
    ] {
        let (_, rest) = page.split_once(from).expect(from);
        let (section, _) = rest.split_once(to).expect(to);
        assert!(in_order(section, &places), "{section}");
    }
}

/// Whether all of these are in a text, one after another.
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
