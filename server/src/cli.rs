//! The command line.

mod asking;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};
use presence_router_server::config::{Config, ConfigError, LogFormat, tcp_address};
use presence_router_server::routing::user_id::{ServerName, ServerNameError};

pub(crate) use self::asking::{Asked, Explain, Graph, GraphFormat, Plan, Show, Subject, Verify};
use crate::remote::Address;

const EXIT_CODES: &str = "\
Exit codes:
  0  done; the daemon has shut down in order
  1  `check` found problems or a test failed, `plan` problems of the candidate; `verify` found a
     wrong answer; `reload` was refused; the daemon failed, or was cut off while shutting down
  2  cannot run: bad arguments, settings, policy or socket

Signals:
  SIGHUP           load the policy again; one with problems changes nothing
  SIGTERM, SIGINT  shut down in order; a second one at once";

const CONFORMANCE: &str = r#"Every scenario needs its policy in force. COMMANDs are for `sh`, with
  $POLICY    file with the policy of the scenario
  $SCENARIO  name of the scenario, for servers with policies of their own language
  $SOCKET    Unix socket to listen on, unless --addr says where

Examples:
  presence-router conformance \
      --serve 'presence-router serve --policy "$POLICY" --listen-unix "$SOCKET"'
  presence-router conformance --addr 127.0.0.1:9470 \
      --apply 'cp "$POLICY" policy.yaml && kill -HUP $(pidof presence-router)'
  presence-router conformance --addr 127.0.0.1:9470 --only teams

Exit codes:
  0  all passed
  1  some failed
  2  cannot run: bad arguments or scenarios, no server, a COMMAND that failed"#;

/// Decides who may see whose Matrix presence, for homeservers that ask by gRPC.
///
/// Without a command it serves, and without any settings the example policy on
/// loopback.
#[derive(Debug, Parser)]
#[command(name = "presence-router", version, after_help = EXIT_CODES)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) serve: Settings,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve homeservers until a signal ends it
    #[command(after_help = EXIT_CODES)]
    Serve(Settings),

    /// Check a policy and run its tests: print all problems, or warnings and a summary
    #[command(after_help = EXIT_CODES)]
    Check(Check),

    /// Say why one user's presence is visible to another, or why it is not
    #[command(after_help = EXIT_CODES)]
    Explain(Explain),

    /// Compare what is answered with what the policy says, pair by pair
    #[command(after_help = EXIT_CODES)]
    Verify(Verify),

    /// Tell who would gain and who would lose sight of whom by another policy
    #[command(after_help = EXIT_CODES)]
    Plan(Plan),

    /// Draw who sees whom between the sets of a policy
    #[command(after_help = EXIT_CODES)]
    Graph(Graph),

    /// Print the policy that a daemon has in force
    #[command(after_help = EXIT_CODES)]
    Show(Show),

    /// Make a daemon load its policy again, and print what came of it
    #[command(after_help = EXIT_CODES)]
    Reload(Asked),

    /// Print the JSON Schema of policies, for editors
    Schema,

    /// Print batches of presence for `RouteStates` as JSON lines, for grpcurl
    Sample(Sample),

    /// Run scenarios against a server that speaks the contract, and print which it passes
    #[command(after_help = CONFORMANCE)]
    Conformance(Conformance),
}

/// What to check.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The policy file
    pub(crate) policy: PathBuf,

    /// Warn of every rule that this homeserver cannot enforce in full
    #[arg(long = "for", value_enum, value_name = "HOMESERVER")]
    pub(crate) homeserver: Option<Homeserver>,

    /// Run the tests of every `*.yaml` and `*.yml` in a directory as well
    #[arg(long, value_name = "DIR")]
    pub(crate) tests: Option<PathBuf>,

    /// Let a daemon check it that listens at `host:port` or `unix:/path/to/socket`, and
    /// changes nothing. Of members files, it knows those of the policy in force
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["homeserver", "tests"])]
    pub(crate) addr: Option<Address>,
}

/// Homeservers of which it is known what they enforce.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Homeserver {
    /// Synapse, without changes to it
    Synapse,
}

/// Settings that stand above those of the config file.
#[derive(Debug, Default, Args)]
pub(crate) struct Settings {
    /// YAML file with settings. Flags and environment outrank it; `listen` is replaced as a
    /// whole
    #[arg(long, value_name = "FILE", env = "PRESENCE_ROUTER_CONFIG")]
    config: Option<PathBuf>,

    /// YAML file with the policy [default: the example inside the binary]
    #[arg(long, value_name = "FILE", env = "PRESENCE_ROUTER_POLICY")]
    policy: Option<PathBuf>,

    /// Whether a change of the policy's files comes into force by itself [default: true]
    #[arg(long, value_name = "BOOL", env = "PRESENCE_ROUTER_WATCH_POLICY")]
    watch_policy: Option<bool>,

    /// TCP address to listen on, a loopback one; port 0 takes a free one [default, if no
    /// socket is given either: 127.0.0.1:9470]
    #[arg(long, value_name = "ADDRESS", env = "PRESENCE_ROUTER_LISTEN_TCP", value_parser = tcp_address)]
    listen_tcp: Option<SocketAddr>,

    /// Unix socket to listen on [default, if no address is given either:
    /// /tmp/presence-router.sock]
    #[arg(long, value_name = "PATH", env = "PRESENCE_ROUTER_LISTEN_UNIX")]
    listen_unix: Option<PathBuf>,

    /// How log lines look on standard error [default: plain]
    #[arg(long, value_enum, value_name = "FORMAT", env = "PRESENCE_ROUTER_LOG_FORMAT")]
    log_format: Option<LogFormat>,

    /// What is logged: a level or a filter such as `info,h2=debug`, or
    /// `info,presence_router::calls=debug` for a line for each call [default: info,h2=error]
    #[arg(long, value_name = "FILTER", env = "PRESENCE_ROUTER_LOG")]
    log: Option<String>,
}

/// What to print.
#[derive(Debug, Args)]
pub(crate) struct Sample {
    /// Batches to print
    #[arg(long, default_value_t = 10)]
    pub(crate) batches: u64,

    /// States in each batch; a daemon takes 10000 by default
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u64).range(..=1_000_000))]
    pub(crate) size: u64,

    /// Server name of the caller and of most senders
    #[arg(long, default_value = "example.org", value_parser = server_name)]
    pub(crate) server_name: String,
}

/// What to run, and against what.
#[derive(Debug, Args)]
pub(crate) struct Conformance {
    /// Where the server listens: `host:port` or `unix:PATH`
    #[arg(long, required_unless_present_any = ["serve", "write_policies"])]
    pub(crate) addr: Option<String>,

    /// Start the server by this, anew for each scenario, and end it by SIGTERM
    #[arg(long, value_name = "COMMAND", conflicts_with = "apply")]
    pub(crate) serve: Option<String>,

    /// Give the running server the policy of each scenario by this. Another revision tells that
    /// it is in force
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

fn server_name(text: &str) -> Result<String, ServerNameError> {
    ServerName::parse(text).map(|name| name.as_str().to_owned())
}

// === impl Settings ===

impl Settings {
    /// The settings in force.
    ///
    /// # Errors
    ///
    /// The config file cannot be used.
    pub(crate) fn resolve(self) -> Result<Config, ConfigError> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        if self.listen_tcp.is_some() || self.listen_unix.is_some() {
            config.listen.tcp = self.listen_tcp;
            config.listen.unix = self.listen_unix;
        }
        config.policy = self.policy.or(config.policy);
        config.watch_policy = self.watch_policy.unwrap_or(config.watch_policy);
        config.log.format = self.log_format.unwrap_or(config.log.format);
        config.log.filter = self.log.unwrap_or(config.log.filter);
        Ok(config)
    }
}
