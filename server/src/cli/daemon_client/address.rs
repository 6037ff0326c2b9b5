//! The address of a daemon, as a user writes it. Does not connect.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tonic::transport::Endpoint;

/// The longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The time between two pings to a daemon that has not answered yet, and the longest wait
/// for the answer to a ping. A call itself may take as long as it needs.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The valid forms of an address, for messages.
const VALID: &str = "valid addresses are `host:port` and `unix:/path/to/socket`";

/// The address of a daemon: `host:port` or `unix:/path`.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    written: String,
    pub(crate) endpoint: Endpoint,
}

// === impl Address ===

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Self::from_socket_path(path);
        }
        if is_path(text) {
            return Err(format!("a path needs `unix:` before it; write `unix:{text}`"));
        }
        let authority = match text.split_once("://") {
            Some(("http", authority)) => authority,
            Some(("https", _)) => return Err(format!("TLS is not supported; {VALID}")),
            Some(_) => return Err(format!("the scheme is unknown; {VALID}")),
            None => text,
        };
        let endpoint = Endpoint::from_shared(format!("http://{authority}"));
        let endpoint = endpoint.map_err(|_| VALID.to_owned())?;
        if endpoint.uri().port_u16().is_none() {
            return Err(format!("the port is missing, or not a number from 0 to 65535; {VALID}"));
        }
        Ok(Self::new(text.to_owned(), endpoint))
    }
}

impl Address {
    /// The address of a socket, from the text behind `unix:`. A relative path is relative to the
    /// current directory.
    fn from_socket_path(text: &str) -> Result<Self, String> {
        let path = match text.strip_prefix("//") {
            Some(path) if !path.starts_with('/') => {
                let problem = "`unix://` needs an absolute path, so write three slashes";
                return Err(format!("{problem}; {VALID}"));
            }
            Some(path) => path,
            None => text,
        };
        if path.is_empty() {
            return Err(format!("the path behind `unix:` is missing; {VALID}"));
        }
        let path = std::path::absolute(path).map_err(|error| {
            format!("the current directory is unknown ({error}); write the full path")
        })?;
        let path = path.display();
        // In this form, a leading slash is not read as a part of the scheme.
        let endpoint = Endpoint::from_shared(format!("unix://{path}"));
        Ok(Self::new(format!("unix:{path}"), endpoint.map_err(|_| VALID.to_owned())?))
    }

    fn new(written: String, endpoint: Endpoint) -> Self {
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        Self { written, endpoint }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// Distinguishes a path without `unix:` from a host and a port.
fn is_path(text: &str) -> bool {
    let begins = ["/", "./", "../", "~"].iter().any(|start| text.starts_with(start));
    begins || text.ends_with(".sock") && !text.contains("://")
}
