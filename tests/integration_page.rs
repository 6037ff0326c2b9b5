//! The page for authors of homeservers: its code is really that of the files it
//! names, and what it links to is there. Its commands are run by `tests/load`.

use std::path::PathBuf;

const PAGE: &str = "server/docs/integration.md";

/// What has no file of its own: commands, and diagrams.
const NO_EXCERPTS: [&str; 2] = ["sh", "mermaid"];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("server/docs")
}

fn page() -> String {
    std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap()
}

/// What links lead to, in their order.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

/// Each fenced block: what stands before it, its language, and its text.
fn blocks(page: &str) -> Vec<(&str, &str, &str)> {
    let parts: Vec<_> = page.split("```").collect();
    assert!(parts.len() % 2 == 1, "every block ends");
    let blocks = parts.chunks_exact(2).map(|pair| {
        let (language, text) = pair[1].split_once('\n').unwrap();
        (pair[0], language, text)
    });
    blocks.collect()
}

#[test]
fn excerpts_are_in_the_files_that_they_name() {
    let page = page();
    let mut excerpts = 0;
    for (before, language, text) in blocks(&page) {
        if NO_EXCERPTS.contains(&language) {
            continue;
        }
        let paragraph = before.trim_end().rsplit("\n\n").next().unwrap();
        let file = links(paragraph).last().unwrap_or_else(|| panic!("no file is named: {text}"));
        let source = std::fs::read_to_string(folder().join(file)).unwrap();
        assert!(source.contains(text), "this is not in {file}:\n{text}");
        excerpts += 1;
    }
    assert!(excerpts >= 4, "the page has its excerpts");
}

#[test]
fn links_lead_somewhere() {
    let page = page();
    let local: Vec<_> = links(&page).filter(|target| !target.starts_with("http")).collect();
    assert!(local.len() > 10);
    for target in local {
        let file = target.split('#').next().unwrap();
        assert!(file.is_empty() || folder().join(file).exists(), "{target}");
    }
}

#[test]
fn push_pull_change_and_failure_have_a_diagram_each() {
    let page = page();
    for section in ["## Push", "## Pull", "## Change", "## Failure"] {
        let (_, rest) = page.split_once(section).unwrap();
        let text = rest.split("\n## ").next().unwrap();
        assert!(text.contains("```mermaid\nsequenceDiagram\n"), "{section}");
    }
}
