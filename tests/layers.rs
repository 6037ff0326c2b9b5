//! Arrows point down: between crates, between the modules of each, and never in a
//! circle. What only tests use does not count.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use self::imports::{Crate, Module};

mod imports;
mod tokens;

/// The root file of every crate.
const CRATES: [&str; 7] = [
    "proto/ids/src/lib.rs",
    "proto/lib.rs",
    "server/engine/src/lib.rs",
    "server/src/lib.rs",
    "server/src/main.rs",
    "client/src/lib.rs",
    "client/python/src/lib.rs",
];

fn read(root: &str) -> Crate {
    Crate::read(Path::new(root), &|path| std::fs::read_to_string(path).ok())
}

/// Crates that one is built of, itself included, tests left aside.
fn crates(package: &str, features: &[&str]) -> Vec<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--locked", "--edges=normal", "--prefix=none", "--package"]);
    let done = cargo.arg(package).args(features).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let lines = String::from_utf8(done.stdout).unwrap();
    let mut names: Vec<_> =
        lines.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Crates of this workspace that one is built of.
fn ours(package: &str, features: &[&str]) -> String {
    let ours = crates(package, features).into_iter();
    let ours = ours.filter_map(|name| Some(name.strip_prefix("presence-router-")?.to_owned()));
    ours.collect::<Vec<_>>().join(" ")
}

#[test]
fn crates_stand_on_those_below() {
    assert_eq!(crates("presence-router-ids", &[]), ["presence-router-ids"]);
    assert_eq!(ours("presence-router-engine", &[]), "engine ids");
    assert_eq!(ours("presence-router-proto", &[]), "ids proto");
    assert_eq!(ours("presence-router-server", &[]), "engine ids proto server");
    assert_eq!(ours("presence-router-client", &[]), "client ids proto");
    let in_process = ["--features=in-process"];
    assert_eq!(ours("presence-router-client", &in_process), "client engine ids proto");
    assert_eq!(ours("presence-router-python", &[]), "client ids proto python");
}

#[test]
fn the_engine_knows_no_protocol_clock_or_file_system() {
    let crates = crates("presence-router-engine", &[]);
    for name in ["tonic", "prost", "hyper", "tokio", "tracing", "rustix", "tempfile"] {
        assert!(!crates.iter().any(|one| one == name), "the engine is built of {name}");
    }
    let engine = read("server/engine/src/lib.rs");
    let none = |within: &[&str], path| {
        assert_eq!(engine.places_that_name(within, path), [""; 0], "{within:?} {path}");
    };
    for path in ["std::fs", "std::net", "std::time", "std::env", "std::process"] {
        none(&[], path);
    }
    for path in ["std::io", "std::thread", "serde", "serde_json", "serde_saphyr"] {
        none(&["routing"], path);
    }
}

#[test]
fn modules_use_those_below() {
    in_order("server/engine/src/lib.rs", &["routing", "policy"]);
    in_order("server/src/lib.rs", &["source", "live", "rpc", "config", "reloader", "lifecycle"]);
}

/// Fails if one of these modules uses one that stands behind it.
fn in_order(root: &str, modules: &[&str]) {
    let krate = read(root);
    let place = |module: &Module| modules.iter().position(|name| module == &[*name]);
    for one in krate.uses().values() {
        let upwards = place(&one.from).zip(place(&one.to)).is_some_and(|(from, to)| from < to);
        assert!(!upwards, "{}: {:?} uses {:?}", one.place, one.from, one.to);
    }
    let found = modules.iter().filter(|name| krate.has(name)).count();
    assert_eq!(found, modules.len(), "{root} has all of {modules:?}");
}

#[test]
fn no_modules_use_each_other_in_a_circle() {
    let mut told = String::new();
    for root in CRATES {
        let krate = read(root);
        assert!(krate.len() > 4, "{root} is where it was");
        for circle in krate.circles() {
            writeln!(told, "a circle in {root}:").unwrap();
            for one in circle {
                let [from, to] = [&one.from, &one.to].map(|module| module.join("::"));
                writeln!(told, "  {}: {from} uses {to}", one.place).unwrap();
            }
        }
    }
    assert!(told.is_empty(), "{told}");
}

// What finds circles, tried on crates of a few lines.

fn circles(files: &[(&str, &str)]) -> Vec<String> {
    let krate = Crate::read(Path::new("src/lib.rs"), &|path| {
        let file = files.iter().find(|(name, _)| Path::new("src").join(name) == path)?;
        Some(file.1.to_owned())
    });
    let uses = krate.circles().concat();
    uses.iter().map(|one| format!("{} {}", one.place, one.to.join("::"))).collect()
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let lib = ("lib.rs", "pub mod a;\nmod b;\n");
    for (a, b) in [
        ("use crate::b::B;", "use super::a::A;"),
        ("fn f() -> crate::b::B {}", "fn f() { super::a::f() }"),
        ("use crate::{b::{B, C as D}};", "pub(crate) use crate::a as other;"),
        ("use super::*;\nuse super::b::*;", "type T<'a> = Vec<&'a crate::a::A>;"),
        ("mod inner { use super::super::b::B; }", "macro_rules! m { () => { $crate::a::f() } }"),
    ] {
        let found = circles(&[lib, ("a.rs", a), ("b.rs", b)]);
        assert_eq!(found.len(), 2, "{a} {b} {found:?}");
        assert!(found[0].starts_with("src/a.rs:") && found[0].ends_with(" b"), "{found:?}");
        assert!(found[1].starts_with("src/b.rs:") && found[1].ends_with(" a"), "{found:?}");
    }
}

#[test]
fn a_circle_is_found_through_a_reexport_and_a_child() {
    let found = circles(&[
        ("lib.rs", "mod a;\nmod b;\nmod c;\npub use b::B;"),
        ("a.rs", "mod deep;"),
        ("a/deep.rs", "\nuse crate::B;"),
        ("b.rs", "use crate::c::C;"),
        ("c.rs", "use super::a::A;"),
    ]);
    assert_eq!(found, ["src/a/deep.rs:2 b", "src/b.rs:1 c", "src/c.rs:1 a"]);
}

#[test]
fn what_is_no_circle_is_not_taken_for_one() {
    for (a, b) in [
        ("use crate::b::B;", "use std::a::A;\nuse a::A;"),
        ("use crate::b::B;", "// use crate::a::A;\n/* crate::a::A /* */ crate::a */"),
        (
            "use crate::b::B;",
            r##"const C: (&str, char, &str) = ("\"crate::a::f", '"', r#"" crate::a"#);"##,
        ),
        ("use crate::b::B;", "#[cfg(test)]\nmod tests { use crate::a::A; }"),
        ("use crate::b::B;", "#[cfg(test)]\n#[path = \"x.rs\"]\nmod missing;"),
        ("use crate::b::B;", "pub(in crate::a) fn f() {}"),
        ("use crate::b::B;", "use crate::Root;"),
    ] {
        let found =
            circles(&[("lib.rs", "mod a; mod b; pub struct Root;"), ("a.rs", a), ("b.rs", b)]);
        assert!(found.is_empty(), "{b} {found:?}");
    }
}
