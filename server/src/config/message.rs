//! What is wrong with a config file, in words for operators, who know neither serde nor
//! Rust's types. One problem: a config file is short.

use std::str::Utf8Error;

use serde_saphyr::{Error, MessageFormatter, UserMessageFormatter};

/// A text that does not say valid settings.
#[derive(Debug)]
pub(super) struct InvalidText {
    /// Unset where it is about the file as a whole.
    pub(super) position: Option<Position>,
    /// What was found and what is valid.
    pub(super) message: String,
}

/// A position in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    /// From 1.
    pub(super) line: u64,
    /// From 1.
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
        Self { position, message: message(error) }
    }
}

fn message(error: &Error) -> String {
    match error {
        // Our own, from above.
        Error::Message { msg, .. } => msg.clone(),
        Error::SerdeUnknownField { field, expected, .. } => unknown_key(field, expected),
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("{} is set a second time", quoted(key))
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
        error => format!("not YAML: {}", one_line(&UserMessageFormatter.format_message(error))),
    }
}

fn unknown_key(key: &str, valid: &[&str]) -> String {
    let list: Vec<_> = valid.iter().map(|name| quoted(name)).collect();
    let mut message = format!("unknown key {}; valid here are {}", quoted(key), list.join(", "));
    let near = valid.iter().map(|name| (strsim::osa_distance(key, name), name));
    if let Some((1..=2, name)) = near.min() {
        message += &format!("; did you mean `{name}`?");
    }
    message
}

/// What somebody wrote, fit for a terminal and for one line.
pub(super) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(100).collect();
    format!("`{}`", one_line(&shown))
}

fn one_line(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_debug().to_string() } else { c.into() };
    text.chars().map(escaped).collect()
}
