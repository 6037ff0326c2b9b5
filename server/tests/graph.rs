//! `graph`: pictures of who sees whom, and words that would break them.

use crate::harness::{Files, cannot_run, run};

const POLICY: &str = r##"
groups:
  'a "quoted" #one': ["@ann:a.org", "@joe:a.org", "@sue:a.org"]
  board: ["@sue:a.org"]
rules:
  - { name: within, allow: { within: 'a*' } }
  - { name: to partners, allow: { from: { group: board }, to: { server: 'b.org' } } }
  - { name: private, deny: { from: { group: board }, to: { any: everyone, except: { server: 'b.org' } } } }
  - { name: shadow, shadow: true, allow: { from: everyone, to: everyone } }
"##;

async fn drawn(args: &[&str]) -> String {
    let output = run(args).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn both_languages_say_the_same() {
    let files = Files::new();
    let policy = files.write("policy.yaml", POLICY);
    // Three users make six pairs; sue is seen by neither of the others.
    let dot = drawn(&["graph", &policy]).await;
    assert_eq!(
        dot,
        r##"digraph presence {
  rankdir=LR;
  node [shape=box];
  s0 [label="a \"quoted\" #one"];
  s1 [label="board"];
  s2 [label="b.org"];
  s1 -> s2 [label="open"];
  s0 -> s0 [label="4"];
}
"##
    );
    let mermaid = drawn(&["graph", &policy, "--format", "mermaid"]).await;
    assert_eq!(
        mermaid,
        r##"flowchart LR
  s0["a #quot;quoted#quot; #35;one"]
  s1["board"]
  s2["b.org"]
  s1 -->|"open"| s2
  s0 -->|"4"| s0
"##
    );
}

#[tokio::test]
async fn an_arrow_names_the_rooms_that_its_rule_requires() {
    let files = Files::new();
    let policy = "
groups: { team: ['@ann:a.org', '@joe:a.org', '@sue:a.org'], board: ['@sue:a.org', '@eve:b.org'] }
rules:
  - { name: team, allow: { within: team } }
  - { name: small, allow: { within: team, share_room: { at_most: 50 } } }
  - { name: board, allow: { within: board } }
  - { name: all, allow: { share_room: { encrypted: true } } }
  - { name: no room, deny: { from: '@sue:a.org', to: { group: team }, share_room: false } }
";
    let dot = drawn(&["graph", &files.write("policy.yaml", policy)]).await;
    for arrow in [
        "s0 -> s0 [label=\"at most 6\"];",
        "s0 -> s0 [label=\"at most 6 if they share a room of at most 50 members\"];",
        "s1 -> s1 [label=\"2\"];",
        "s2 -> s2 [label=\"at most 12 and open if they share a room that is encrypted\"];",
    ] {
        assert!(dot.contains(arrow), "{arrow}\n{dot}");
    }
}

/// Arrows to unlisted users are drawn, however many arrows there are.
#[tokio::test]
async fn open_arrows_are_never_left_out() {
    let files = Files::new();
    let mut policy = "rules:\n".to_owned();
    for number in 0..150 {
        let members = format!("['@a{number}:a.org', '@b{number}:a.org']");
        policy +=
            &format!("  - {{ name: r{number}, allow: {{ from: {members}, to: {members} }} }}\n");
    }
    policy += "  - { name: open, allow: { from: { server: a.example }, to: { server: '*.b.example' } } }\n";
    policy += "  - { name: listed, allow: { from: '@a1:a.org', to: { server: c.example } } }\n";
    let policy = files.write("policy.yaml", policy);
    for (arrows, drawn_arrows, left_out) in
        [("100", 100, 52), ("3", 3, 149), ("1", 2, 150), ("0", 2, 150)]
    {
        let dot = drawn(&["graph", &policy, "--arrows", arrows]).await;
        assert_eq!(dot.matches(" -> ").count(), drawn_arrows, "{dot}");
        assert_eq!(dot.matches("label=\"open\"").count(), 2, "{dot}");
        assert!(
            dot.contains("label=\"a.example\"") && dot.contains("label=\"c.example\""),
            "{dot}"
        );
        assert!(
            dot.contains(&format!("{left_out} arrows with fewer pairs are not drawn")),
            "{dot}"
        );
    }
}

/// The groups of one `within` are one set, and a pair of two of them counts once.
#[tokio::test]
async fn groups_of_a_glob_are_one_set() {
    let files = Files::new();
    let mut policy = "groups:\n".to_owned();
    for number in 0..40 {
        policy += &format!("  team/{number}: ['@a{number}:a.org', '@b{number}:a.org']\n");
    }
    // Again, with somebody else.
    policy += "  team/more: ['@a0:a.org', '@b0:a.org', '@c0:a.org']\n";
    policy += "  board: ['@a0:a.org', '@a1:a.org']\n";
    policy += "rules:\n  - { name: teams, allow: { within: 'team/*' } }\n";
    policy += "  - { name: all, allow: { within: '*' } }\n";
    policy += "  - { name: board, allow: { within: b* } }\n";
    policy += "  - { name: one, allow: { from: { group: team/1 }, to: { group: board } } }\n";
    policy += "  - { name: less, deny: { from: '@a3:a.org', to: everyone } }\n";
    let dot = drawn(&["graph", &files.write("policy.yaml", policy)]).await;
    assert_eq!(
        dot,
        r#"digraph presence {
  rankdir=LR;
  node [shape=box];
  s0 [label="team/* x41"];
  s1 [label="* x42"];
  s2 [label="board"];
  s3 [label="team/1"];
  s1 -> s1 [label="85"];
  s0 -> s0 [label="83"];
  s3 -> s2 [label="3"];
  s2 -> s2 [label="2"];
}
"#
    );
}

#[tokio::test]
async fn odd_ids_break_no_picture() {
    let files = Files::new();
    let policy = files.write(
        "policy.yaml",
        r#"
rules:
  - { name: x, allow: { from: "@a\nb\e[31m:a.org", to: { match: '@&amp;\n*:a.org' } } }
"#,
    );
    let dot = drawn(&["graph", &policy]).await;
    for label in [r#"[label="\"@a\\nb\\u001b[31m:a.org\""]"#, r#"[label="@&amp;amp;\\n*:a.org"]"#] {
        assert!(dot.contains(label), "{dot}");
    }
    let mermaid = drawn(&["graph", &policy, "--format", "mermaid"]).await;
    for label in
        [r##"["#quot;@a#92;nb#92;u001b[31m:a.org#quot;"]"##, r##"["@#amp;amp;#92;n*:a.org"]"##]
    {
        assert!(mermaid.contains(label), "{mermaid}");
    }
}

#[tokio::test]
async fn what_is_cut_short_stays_apart() {
    let files = Files::new();
    let long = "@somebody-with-a-very-long-name:example.org";
    let policy = format!(
        "groups: {{ everyone: ['@ann:a.org'] }}
rules:
  - {{ name: one, allow: {{ from: '{long}', to: {{ group: everyone }} }} }}
  - {{ name: two, allow: {{ from: ['{long}', '@joe:a.org'], to: everyone }} }}
"
    );
    let dot = drawn(&["graph", &files.write("policy.yaml", policy)]).await;
    assert_eq!(dot.matches("[label=\"everyone\"]").count(), 2, "{dot}");
    assert_eq!(dot.matches("[label=\"@somebody-with-").count(), 2, "{dot}");
}

#[tokio::test]
async fn what_cannot_be_drawn_is_said() {
    let said = cannot_run(&["graph", "/nowhere/policy.yaml"]).await;
    assert!(said.contains("cannot read the policy `/nowhere/policy.yaml`"), "{said}");
}
