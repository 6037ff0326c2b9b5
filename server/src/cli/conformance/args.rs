//! The arguments of `conformance`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::daemon_client::Address;

/// What to run, and against what.
#[derive(Debug, Args)]
pub(crate) struct ConformanceArgs {
    /// Where the server listens: `host:port` or `unix:/path/to/socket`
    #[arg(long, value_name = "ADDRESS", required_unless_present_any = ["serve", "write_policies"])]
    pub(crate) addr: Option<Address>,

    /// Start the server by this, anew for each scenario, and end it by SIGTERM
    #[arg(long, value_name = "COMMAND", conflicts_with = "apply")]
    pub(crate) serve: Option<String>,

    /// Give the running server the policy of each scenario by this. Another revision tells that
    /// it is active
    #[arg(long, value_name = "COMMAND", requires = "addr")]
    pub(crate) apply: Option<String>,

    /// Run every `*.yaml` of a directory [default: the scenarios inside the binary]
    #[arg(long, value_name = "DIR")]
    pub(crate) scenarios: Option<PathBuf>,

    /// Run this scenario only, and no mistakes. May be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,

    /// Write the policy of each scenario into a directory, and run nothing
    #[arg(long, value_name = "DIR", conflicts_with_all = ["addr", "serve", "apply"])]
    pub(crate) write_policies: Option<PathBuf>,
}
