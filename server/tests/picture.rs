//! `graph`: pictures of who sees whom, and words that would break them.

use crate::harness::{Files, cannot_run, run};

const POLICY: &str = r##"
groups:
  'a "quoted" #one': ["@ann:a.org", "@joe:a.org", "@sue:a.org"]
  board: ["@sue:a.org"]
rules:
  - { name: within, allow: { within: '*' } }
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
  s0 -> s0 [label="4"];
  s1 -> s2 [label="open"];
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
  s0 -->|"4"| s0
  s1 -->|"open"| s2
"##
    );
    let one = drawn(&["graph", &policy, "--arrows", "1"]).await;
    assert!(one.contains("1 arrow of fewer pairs is left out") && !one.contains("b.org"), "{one}");
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
