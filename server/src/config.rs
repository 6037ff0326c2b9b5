//! The daemon's settings. Precedence: flags, then environment, then one YAML file, then
//! defaults. Settings stay fixed for the life of the process. This module reads the file;
//! flags and environment belong to the command line.
//!
//! `presence-router.example.yaml` explains every key to operators.
//!
//! Read in this order: [`Config`] and its sections, `limits`, `listen` and `log`; then
//! `values`, which reads single values, and `message`, which words the errors.

mod limits;
mod listen;
mod log;
mod message;
#[cfg(test)]
mod tests;
mod values;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use self::limits::LimitSettings;
pub use self::listen::{DEFAULT_TCP, DEFAULT_UNIX, Listen, socket_path, tcp_address};
pub use self::log::Log;
use self::message::{InvalidText, Position};
use crate::live::LoadSettings;

/// All settings. Unknown keys are errors, so that a misspelt limit is not
/// silently ignored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The policy file. If unset, the daemon uses the example policy inside the binary.
    pub policy: Option<PathBuf>,

    /// True if the daemon loads the policy by itself when one of its files changes.
    #[serde(deserialize_with = "values::read_flag")]
    pub watch_policy: bool,

    /// True if a members file that listed users before may become empty.
    #[serde(deserialize_with = "values::read_flag")]
    pub allow_empty_members_files: bool,

    /// The addresses to listen on.
    #[serde(deserialize_with = "values::read_section")]
    pub listen: Listen,

    /// Limits on the requests and answers of one caller.
    #[serde(deserialize_with = "values::read_section")]
    pub limits: LimitSettings,

    /// The log on standard error.
    #[serde(deserialize_with = "values::read_section")]
    pub log: Log,
}

/// The reason for which settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the config file `{}`: {error}", path.display())]
    Unreadable {
        /// The config file.
        path: PathBuf,
        /// The error of the operating system.
        error: std::io::Error,
    },

    /// The file contains an invalid setting, or is not YAML.
    #[error("{}:{position}{message}", path.display())]
    Invalid {
        /// The config file.
        path: PathBuf,
        /// `line:column: `, or a space.
        position: String,
        /// The invalid text, and the valid values in its place.
        message: String,
    },
}

// === impl Config ===

impl Config {
    /// Reads a config file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or its settings are invalid.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read(path)
            .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
        Self::parse(path, &text)
    }

    /// Parses the text of a config file. Only messages use `path`.
    ///
    /// # Errors
    ///
    /// The settings are invalid.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, ConfigError> {
        parse_text(text).map_err(|InvalidText { position, message }| {
            let position = position
                .map_or(" ".to_owned(), |Position { line, column }| format!("{line}:{column}: "));
            ConfigError::Invalid { path: path.to_owned(), position, message }
        })
    }

    /// Returns the settings for loading the policy.
    pub fn load_settings(&self) -> LoadSettings {
        let bytes = self.limits.members_file_bytes.get();
        LoadSettings {
            members_file_bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
            allow_empty_members_files: self.allow_empty_members_files,
        }
    }
}

/// Parses the text of a config file. An empty text leaves every setting at its default.
fn parse_text(text: &[u8]) -> Result<Config, InvalidText> {
    let text = std::str::from_utf8(text).map_err(InvalidText::not_utf8)?;
    serde_saphyr::from_str::<Option<Config>>(text)
        .map(Option::unwrap_or_default)
        .map_err(InvalidText::from_yaml_error)
}

impl Default for Config {
    fn default() -> Self {
        Self {
            policy: None,
            watch_policy: true,
            allow_empty_members_files: false,
            listen: Listen::default(),
            limits: LimitSettings::default(),
            log: Log::default(),
        }
    }
}
