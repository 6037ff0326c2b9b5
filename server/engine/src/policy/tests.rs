//! Whole policies: the meaning of each construct, and the cost of a hostile text.

mod codes;
mod compare;
mod explain;
mod given_rooms;
mod help;
mod help_rooms;
mod impact;
mod members;
mod messages;
mod policy_tests;
mod policy_tests_of_sets;
mod policy_tests_with_rooms;
mod positions;
mod recipes;
mod rooms;
mod schema;
mod servers;
mod share_room;
mod switches;
mod verify;
mod warnings;

use std::fmt::Write as _;
use std::io;

use presence_router_ids::{Glob, UserGlob};

use super::problem::{Position, Problem, ProblemCode, ProblemLine, Problems};
use super::{EXAMPLE_POLICY, Files, Policy};
use crate::routing::model::ruleset::{Effect, Fields, Hide, Ids, Product, Rule, Ruleset, Set};

fn ruleset(text: &str) -> Ruleset {
    match Policy::parse("policy.yaml", text.as_bytes()) {
        Ok(policy) => policy.ruleset,
        Err(problems) => panic!("{text}\n{problems}"),
    }
}

/// The problems of a policy.
#[track_caller]
fn problems(text: impl AsRef<[u8]>) -> Problems {
    match Policy::parse("policy.yaml", text.as_ref()) {
        Ok(policy) => panic!("{}\n{:?}", String::from_utf8_lossy(text.as_ref()), policy.ruleset),
        Err(problems) => problems,
    }
}

/// Compares the problems of a policy as [`assert_codes`] does.
#[track_caller]
fn assert_problems(text: impl AsRef<[u8]>, want: &str) {
    let found = problems(&text);
    assert_codes(&found.list, want, &String::from_utf8_lossy(text.as_ref()));
}

/// Compares problems, in their order, with lines such as `3:5 unknown-key alow`: a
/// position, a code, and names that the message has in backticks. The name of a file
/// begins the line, as in `staff.txt:2:1 not-a-user-id`, if it is not the policy.
#[track_caller]
fn assert_codes(found: &[Problem], want: &str, context: &str) {
    let shown: Vec<_> = found.iter().map(|problem| problem.display_line("policy.yaml")).collect();
    let is_wanted = |(problem, want): (&Problem, &str)| {
        let mut words = want.split(' ');
        let Position { line, column } = problem.position;
        let file = problem.file.iter().map(|file| format!("{file}:")).collect::<String>();
        words.next() == Some(&format!("{file}{line}:{column}"))
            && words.next() == Some(problem.code.as_str())
            && words.all(|name| problem.message.contains(&format!("`{name}`")))
    };
    assert!(
        found.len() == want.lines().count() && found.iter().zip(want.lines()).all(is_wanted),
        "{context}\nfound: {shown:#?}\nwanted: {want}"
    );
}

/// The problems as lines without their codes, for tests of the wording itself.
fn messages(problems: &Problems) -> String {
    let lines = problems.list.iter().map(|problem| {
        ProblemLine { code: "", ..problem.display_line(&problems.file) }.to_string()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A policy with a set at line 2, column 6.
fn group(set: &str) -> String {
    format!("groups:\n  a: {set}\nrules: []\n")
}

#[test]
fn bounds_how_deep_sets_stand_inside_each_other() {
    let all_of = |depth: usize| {
        group(&format!("{}everyone{}", "{ all_of: [".repeat(depth - 1), "] }".repeat(depth - 1)))
    };
    ruleset(&all_of(32));
    let found = problems(all_of(33));
    assert_eq!(found.list[0].code, ProblemCode::TooDeep, "{found}");
}

#[test]
fn a_hostile_text_costs_little() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let uses = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{uses}]").unwrap();
    }
    let blocks: String = (0..1000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    let deep = ProblemCode::TooDeep;
    for (text, want) in [
        (bomb, ProblemCode::TooLarge),
        ("[".repeat(1 << 20), deep),
        ("{a: ".repeat(1 << 18), deep),
        ("- ".repeat(1 << 19), deep),
        ("? ".repeat(1 << 19), deep),
        (blocks, deep),
        ("---\na\n".repeat(1 << 16), ProblemCode::SecondDocument),
    ] {
        let found = problems(&text);
        assert_eq!(found.list.len(), 1, "{found}");
        assert_eq!(found.list[0].code, want, "{found}");
        assert!(found.list[0].position.line > 0, "{found}");
    }
}

#[test]
fn many_wrong_names_cost_little() {
    let mut text = "groups:\n".to_owned();
    for i in 0..5000 {
        writeln!(text, "  group-{i}: {{ group: group-{i}x }}").unwrap();
    }
    text.push_str("rules: []\n");
    assert_eq!(problems(&text).list.len(), 5000);
}

#[test]
fn reads_a_hundred_thousand_users() {
    let mut text = "groups:\n  all:\n".to_owned();
    for i in 0..100_000 {
        writeln!(text, "    - \"@user-{i}:example.org\"").unwrap();
    }
    text.push_str("rules: []\n");
    let Set::Users(users) = &ruleset(&text).groups[0] else { panic!("not a list of users") };
    assert_eq!(users.len(), 100_000);
}

#[test]
fn follows_a_long_chain_of_groups() {
    let mut text = "groups:\n".to_owned();
    for i in 0..10_000 {
        writeln!(text, "  g{i}: {{ group: g{} }}", i + 1).unwrap();
    }
    text.push_str("  g10000: everyone\nrules: []\n");
    let ruleset = ruleset(&text);
    assert_eq!(ruleset.groups.len(), 10_001);
    assert_eq!(ruleset.groups[0], Set::Everyone);
    assert!((1..10_001).all(|number| ruleset.groups[number] == Set::Group(number - 1)));
}

#[test]
fn makes_a_ruleset_of_every_construct() {
    let ruleset = ruleset(
        r#"
groups:
  team/b: [{ group: team/a }, "@ann:example.org", everyone, "@joe:example.org"]
  team/a: { server: [a.example, "*.a.example"] }
  bots: { match: "@*-bot:example.org" }
  mixed: { all_of: [{ any: "@ann:example.org", except: { group: bots } }, []] }
rules:
  - name: teams
    allow: { within: "team/*" }
  - name: bots
    shadow: true
    deny: { from: everyone, to: { group: bots } }
  - name: bots know no text
    shadow: false
    hide:
      from: everyone
      to: { group: bots }
      fields: [status_msg, presence]
      unless: { presence: [online, busy, "org.example.away"] }
"#,
    );
    let users = |ids: &[&str]| Set::Users(Ids::new(ids.iter().copied()).unwrap());
    let within = |group| Product { senders: Set::Group(group), recipients: Set::Group(group) };
    let server = |glob: &str| Set::Server(Glob::new(glob));
    let everyone_to_bots = Product { senders: Set::Everyone, recipients: Set::Group(2) };
    let fields = Fields { presence: true, status_msg: true, ..Fields::default() };
    let unless = ["busy", "online", "org.example.away"].map(Into::into).into();
    let hide = Hide { fields, unless };
    let want = Ruleset {
        groups: vec![
            Set::Union(vec![server("a.example"), server("*.a.example")]),
            Set::Union(vec![
                users(&["@ann:example.org", "@joe:example.org"]),
                Set::Group(0),
                Set::Everyone,
            ]),
            Set::Match(UserGlob::parse("@*-bot:example.org").unwrap()),
            Set::Intersection(vec![
                Set::Difference(Box::new(users(&["@ann:example.org"])), Box::new(Set::Group(2))),
                Set::Union(vec![]),
            ]),
        ],
        rules: vec![
            Rule {
                effect: Effect::Allow,
                shadow: false,
                products: vec![within(1), within(0)],
                relation: None,
            },
            Rule {
                effect: Effect::Deny,
                shadow: true,
                products: vec![everyone_to_bots.clone()],
                relation: None,
            },
            Rule {
                effect: Effect::Hide(hide),
                shadow: false,
                products: vec![everyone_to_bots],
                relation: None,
            },
        ],
    };
    assert_eq!(ruleset, want);
}

#[test]
fn an_alias_is_what_it_stands_for() {
    let ruleset = ruleset("groups:\n  a: &a [everyone, []]\n  b: *a\nrules: []\n");
    assert_eq!(ruleset.groups[0], ruleset.groups[1]);
}

#[test]
fn the_example_is_valid() {
    ruleset(EXAMPLE_POLICY);
}

/// A page of the repository. The package of the crate does not contain it.
fn page(path: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The contents of a page's YAML fences.
fn examples(page: &str) -> Vec<&str> {
    let fences = page.split("```yaml\n").skip(1);
    fences.map(|rest| rest.split_once("```").expect("a fence that ends").0).collect()
}

#[test]
fn the_policy_of_the_readme_is_valid() {
    let page = page("../../README.md");
    let (_, rest) = page.split_once("cat > policy.yaml <<'EOF'\n").expect("a policy to paste");
    ruleset(rest.split_once("EOF\n").expect("it ends").0);
}

#[test]
fn every_example_of_the_reference_is_valid() {
    let pages = ["../docs/policy.md", "../docs/cli.md"].map(page);
    let examples = pages.iter().flat_map(|page| examples(page)).collect::<Vec<_>>();
    assert_eq!(examples.len(), 18, "those that are there");
    for example in examples {
        if let Err(problems) = Policy::load("policy.yaml", example.as_bytes(), &Export) {
            panic!("{example}\n{problems}");
        }
    }
}

/// The members file of the reference.
struct Export;

impl Files for Export {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        if name != "groups/staff.txt" {
            return Err(io::Error::other("there is no such file"));
        }
        let page = page("../docs/policy.md");
        let (_, rest) = page.split_once("```text\n").expect("the file is shown");
        Ok(rest.split_once("```").expect("a fence that ends").0.into())
    }
}

#[test]
fn a_text_cut_anywhere_is_answered_in_plain_lines() {
    let text = EXAMPLE_POLICY;
    for end in (0..text.len()).step_by(7) {
        let cut = text.get(..end).expect("it is ASCII");
        let Err(found) = Policy::parse("policy.yaml", cut.as_bytes()) else { continue };
        for problem in &found.list {
            let texts = [&problem.message, &problem.help];
            assert!(!texts.iter().any(|text| text.contains(char::is_control)), "{found}");
        }
    }
}
