//! Arrows point down: `routing` depends on no protocol, database, file or
//! clock, and `policy` only on `routing`.

use std::fs;
use std::path::{Path, PathBuf};

/// The contract crate's globs are part of what a set means, and know no
/// protocol themselves.
const GLOBS: &str = "presence_router_ids";

#[test]
fn routing_is_pure() {
    let foreign = [
        "tonic",
        "prost",
        "tokio",
        "sqlx",
        "serde",
        "tracing",
        "std::fs",
        "std::net::Tcp",
        "std::time",
        "std::io",
        "crate::policy",
        "crate::rpc",
        "crate::live",
        "crate::config",
        "presence_router_proto",
    ];
    check("server/engine/src/routing", &foreign);
}

#[test]
fn the_policy_stands_on_routing_alone() {
    let foreign = [
        "tonic",
        "prost",
        "tokio",
        "sqlx",
        "std::fs",
        "std::time",
        "crate::rpc",
        "crate::live",
        "presence_router_proto",
    ];
    check("server/engine/src/policy", &foreign);
}

fn check(folder: &str, foreign: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = files(&root.join(folder));
    // Tests of their own may read what they check, such as the committed schema.
    let tests = root.join(folder).join("tests");
    files.retain(|file| !file.starts_with(&tests) && *file != tests.with_extension("rs"));
    assert!(files.len() > 3, "{folder} is where it was");
    for file in files {
        let text = fs::read_to_string(&file).unwrap().replace(GLOBS, "");
        for (i, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            for name in foreign {
                let used =
                    code.contains(&format!("{name}::")) || code.contains(&format!("use {name}"));
                assert!(!used, "{}:{}: `{name}` does not belong here", file.display(), i + 1);
            }
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = vec![folder.with_extension("rs")];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path).into_iter().filter(|file| file.exists()));
        } else {
            all.push(path);
        }
    }
    all.retain(|file| file.exists());
    all
}
