//! Single values of a config file, and the messages about invalid ones. Every single value
//! is read as text, so that a message shows an invalid value exactly as it was written.

use std::num::{NonZeroU16, NonZeroUsize};
use std::str::FromStr;

use clap::ValueEnum;
use serde::{Deserialize, Deserializer};

use super::message::quote_one_line;
use crate::logging::LogFormat;

/// Reads a section, even if all of its keys are commented out.
pub(super) fn read_section<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

pub(super) fn read_count<'de, D: Deserializer<'de>>(from: D) -> Result<NonZeroUsize, D::Error> {
    read_number(from, usize::MAX)
}

pub(super) fn read_seconds<'de, D: Deserializer<'de>>(from: D) -> Result<NonZeroU16, D::Error> {
    read_number(from, u16::MAX)
}

pub(super) fn read_flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(|_| not_valid(&text, "`true` and `false` are valid here"))
}

pub(super) fn read_log_format<'de, D: Deserializer<'de>>(from: D) -> Result<LogFormat, D::Error> {
    let text = String::deserialize(from)?;
    LogFormat::from_str(&text, false)
        .map_err(|_| not_valid(&text, "`plain` and `json` are valid here"))
}

fn read_number<'de, D, T>(from: D, max: impl std::fmt::Display) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
{
    let text = String::deserialize(from)?;
    let valid = format!("a whole number from 1 to {max} is valid here");
    text.parse().map_err(|_| not_valid(&text, &valid))
}

pub(super) fn not_valid<E: serde::de::Error>(text: &str, valid: &str) -> E {
    E::custom(format!("{}: {valid}", quote_one_line(text)))
}
