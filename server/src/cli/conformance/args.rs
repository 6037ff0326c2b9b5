//! The arguments of `conformance`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::daemon_client::Address;

/// The scenarios, and the server under test.
#[derive(Debug, Args)]
pub(crate) struct ConformanceArgs {
    /// Address of the server: `host:port` or `unix:/path/to/socket`
    #[arg(long, value_name = "ADDRESS", required_unless_present_any = ["serve", "write_policies"])]
    pub(crate) addr: Option<Address>,

    /// Start the server with this command for each scenario, and stop it with SIGTERM
    #[arg(long, value_name = "COMMAND", conflicts_with = "apply")]
    pub(crate) serve: Option<String>,

    /// Give the running server the policy of each scenario with this command. The policy is
    /// active when the server answers with another revision
    #[arg(long, value_name = "COMMAND", requires = "addr")]
    pub(crate) apply: Option<String>,

    /// Run the scenario in every `*.yaml` file of a directory [default: the built-in scenarios]
    #[arg(long, value_name = "DIR")]
    pub(crate) scenarios: Option<PathBuf>,

    /// Run only this scenario, without the invalid requests. May be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,

    /// Write the policy of each scenario to a directory, and run no scenario
    #[arg(long, value_name = "DIR", conflicts_with_all = ["addr", "serve", "apply"])]
    pub(crate) write_policies: Option<PathBuf>,
}
