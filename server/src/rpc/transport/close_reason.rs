//! Why a connection was closed, in words for the log.
//!
//! A port check is nobody's business: what said nothing is at `debug`, and so is a
//! client that simply went away, as its calls have lines of their own.

use std::error::Error;
use std::io;
use std::time::Duration;

use tracing::{debug, info, warn};

use super::client_io::Trace;
use crate::rpc::transport::access_log::ConnectionLog;

/// The target of lines about connections.
const CONNECTIONS: &str = "presence_router::connections";

/// The end of a connection.
#[derive(Debug)]
pub(super) enum CloseReason {
    /// Either side closed it, and nobody missed anything.
    InOrder,
    /// The client did not begin with what every HTTP/2 client begins with.
    NoGreeting,
    /// The client speaks something else: what it seems to be.
    NotHttp2(&'static str),
    /// The client did what HTTP/2 does not allow, or what nobody has a use for.
    Misbehaved(String),
    /// The client ended it by an error.
    EndedByClient(String),
    /// The client did not answer, or did not read.
    Silent(String),
    /// The socket failed: most clients that end leave it so.
    Lost(String),
    /// It was cut off at shutdown.
    CutOff,
}

// === impl CloseReason ===

impl CloseReason {
    /// The reason for which serving a connection failed, once it is closed. `silence` is
    /// the longest time for which a client may be silent.
    pub(super) fn from_error(error: &hyper::Error, trace: &Trace, silence: Duration) -> Self {
        if let Some(kind) = foreign_protocol(trace.first()) {
            return Self::NotHttp2(kind);
        }
        if !trace.has_greeted() {
            return Self::NoGreeting;
        }
        if error.is_timeout() {
            return Self::Silent(format!("the client has answered nothing for {silence:?}"));
        }
        if let Some(error) = find_cause::<io::Error>(error) {
            return match error.kind() {
                io::ErrorKind::TimedOut => Self::Silent(error.to_string()),
                _ => Self::Lost(error.to_string()),
            };
        }
        match find_cause::<h2::Error>(error) {
            None => Self::Lost(error.to_string()),
            Some(http2) if http2.is_remote() => Self::EndedByClient(http2.to_string()),
            Some(http2) => Self::Misbehaved(match (http2.reason(), trace.farewell()) {
                (Some(code), Some(reason)) => format!("{code:?}, {reason}"),
                (Some(code), None) => format!("{code:?}"),
                (None, _) => http2.to_string(),
            }),
        }
    }

    /// Writes the line, unless the log has enough of this peer.
    pub(super) fn log(&self, connection: &ConnectionLog) {
        let peer = &connection.peer;
        match self {
            Self::InOrder => debug!(target: CONNECTIONS, %peer, "connection closed"),
            Self::NoGreeting => {
                debug!(target: CONNECTIONS, %peer, "connection closed: it said nothing");
            }
            Self::Lost(why) => debug!(target: CONNECTIONS, %peer, why, "connection lost"),
            _ if !connection.admits_line() => {}
            Self::NotHttp2(kind) => info!(
                target: CONNECTIONS,
                %peer,
                "connection closed: the client speaks {kind}, and not gRPC over HTTP/2 without TLS"
            ),
            Self::Silent(why) => info!(target: CONNECTIONS, %peer, why, "connection closed"),
            Self::EndedByClient(why) => {
                info!(target: CONNECTIONS, %peer, why, "connection closed by the client");
            }
            Self::Misbehaved(why) => warn!(
                target: CONNECTIONS,
                %peer,
                why,
                "connection closed: the client broke the rules of HTTP/2, or its limits"
            ),
            Self::CutOff => info!(target: CONNECTIONS, %peer, "connection cut off"),
        }
    }
}

/// What a client that does not speak HTTP/2 seems to speak instead.
fn foreign_protocol(first: &[u8]) -> Option<&'static str> {
    const HTTP1: [&[u8]; 7] =
        [b"GET ", b"POST ", b"HEAD ", b"PUT ", b"OPTIONS ", b"DELETE ", b"CONNECT "];
    // A handshake record of any version.
    if first.starts_with(&[0x16, 0x03]) {
        Some("TLS")
    } else if HTTP1.iter().any(|method| first.starts_with(method)) {
        Some("HTTP/1")
    } else if !first.is_empty() && !b"PRI * HTTP/2.0".starts_with(first.get(..14).unwrap_or(first))
    {
        Some("something else")
    } else {
        None
    }
}

/// The error of a type that another one comes from.
fn find_cause<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_http2_is_recognised_by_its_first_bytes() {
        for (first, want) in [
            (&b""[..], None),
            (b"P", None),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", None),
            (b"POST / HTTP/1.1\r\n", Some("HTTP/1")),
            (b"GET / HTTP/1.1\r\n", Some("HTTP/1")),
            (b"\x16\x03\x01\x02\x00", Some("TLS")),
            (b"SSH-2.0-OpenSSH", Some("something else")),
        ] {
            assert_eq!(foreign_protocol(first), want, "{first:?}");
        }
    }
}
