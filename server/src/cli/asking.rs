//! Arguments of the verbs that ask what a policy is and does.

use std::path::PathBuf;

use clap::{Args, ValueEnum, value_parser};
use presence_router_engine::policy::analyse::verify::{DEFAULT_PAIRS, MAX_PAIRS};
use presence_router_server::files::MAX_MEMBERS_BYTES;

use crate::remote::Address;

/// Which daemon to ask.
#[derive(Debug, Args)]
pub(crate) struct Asked {
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
pub(crate) struct Subject {
    #[command(flatten)]
    pub(crate) daemon: Asked,

    /// Ask about this policy instead, without a daemon and with an empty directory; `-` reads
    /// standard input
    #[arg(long, value_name = "FILE", conflicts_with = "addr")]
    pub(crate) policy: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) limit: MembersLimit,
}

/// Which pair to explain.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// User id of the user whose presence it is, such as `@ann:example.org`
    pub(crate) sender: String,

    /// User id of the user who may see it
    pub(crate) recipient: String,

    #[command(flatten)]
    pub(crate) subject: Subject,

    /// Print JSON instead of a tree
    #[arg(long)]
    pub(crate) json: bool,

    /// Print nothing but errors, and say by the exit code whether the pair is visible
    #[arg(long, short, conflicts_with = "json")]
    pub(crate) quiet: bool,
}

/// How much to verify.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) subject: Subject,

    /// Most pairs to compare; where there are more, some are drawn
    #[arg(long, default_value_t = DEFAULT_PAIRS, value_parser = value_parser!(u64).range(1..=MAX_PAIRS))]
    pub(crate) pairs: u64,

    /// Draw as a run before did, which told its seed
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
}

/// What to show.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    pub(crate) daemon: Asked,

    /// Print where the policy comes from, its rules and its warnings instead of its text
    #[arg(long)]
    pub(crate) about: bool,
}

/// How to load.
#[derive(Debug, Args)]
pub(crate) struct Reload {
    #[command(flatten)]
    pub(crate) daemon: Asked,

    /// Load it even if a members file that listed users lists nobody
    #[arg(long)]
    pub(crate) force: bool,
}

/// What to plan.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// The policy that would take the place of the active one; `-` reads standard input
    #[arg(required_unless_present = "live_rule")]
    pub(crate) candidate: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) subject: Subject,

    /// Plan the same policy with this rule, which is in shadow, taking part
    #[arg(long, value_name = "RULE", conflicts_with = "candidate")]
    pub(crate) live_rule: Option<String>,

    /// How many pairs to name of those gained, and of those lost
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = value_parser!(u32).range(..=1000))]
    pub(crate) samples: u32,

    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to draw.
#[derive(Debug, Args)]
pub(crate) struct Graph {
    /// The policy file, or `-` for standard input; groups of the directory are empty
    pub(crate) policy: PathBuf,

    #[command(flatten)]
    pub(crate) limit: MembersLimit,

    /// For what to draw it
    #[arg(long, value_enum, default_value_t = GraphFormat::Dot)]
    pub(crate) format: GraphFormat,

    /// Most arrows to draw; those of fewer pairs are left out, but no `open` ones
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub(crate) arrows: usize,
}

/// What draws a picture.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum GraphFormat {
    /// Graphviz
    Dot,
    /// Mermaid
    Mermaid,
}
