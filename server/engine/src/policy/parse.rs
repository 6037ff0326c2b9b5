//! The text of a policy to a [`Document`], and the few other things that are read
//! as YAML: a file of tests, the names of members files, an escaped name.
//!
//! `yaml` makes a tree that keeps the position of everything in the text, `read` turns
//! that into a document. Neither knows other groups or rules: `resolve` does.

mod read;
mod yaml;

use std::borrow::Cow;
use std::collections::BTreeSet;

use self::read::Reader;
pub use self::yaml::MAX_POLICY_BYTES;
use self::yaml::{Node, Value};
use super::document::room::RoomTest;
use super::document::{Document, Test};
use super::files::{Files, NoFiles};
use super::problem::Problem;

/// Reads a policy as far as it can be read. `None`: not far enough to say
/// whether what refers to a group is right.
pub(super) fn document(
    text: &[u8],
    files: &dyn Files,
    problems: &mut Vec<Problem>,
) -> Option<Document> {
    match yaml::parse(text) {
        Ok(root) => Reader::new(files, problems).read_document(&root),
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

/// Names of the files that a policy names, also where that is a mistake.
pub(super) fn named_files(text: &[u8]) -> BTreeSet<String> {
    fn note(node: &Node<'_>, names: &mut BTreeSet<String>) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| note(item, names)),
            Value::Map(entries) => entries.iter().for_each(|entry| match entry {
                (Node { value: Value::Text(key), .. }, Node { value: Value::Text(name), .. })
                    if key == "members_file" =>
                {
                    names.insert(name.to_string());
                }
                (_, value) => note(value, names),
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }
    let mut names = BTreeSet::new();
    if let Ok(root) = yaml::parse(text) {
        note(&root, &mut names);
    }
    names
}

/// Reads a file of tests alone.
pub(super) fn tests(text: &[u8], problems: &mut Vec<Problem>) -> (Vec<Test>, Vec<RoomTest>) {
    match yaml::parse(text) {
        Ok(root) => Reader::new(&NoFiles, problems).read_tests_file(&root),
        Err(problem) => {
            problems.push(problem);
            Default::default()
        }
    }
}

/// The text that [`escaped`](super::wording::escaped) made, or that a person wrote the same way. `None`: it is
/// in double quotes, but not as YAML has it.
pub fn unescaped(text: &str) -> Option<Cow<'_, str>> {
    if !text.starts_with('"') {
        return Some(Cow::Borrowed(text));
    }
    match yaml::parse(text.as_bytes()).ok()?.value {
        Value::Text(text) => Some(Cow::Owned(text.into_owned())),
        _ => None,
    }
}
