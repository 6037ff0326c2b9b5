//! The section `listen` and its addresses.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use super::values::not_valid;

/// The addresses to listen on. If neither is set, the daemon listens on both defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// A TCP address, which must be a loopback address. Port 0 takes a free port.
    #[serde(deserialize_with = "read_tcp_address")]
    pub tcp: Option<SocketAddr>,

    /// Absolute path of a Unix socket.
    #[serde(deserialize_with = "read_socket_path")]
    pub unix: Option<PathBuf>,
}

/// The TCP address without any setting.
pub const DEFAULT_TCP: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9470);

/// The Unix socket without any setting. Packages set a path below `/run`.
pub const DEFAULT_UNIX: &str = "/tmp/presence-router.sock";

// === impl Listen ===

impl Listen {
    /// Fills in both defaults if neither address is set.
    #[must_use]
    pub fn with_defaults(self) -> Self {
        match self {
            Self { tcp: None, unix: None } => {
                Self { tcp: Some(DEFAULT_TCP), unix: Some(DEFAULT_UNIX.into()) }
            }
            set => set,
        }
    }
}

/// Parses a TCP address to listen on.
///
/// # Errors
///
/// The text is not an IP address with a port. The message describes a valid address.
pub fn tcp_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| match text {
        path if path.starts_with("unix:") || path.contains('/') => {
            "an IP address with a port is valid here, such as `127.0.0.1:9470`; a Unix socket is set \
             by `--listen-unix`, or by `unix` in the section `listen` of a config file"
        }
        _ => "an IP address with a port is valid here, such as `127.0.0.1:9470` or `[::1]:9470`",
    })
}

/// Parses the path of a Unix socket to listen on, and makes it absolute: clients have
/// another current directory, so the log and all messages name a path that clients can use.
///
/// # Errors
///
/// The text is not a usable path. The message describes a valid path.
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

fn read_tcp_address<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| tcp_address(&text).map_err(|valid| not_valid(&text, valid))).transpose()
}

fn read_socket_path<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| socket_path(Path::new(&text)).map_err(|valid| not_valid(&text, &valid)))
        .transpose()
}
