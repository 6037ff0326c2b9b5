//! Arguments that several commands share.

use std::path::PathBuf;

use clap::{Args, value_parser};
use presence_router_server::source::folder::MAX_MEMBERS_BYTES;

use super::daemon_client::Address;

/// The daemon to ask.
#[derive(Debug, Args)]
pub(crate) struct DaemonAddr {
    /// Address of the daemon: `host:port` or `unix:/path/to/socket` [default: the variable
    /// PRESENCE_ROUTER_ADDR; without it, the socket /tmp/presence-router.sock if it belongs to
    /// root or to you; if nothing answers there, 127.0.0.1:9470]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) addr: Option<Address>,
}

/// The size limit for members files of a policy that the command itself reads.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct MembersLimit {
    /// Maximum size of a members file that this command reads itself. Give the value of the
    /// daemon's setting `limits.members_file_bytes`
    #[arg(long, value_name = "BYTES", default_value_t = MAX_MEMBERS_BYTES, value_parser = value_parser!(u64).range(1..))]
    pub(crate) members_file_bytes: u64,
}

/// The policy to ask about: the active policy of a daemon, or a file without a daemon.
#[derive(Debug, Args)]
pub(crate) struct PolicySource {
    #[command(flatten)]
    pub(crate) daemon: DaemonAddr,

    /// Use the policy in this file instead of the active policy of a daemon; groups with
    /// `directory: true` are then empty. `-` reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "addr")]
    pub(crate) policy: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) limit: MembersLimit,
}
