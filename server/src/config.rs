//! Settings of the daemon: flags over environment over one YAML file over
//! defaults. Fixed for the life of the process.
//!
//! `presence-router.example.yaml` explains every key to those who write it.

#[cfg(test)]
mod tests;
mod text;

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use serde::Deserialize;

use crate::files::MAX_MEMBERS_BYTES;
use crate::live::LoadSettings;
use crate::logging::DEFAULT_FILTER;
use crate::rpc::limits::Limits;

/// All settings. Unknown keys are errors, so that a misspelt limit is not
/// silently ignored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// File with the policy. Unset: the example policy inside the binary.
    pub policy: Option<PathBuf>,

    /// Whether a change of the policy's files is noticed, and comes into force.
    #[serde(deserialize_with = "text::flag")]
    pub watch_policy: bool,

    /// Whether a members file that listed users may list nobody.
    #[serde(deserialize_with = "text::flag")]
    pub allow_empty_members_files: bool,

    /// Where to listen.
    #[serde(deserialize_with = "text::section")]
    pub listen: Listen,

    /// Bounds on what one caller may ask and get.
    #[serde(deserialize_with = "text::section")]
    pub limits: LimitSettings,

    /// What is written to standard error.
    #[serde(deserialize_with = "text::section")]
    pub log: Log,
}

/// Where to listen. If neither is set, both defaults are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// TCP address, a loopback one. Port 0 takes a free one.
    #[serde(deserialize_with = "text::tcp")]
    pub tcp: Option<SocketAddr>,

    /// Absolute path of a Unix socket.
    #[serde(deserialize_with = "text::socket")]
    pub unix: Option<PathBuf>,
}

/// Bounds on what one caller may ask and get.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// Most bytes of a message from a client.
    #[serde(deserialize_with = "text::count")]
    pub request_bytes: NonZeroUsize,

    /// Most bytes of a unary answer.
    #[serde(deserialize_with = "text::count")]
    pub response_bytes: NonZeroUsize,

    /// Most states in a batch.
    #[serde(deserialize_with = "text::count")]
    pub batch_states: NonZeroUsize,

    /// Most bytes of a members file.
    #[serde(deserialize_with = "text::count")]
    pub members_file_bytes: NonZeroUsize,

    /// Most open connections. Further clients wait.
    #[serde(deserialize_with = "text::count")]
    pub connections: NonZeroUsize,

    /// Longest wait for a revision that a request demands, in seconds.
    #[serde(deserialize_with = "text::seconds")]
    pub at_least_seconds: NonZeroU16,

    /// Longest time that a stream is silent, in seconds.
    #[serde(deserialize_with = "text::seconds")]
    pub heartbeat_seconds: NonZeroU16,

    /// Longest wait at shutdown for calls that are under way, in seconds.
    #[serde(deserialize_with = "text::seconds")]
    pub shutdown_seconds: NonZeroU16,
}

/// What is written to standard error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How.
    #[serde(deserialize_with = "text::log_format")]
    pub format: LogFormat,

    /// What: a level, or a filter such as `info,h2=debug`. User ids are written
    /// at debug only. A filter that does not name `h2` shows only its errors.
    pub filter: String,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Plain,

    /// One JSON object a line.
    Json,
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
    #[error("{}:{place}{message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// `line:column: `, or a space.
        place: String,
        /// What was found and what is valid.
        message: String,
    },
}

/// Where the daemon listens when nothing says so.
pub const DEFAULT_TCP: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9470);

/// The Unix socket when nothing says so. Packages set one below `/run`.
pub const DEFAULT_UNIX: &str = "/tmp/presence-router.sock";

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
        text::parse(text).map_err(|(place, message)| {
            let place = place.map_or(" ".to_owned(), |(line, column)| format!("{line}:{column}: "));
            ConfigError::Invalid { path: path.to_owned(), place, message }
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

/// Reads an address to listen on.
///
/// # Errors
///
/// Says what is valid.
pub fn tcp_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| match text {
        path if path.starts_with("unix:") || path.contains('/') => {
            "an IP address with a port is valid here, such as `127.0.0.1:9470`; a Unix socket is set \
             by `--listen-unix`, or by `unix` in the section `listen` of a config file"
        }
        _ => "an IP address with a port is valid here, such as `127.0.0.1:9470` or `[::1]:9470`",
    })
}

/// Reads the path of a Unix socket to listen on, and makes it absolute: clients have
/// another current directory, so the log and all messages name a path that they can use.
///
/// # Errors
///
/// Says what is valid.
pub fn socket_path(path: &Path) -> Result<PathBuf, String> {
    let Some(text) = path.to_str() else {
        return Err("the path is not UTF-8, so no client could name it".to_owned());
    };
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        let instead = if path.is_empty() { "/path/to/socket" } else { path };
        return Err(format!("a path alone is valid here, without `unix:`; write `{instead}`"));
    }
    if text.is_empty() {
        return Err("a path is valid here, such as `/path/to/socket`".to_owned());
    }
    std::path::absolute(path)
        .map_err(|error| format!("the current directory is unknown ({error}); write the full path"))
}

impl Listen {
    /// Where to listen, the defaults filled in.
    #[must_use]
    pub fn resolved(self) -> Self {
        match self {
            Self { tcp: None, unix: None } => {
                Self { tcp: Some(DEFAULT_TCP), unix: Some(DEFAULT_UNIX.into()) }
            }
            set => set,
        }
    }
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

impl Default for LimitSettings {
    fn default() -> Self {
        let at = |n| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN);
        let seconds = |n| NonZeroU16::new(n).unwrap_or(NonZeroU16::MIN);
        Self {
            request_bytes: at(1024 * 1024),
            response_bytes: at(4 * 1024 * 1024),
            batch_states: at(10_000),
            members_file_bytes: at(usize::try_from(MAX_MEMBERS_BYTES).unwrap_or(usize::MAX)),
            connections: at(1024),
            at_least_seconds: seconds(1),
            heartbeat_seconds: seconds(15),
            shutdown_seconds: seconds(10),
        }
    }
}

impl From<LimitSettings> for Limits {
    fn from(settings: LimitSettings) -> Self {
        let seconds = |n: NonZeroU16| Duration::from_secs(n.get().into());
        Self {
            request_bytes: settings.request_bytes.get(),
            response_bytes: settings.response_bytes.get(),
            batch_states: settings.batch_states.get(),
            connections: settings.connections.get().min(tokio::sync::Semaphore::MAX_PERMITS),
            at_least: seconds(settings.at_least_seconds),
            heartbeat: seconds(settings.heartbeat_seconds),
            shutdown: seconds(settings.shutdown_seconds),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::default(), filter: DEFAULT_FILTER.to_owned() }
    }
}
