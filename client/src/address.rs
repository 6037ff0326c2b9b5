//! The address of a daemon, as an operator writes it.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use tonic::transport::{Channel, Endpoint};

/// Interval of keep-alive pings. They detect within seconds that a daemon's machine
/// vanished: without them the connection would look alive until TCP gives up a
/// quarter of an hour later, and every probe would use it.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The address of a daemon: `unix:/path/to/socket` or `http://host:port`.
///
/// A bare `host:port` means `http://host:port`. There is no TLS: keep the connection
/// to the daemon within one machine or one trusted network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// The absolute path of a Unix socket.
    Unix(PathBuf),
    /// A host and a port, joined by `:`. The host is a name, an IPv4 address, or an
    /// IPv6 address in brackets.
    Tcp(String),
}

/// The error for a malformed address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not an address: {problem}; write {instead}")]
pub struct AddressError {
    found: String,
    problem: &'static str,
    /// A valid address, in backticks.
    instead: String,
}

/// The valid forms of an address, for messages.
const VALID: &str = "`unix:/path/to/socket` or `http://host:port`";

// === impl Address ===

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let instead_of = |problem, instead: &str| {
            Err(AddressError { found: text.to_owned(), problem, instead: instead.to_owned() })
        };
        let error = |problem| instead_of(problem, VALID);
        if let Some(path) = text.strip_prefix("unix:") {
            // gRPC's own notation, `unix:///path`, means the same.
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                _ if !path.starts_with('/') => error("the path of a socket must be absolute"),
                _ if path.contains('\0') => error("a path holds no NUL"),
                _ => Ok(Self::Unix(path.into())),
            };
        }
        if text.starts_with('/') {
            return instead_of("a path needs `unix:` before it", &format!("`unix:{text}`"));
        }
        if is_relative_path(text) {
            return error("a path needs `unix:` before it, and must be absolute");
        }
        let rest = match text.split_once("://") {
            Some(("http", rest)) => rest,
            Some(("https", _)) => return error("TLS is not supported"),
            Some(_) => return error("the scheme is unknown"),
            None => text,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let Some((host, port)) = rest.rsplit_once(':') else {
            return error("the port is missing");
        };
        match port.parse::<u16>() {
            Ok(1..) if port.bytes().all(|b| b.is_ascii_digit()) => {}
            _ => return error("the port must be a number from 1 to 65535"),
        }
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let good = match bracketed {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
            }
        };
        if good { Ok(Self::Tcp(rest.to_owned())) } else { error("the host is malformed") }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(authority) => write!(f, "http://{authority}"),
        }
    }
}

impl Address {
    /// Creates a channel that connects on first use, and reconnects after each
    /// failure. Must be called within a tokio runtime.
    pub(crate) fn connect_lazily(
        &self,
        connect_timeout: Duration,
    ) -> Result<Channel, AddressError> {
        let endpoint = Endpoint::from_shared(self.to_string()).map_err(|_| AddressError {
            found: self.to_string(),
            problem: "not a URI",
            instead: VALID.to_owned(),
        })?;
        Ok(endpoint
            .connect_timeout(connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .connect_lazy())
    }
}

/// Returns true if the text looks like a relative path rather than a host and port.
fn is_relative_path(text: &str) -> bool {
    let begins = ["./", "../", "~"].iter().any(|start| text.starts_with(start));
    begins || text.ends_with(".sock") && !text.contains("://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_sockets_and_hosts() {
        for (text, shown) in [
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            ("unix:///run/a.sock", "unix:/run/a.sock"),
            ("http://127.0.0.1:9470", "http://127.0.0.1:9470"),
            ("http://localhost:9470/", "http://localhost:9470"),
            ("[::1]:9470", "http://[::1]:9470"),
            ("router-1.internal:80", "http://router-1.internal:80"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, problem) in [
            ("", "the port is missing"),
            ("unix:a.sock", "the path of a socket must be absolute"),
            ("unix:", "the path of a socket must be absolute"),
            ("https://a:1", "TLS is not supported"),
            ("grpc://a:1", "the scheme is unknown"),
            ("http://a", "the port is missing"),
            ("http://a:0", "the port must be a number from 1 to 65535"),
            ("http://a:+1", "the port must be a number from 1 to 65535"),
            ("http://a:65536", "the port must be a number from 1 to 65535"),
            ("http://:1", "the host is malformed"),
            ("http://::1:9470", "the host is malformed"),
            ("http://a b:1", "the host is malformed"),
            ("http://u@a:1", "the host is malformed"),
            ("http://a:1/x", "the port must be a number from 1 to 65535"),
            ("/run/a.sock", "a path needs `unix:` before it"),
            ("/run/a:1", "a path needs `unix:` before it"),
            ("./a", "a path needs `unix:` before it, and must be absolute"),
            ("run/a.sock", "a path needs `unix:` before it, and must be absolute"),
            ("~/a", "a path needs `unix:` before it, and must be absolute"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert_eq!(error.problem, problem, "{text}");
            assert!(error.to_string().contains(&format!("`{text}`")));
        }
    }

    #[test]
    fn says_what_to_write_instead() {
        for (text, said) in [
            (
                "/tmp/x.sock",
                "`/tmp/x.sock` is not an address: a path needs `unix:` before it; write \
                 `unix:/tmp/x.sock`",
            ),
            (
                "http://a",
                "`http://a` is not an address: the port is missing; write `unix:/path/to/socket` \
                 or `http://host:port`",
            ),
        ] {
            assert_eq!(text.parse::<Address>().unwrap_err().to_string(), said);
        }
    }
}
