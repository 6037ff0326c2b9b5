//! Error messages about a config file, for operators who know neither serde nor Rust's
//! types. A message names only the first problem, since a config file is short.

use std::str::Utf8Error;

use serde_saphyr::{Error, MessageFormatter, UserMessageFormatter};

/// A config file with an invalid setting.
#[derive(Debug)]
pub(super) struct InvalidText {
    /// The position of the problem. `None` if the problem concerns the whole file.
    pub(super) position: Option<Position>,
    /// The invalid text, and the valid values in its place.
    pub(super) message: String,
}

/// A position in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    /// The line, from 1.
    pub(super) line: u64,
    /// The column, from 1.
    pub(super) column: u64,
}

// === impl InvalidText ===

impl InvalidText {
    pub(super) fn not_utf8(error: Utf8Error) -> Self {
        let message = format!("not UTF-8 from byte {} on", error.valid_up_to());
        Self { position: None, message }
    }

    pub(super) fn from_yaml_error(error: Error) -> Self {
        let error = error.without_snippet();
        let position = error.location();
        let position = position.map(|at| Position { line: at.line(), column: at.column() });
        Self { position, message: describe_yaml_error(error) }
    }
}

fn describe_yaml_error(error: &Error) -> String {
    match error {
        // A message of this crate, from `values` or `listen`.
        Error::Message { msg, .. } => msg.clone(),
        Error::SerdeUnknownField { field, expected, .. } => unknown_key(field, expected),
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("{} is set a second time", quote_one_line(key))
        }
        Error::Unexpected { expected: "mapping start", .. } => {
            "keys with values are valid here, such as `key: value`".to_owned()
        }
        Error::Unexpected { expected: "string scalar", .. } => {
            "one value is valid here, no list and no map".to_owned()
        }
        Error::NullIntoString { .. } => {
            "there is no value; take the key out for its default".to_owned()
        }
        Error::MultipleDocuments { .. } => {
            "a second YAML document begins here; a config file is one".to_owned()
        }
        error => {
            format!("not YAML: {}", escape_controls(&UserMessageFormatter.format_message(error)))
        }
    }
}

fn unknown_key(key: &str, valid: &[&str]) -> String {
    let list: Vec<_> = valid.iter().map(|name| quote_one_line(name)).collect();
    let mut message =
        format!("unknown key {}; valid here are {}", quote_one_line(key), list.join(", "));
    let near = valid.iter().map(|name| (strsim::osa_distance(key, name), name));
    if let Some((1..=2, name)) = near.min() {
        message += &format!("; did you mean `{name}`?");
    }
    message
}

/// Quotes the start of a text from the file, on one line and safe for a terminal.
pub(super) fn quote_one_line(text: &str) -> String {
    let shown: String = text.chars().take(100).collect();
    format!("`{}`", escape_controls(&shown))
}

fn escape_controls(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_debug().to_string() } else { c.into() };
    text.chars().map(escaped).collect()
}
