//! Text to settings, and what is wrong with it in words for operators, who know
//! neither serde nor Rust's types. One problem: a config file is short.

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ValueEnum;
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Error, MessageFormatter, UserMessageFormatter};

use super::{Config, LogFormat, socket_path, tcp_address};

/// Line and column, from 1. `None`: the file as a whole.
type Place = Option<(u64, u64)>;

/// Reads a text. An empty one says nothing, and the defaults hold.
pub(super) fn parse(text: &[u8]) -> Result<Config, (Place, String)> {
    let text = std::str::from_utf8(text)
        .map_err(|error| (None, format!("not UTF-8 from byte {} on", error.valid_up_to())))?;
    serde_saphyr::from_str::<Option<Config>>(text).map(Option::unwrap_or_default).map_err(|error| {
        let error = error.without_snippet();
        (error.location().map(|at| (at.line(), at.column())), message(error))
    })
}

/// A section, of which all keys may be commented out.
pub(super) fn section<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

pub(super) fn count<'de, D: Deserializer<'de>>(from: D) -> Result<NonZeroUsize, D::Error> {
    number(from, usize::MAX)
}

pub(super) fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<NonZeroU16, D::Error> {
    number(from, u16::MAX)
}

pub(super) fn tcp<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| tcp_address(&text).map_err(|valid| not_valid(&text, valid))).transpose()
}

pub(super) fn socket<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| socket_path(Path::new(&text)).map_err(|valid| not_valid(&text, &valid)))
        .transpose()
}

pub(super) fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    // Any single value is read as its text.
    let text = String::deserialize(from)?;
    text.parse().map_err(|_| not_valid(&text, "`true` and `false` are valid here"))
}

pub(super) fn log_format<'de, D: Deserializer<'de>>(from: D) -> Result<LogFormat, D::Error> {
    let text = String::deserialize(from)?;
    LogFormat::from_str(&text, false)
        .map_err(|_| not_valid(&text, "`plain` and `json` are valid here"))
}

fn number<'de, D, T>(from: D, most: impl std::fmt::Display) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
{
    // Any single value is read as its text.
    let text = String::deserialize(from)?;
    let valid = format!("a whole number from 1 to {most} is valid here");
    text.parse().map_err(|_| not_valid(&text, &valid))
}

fn not_valid<E: serde::de::Error>(text: &str, valid: &str) -> E {
    E::custom(format!("{}: {valid}", quoted(text)))
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
fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(100).collect();
    format!("`{}`", one_line(&shown))
}

fn one_line(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_debug().to_string() } else { c.into() };
    text.chars().map(escaped).collect()
}
