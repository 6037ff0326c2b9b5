//! The corpora of the fuzz targets, replayed: what a campaign once found
//! interesting stays right.

use std::path::Path;

use bodies::{ids, policy, sets, wire};

#[path = "../server/fuzz/src/lib.rs"]
#[allow(unreachable_pub, missing_docs, reason = "a library where it is fuzzed")]
mod bodies;

/// Runs a target on every file of its corpus.
fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new("server/fuzz/corpus").join(target);
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no corpus of {target}");
    for file in files {
        // Shown if it panics.
        println!("{}", file.display());
        body(&std::fs::read(file).unwrap());
    }
}

#[test]
fn any_policy_is_answered() {
    replay("policy", policy);
}

#[test]
fn any_set_is_what_it_says() {
    replay("sets", sets);
}

#[test]
fn ids_are_those_of_the_specification() {
    replay("ids", ids);
}

#[test]
fn batches_are_read_as_prost_reads_them() {
    replay("wire", wire);
}
