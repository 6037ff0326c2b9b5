//! The reason why a connection was closed, with its line in the log.
//!
//! Port checks are of no interest: clients that send no HTTP/2 are logged at `debug`, and so are
//! clients that simply went away, since their calls have lines of their own.

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
    /// One side closed the connection, and no call was lost.
    InOrder,
    /// The client did not send the beginning of HTTP/2.
    NoGreeting,
    /// The client speaks another protocol: the name of this protocol.
    NotHttp2(&'static str),
    /// The client broke the rules of HTTP/2, or exceeded limits that a working client never
    /// reaches.
    Misbehaved(String),
    /// The client ended the connection with an error.
    EndedByClient(String),
    /// The client did not answer, or did not read.
    Silent(String),
    /// The socket failed: most clients that exit leave it so.
    Lost(String),
    /// The daemon cut the connection off at shutdown.
    CutOff,
}

// === impl CloseReason ===

impl CloseReason {
    /// Returns the reason for an error of a closed connection. `silence` is the longest time for
    /// which a client may be silent.
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
            Some(http2) => Self::Misbehaved(match (http2.reason(), trace.last_goaway_reason()) {
                (Some(code), Some(reason)) => format!("{code:?}, {reason}"),
                (Some(code), None) => format!("{code:?}"),
                (None, _) => http2.to_string(),
            }),
        }
    }

    /// Writes the line, unless the log has enough lines about this peer.
    pub(super) fn log_line(&self, connection: &ConnectionLog) {
        let peer = &connection.peer;
        match self {
            Self::InOrder => debug!(target: CONNECTIONS, %peer, "connection closed"),
            Self::NoGreeting => {
                debug!(
                    target: CONNECTIONS,
                    %peer,
                    "connection closed: the client sent no HTTP/2 preface"
                );
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

/// Guesses the protocol of a client that does not speak HTTP/2.
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

/// Finds the cause of an error that has the type `T`.
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
    fn other_protocols_are_recognised_by_their_first_bytes() {
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
