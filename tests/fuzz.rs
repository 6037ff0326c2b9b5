//! The corpora of the fuzz targets, replayed: what a campaign once found
//! interesting stays right.

use std::path::Path;

#[path = "../proto/fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "a library where it is fuzzed")]
mod contract;
#[path = "../server/engine/fuzz/src/lib.rs"]
#[allow(unreachable_pub, missing_docs, reason = "a library where it is fuzzed")]
mod engine;

/// Runs a target on every file of its corpus.
fn replay(corpus: &str, target: fn(&[u8])) {
    let folder = Path::new(corpus);
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "nothing in {corpus}");
    for file in files {
        // Shown if it panics.
        println!("{}", file.display());
        target(&std::fs::read(file).unwrap());
    }
}

#[test]
fn any_policy_is_answered() {
    replay("server/engine/fuzz/corpus/policy", engine::policy);
}

#[test]
fn any_set_is_what_it_says() {
    replay("server/engine/fuzz/corpus/sets", engine::sets);
}

#[test]
fn ids_are_those_of_the_specification() {
    replay("server/engine/fuzz/corpus/ids", engine::ids);
}

#[test]
fn batches_are_read_as_prost_reads_them() {
    replay("proto/fuzz/corpus/wire", contract::wire);
}
