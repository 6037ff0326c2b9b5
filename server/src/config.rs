//! Settings of the daemon: flags over environment over one YAML file over
//! defaults. Fixed for the life of the process. The file is read here; flags and
//! environment belong to the command line.
//!
//! `presence-router.example.yaml` explains every key to those who write it.
//!
//! To read in this order: [`Config`] and its sections, `limits`, `listen` and `log`; `values`
//! reads single values, and `message` says what is wrong with them.

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
    /// File with the policy. Unset: the example policy inside the binary.
    pub policy: Option<PathBuf>,

    /// Whether a change of the policy's files is noticed, and comes into force.
    #[serde(deserialize_with = "values::flag")]
    pub watch_policy: bool,

    /// Whether a members file that listed users may list nobody.
    #[serde(deserialize_with = "values::flag")]
    pub allow_empty_members_files: bool,

    /// Where to listen.
    #[serde(deserialize_with = "values::section")]
    pub listen: Listen,

    /// Bounds on what one caller may ask and get.
    #[serde(deserialize_with = "values::section")]
    pub limits: LimitSettings,

    /// What is written to standard error.
    #[serde(deserialize_with = "values::section")]
    pub log: Log,
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the config file `{}`: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },

    /// The file does not say valid settings.
    #[error("{}:{position}{message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// `line:column: `, or a space.
        position: String,
        /// What was found and what is valid.
        message: String,
    },
}

// === impl Config ===

impl Config {
    /// Reads a config file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or does not say valid settings.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read(path)
            .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
        Self::parse(path, &text)
    }

    /// Reads a config file's text. `path` only names it in messages.
    ///
    /// # Errors
    ///
    /// The text does not say valid settings.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, ConfigError> {
        parse_text(text).map_err(|InvalidText { position, message }| {
            let position = position
                .map_or(" ".to_owned(), |Position { line, column }| format!("{line}:{column}: "));
            ConfigError::Invalid { path: path.to_owned(), position, message }
        })
    }

    /// The settings of loading the policy.
    pub fn load_settings(&self) -> LoadSettings {
        let bytes = self.limits.members_file_bytes.get();
        LoadSettings {
            members_file_bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
            allow_empty_members_files: self.allow_empty_members_files,
        }
    }
}

/// Reads a text. An empty one says nothing, and the defaults hold.
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
