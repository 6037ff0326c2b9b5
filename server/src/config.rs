//! Settings of the daemon: flags over environment over one YAML file over
//! defaults. Fixed for the life of the process.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::rpc::server::Limits;

/// All settings. Unknown keys are errors, so that a misspelt limit is not
/// silently ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// File with the policy. Unset: the example policy inside the binary.
    pub policy: Option<PathBuf>,

    /// Where to listen.
    pub listen: Listen,

    /// Bounds on what one caller may ask and get.
    pub limits: LimitSettings,

    /// What is written to standard error.
    pub log: Log,
}

/// Where to listen. If neither is set, both defaults are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// TCP address, a loopback one. Port 0 takes a free one.
    pub tcp: Option<SocketAddr>,

    /// Path of a Unix socket.
    pub unix: Option<PathBuf>,
}

/// Bounds on what one caller may ask and get.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// Most bytes of a message from a client.
    pub request_bytes: NonZeroUsize,

    /// Most bytes of a unary answer.
    pub response_bytes: NonZeroUsize,

    /// Most states in a batch.
    pub batch_states: NonZeroUsize,

    /// Most open connections. Further clients wait.
    pub connections: NonZeroUsize,

    /// Longest time that a stream is silent, in seconds.
    pub heartbeat_seconds: NonZeroU16,

    /// Longest wait at shutdown for calls that are under way, in seconds.
    pub shutdown_seconds: NonZeroU16,
}

/// What is written to standard error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How.
    pub format: LogFormat,

    /// What: a level, or a filter such as `info,h2=debug`. User ids are written
    /// at debug only.
    pub filter: String,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
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
        let parsed = serde_saphyr::from_slice::<Option<Self>>(text);
        parsed.map(Option::unwrap_or_default).map_err(|error| {
            let error = error.without_snippet();
            let place = error
                .location()
                .map_or(" ".to_owned(), |at| format!("{}:{}: ", at.line(), at.column()));
            let mut options = serde_saphyr::RenderOptions::default();
            options.snippets = serde_saphyr::SnippetMode::Off;
            let message = error.render_with_options(options);
            ConfigError::Invalid { path: path.to_owned(), place, message }
        })
    }
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

impl Default for LimitSettings {
    fn default() -> Self {
        let at = |n| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN);
        let seconds = |n| NonZeroU16::new(n).unwrap_or(NonZeroU16::MIN);
        Self {
            request_bytes: at(1024 * 1024),
            response_bytes: at(4 * 1024 * 1024),
            batch_states: at(10_000),
            connections: at(1024),
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
            heartbeat: seconds(settings.heartbeat_seconds),
            shutdown: seconds(settings.shutdown_seconds),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::default(), filter: "info".to_owned() }
    }
}
