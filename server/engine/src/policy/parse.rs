//! Parses the text of a policy into a [`Document`], and the other texts that are YAML: a
//! file of tests, a file of rooms, the names of members files, an escaped name.
//!
//! `yaml` makes a tree that keeps the position of every value, and `read` turns the tree
//! into a document. Neither compares groups or rules with each other: `resolve` does.

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
use super::given_rooms::GivenRooms;
use super::problem::Problem;

/// Reads a policy as far as possible. `None`: the list of groups is not complete enough
/// to check references to groups.
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

/// Names of the members files that a policy refers to, even in invalid places.
pub(super) fn named_files(text: &[u8]) -> BTreeSet<String> {
    fn collect_names(node: &Node<'_>, names: &mut BTreeSet<String>) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| collect_names(item, names)),
            Value::Map(entries) => entries.iter().for_each(|entry| match entry {
                (Node { value: Value::Text(key), .. }, Node { value: Value::Text(name), .. })
                    if key == "members_file" =>
                {
                    names.insert(name.to_string());
                }
                (_, value) => collect_names(value, names),
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }
    let mut names = BTreeSet::new();
    if let Ok(root) = yaml::parse(text) {
        collect_names(&root, &mut names);
    }
    names
}

/// Reads a file that contains tests only.
pub(super) fn tests(text: &[u8], problems: &mut Vec<Problem>) -> (Vec<Test>, Vec<RoomTest>) {
    match yaml::parse(text) {
        Ok(root) => Reader::new(&NoFiles, problems).read_tests_file(&root),
        Err(problem) => {
            problems.push(problem);
            Default::default()
        }
    }
}

/// Reads a file that contains rooms.
pub(super) fn given_rooms(text: &[u8], problems: &mut Vec<Problem>) -> GivenRooms {
    match yaml::parse(text) {
        Ok(root) => Reader::new(&NoFiles, problems).read_rooms_file(&root),
        Err(problem) => {
            problems.push(problem);
            GivenRooms::default()
        }
    }
}

/// Reverses [`escaped`](super::wording::escaped). People may write such a text by hand.
/// `None`: the text begins with a double quote and is not a YAML string.
pub fn unescaped(text: &str) -> Option<Cow<'_, str>> {
    if !text.starts_with('"') {
        return Some(Cow::Borrowed(text));
    }
    match yaml::parse(text.as_bytes()).ok()?.value {
        Value::Text(text) => Some(Cow::Owned(text.into_owned())),
        _ => None,
    }
}
