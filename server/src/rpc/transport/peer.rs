//! The other end of a connection, as the system reports it.

use std::net::{IpAddr, SocketAddr};

/// The other end of a connection.
#[derive(Clone, Debug)]
pub(in crate::rpc) enum Peer {
    /// An address.
    Tcp(SocketAddr),
    /// A process of this machine, with its id if the system reports it.
    Unix(Option<i32>),
}

/// The origin that all connections of one client share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::rpc) enum Origin {
    /// Its address.
    Ip(IpAddr),
    /// This machine, by a Unix socket.
    Unix,
}

// === impl Peer ===

impl Peer {
    /// The origin that this connection shares with others of the client.
    pub(super) fn origin(&self) -> Origin {
        match self {
            Self::Tcp(address) => Origin::Ip(address.ip()),
            Self::Unix(_) => Origin::Unix,
        }
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(Some(pid)) => write!(f, "pid:{pid}"),
            Self::Unix(None) => f.write_str("unix"),
        }
    }
}

// === impl Origin ===

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}
