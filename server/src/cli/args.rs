//! Arguments that several commands share.

use std::path::PathBuf;

use clap::{Args, value_parser};
use presence_router_server::source::folder::MAX_MEMBERS_BYTES;

use super::daemon_client::Address;

/// Which daemon to ask.
#[derive(Debug, Args)]
pub(crate) struct DaemonAddr {
    /// Where the daemon listens: `host:port` or `unix:/path/to/socket` [default:
    /// PRESENCE_ROUTER_ADDR if that is set; else /tmp/presence-router.sock if it belongs to root
    /// or to you, and if nothing answers there 127.0.0.1:9470]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) addr: Option<Address>,
}

/// The limit for the members files of a policy that is read without a daemon.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct MembersLimit {
    /// Most bytes of a members file that is read here, as the daemon's
    /// `limits.members_file_bytes`
    #[arg(long, value_name = "BYTES", default_value_t = MAX_MEMBERS_BYTES, value_parser = value_parser!(u64).range(1..))]
    pub(crate) members_file_bytes: u64,
}

/// What to ask: a daemon, or a file without one.
#[derive(Debug, Args)]
pub(crate) struct PolicySource {
    #[command(flatten)]
    pub(crate) daemon: DaemonAddr,

    /// Ask about this policy instead, without a daemon and with an empty directory; `-` reads
    /// standard input
    #[arg(long, value_name = "FILE", conflicts_with = "addr")]
    pub(crate) policy: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) limit: MembersLimit,
}
