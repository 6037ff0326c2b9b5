//! Single values of a config file, and what is valid where they are not. Any single value
//! is read as its text, so that a wrong one is shown as it was written.

use std::num::{NonZeroU16, NonZeroUsize};
use std::str::FromStr;

use clap::ValueEnum;
use serde::{Deserialize, Deserializer};

use super::message::quoted;
use crate::logging::LogFormat;

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

pub(super) fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
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
    let text = String::deserialize(from)?;
    let valid = format!("a whole number from 1 to {most} is valid here");
    text.parse().map_err(|_| not_valid(&text, &valid))
}

pub(super) fn not_valid<E: serde::de::Error>(text: &str, valid: &str) -> E {
    E::custom(format!("{}: {valid}", quoted(text)))
}
