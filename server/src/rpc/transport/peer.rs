//! The other end of a connection, as far as the system names it.

use std::net::{IpAddr, SocketAddr};

/// Where a connection comes from.
#[derive(Clone, Debug)]
pub(in crate::rpc) enum Peer {
    /// An address.
    Tcp(SocketAddr),
    /// A process of this machine, by its number if the system told.
    Unix(Option<i32>),
}

/// What the connections of one client have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::rpc) enum Origin {
    /// Its address.
    Ip(IpAddr),
    /// This machine, by a Unix socket.
    Unix,
}

// === impl Peer ===

impl Peer {
    /// What this connection has in common with others of the client.
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
