//! The command line.

mod asking;
pub(crate) mod environment;
mod exit_codes;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};
use presence_router_ids::{ServerName, ServerNameError};
use presence_router_server::config::{Config, Listen, LogFormat, socket_path, tcp_address};
use presence_router_server::logging;

pub(crate) use self::asking::{
    Explain, Graph, GraphFormat, MembersLimit, Plan, Reload, Show, Subject, Verify,
};
use crate::remote::Address;

/// The exit codes of the program are those of its verbs.
const OF_VERBS: &str = "`presence-router COMMAND --help` has the exit codes of a command.";

/// Decides who may see whose Matrix presence, for homeservers that ask by gRPC.
///
/// Without a command it serves, and without any settings the example policy on
/// loopback.
#[derive(Debug, Parser)]
#[command(name = "presence-router", version, after_help = format!("{}\n\n{OF_VERBS}", exit_codes::SERVE))]
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
    #[command(after_help = exit_codes::SERVE)]
    Serve(Settings),

    /// Check a policy and run its tests: print all problems, or warnings and a summary
    #[command(after_help = exit_codes::CHECK)]
    Check(Check),

    /// Say why one user's presence is visible to another, or why it is not
    #[command(after_help = exit_codes::EXPLAIN)]
    Explain(Explain),

    /// Compare what is answered with what the policy says, pair by pair
    #[command(after_help = exit_codes::VERIFY)]
    Verify(Verify),

    /// Tell who would gain and who would lose sight of whom by another policy
    #[command(after_help = exit_codes::PLAN)]
    Plan(Plan),

    /// Draw who sees whom between the sets of a policy
    #[command(after_help = exit_codes::GRAPH)]
    Graph(Graph),

    /// Print the policy that a daemon has in force
    #[command(after_help = exit_codes::SHOW)]
    Show(Show),

    /// Make a daemon load its policy again, and print what came of it
    #[command(after_help = exit_codes::RELOAD)]
    Reload(Reload),

    /// Print the JSON Schema of policies, for editors
    #[command(after_help = exit_codes::PRINT)]
    Schema,

    /// Print batches of presence for `RouteStates` as JSON lines, for grpcurl
    #[command(after_help = exit_codes::PRINT)]
    Sample(Sample),

    /// Run scenarios against a server that speaks the contract, and print which it passes
    #[command(after_help = exit_codes::CONFORMANCE)]
    Conformance(Conformance),
}

/// What to check.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The policy file; `-` reads standard input, with members files relative to the current
    /// directory
    pub(crate) policy: PathBuf,

    #[command(flatten)]
    pub(crate) limit: MembersLimit,

    /// Warn of every rule that this homeserver cannot enforce in full
    #[arg(long = "for", value_enum, value_name = "HOMESERVER")]
    pub(crate) homeserver: Option<Homeserver>,

    /// Run the tests of every `*.yaml` and `*.yml` in a directory as well
    #[arg(long, value_name = "DIR")]
    pub(crate) tests: Option<PathBuf>,

    /// Let the daemon at `host:port` or `unix:/path/to/socket` check it, which changes nothing.
    /// Of members files, the daemon reads those of its active policy only
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
    /// whole [env: PRESENCE_ROUTER_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// YAML file with the policy [default: the example inside the binary] [env:
    /// PRESENCE_ROUTER_POLICY]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Whether a change of the policy's files comes into force by itself [default: true] [env:
    /// PRESENCE_ROUTER_WATCH_POLICY]
    #[arg(long, value_name = "BOOL")]
    watch_policy: Option<bool>,

    /// TCP address to listen on, a loopback one; port 0 takes a free one [default, if no
    /// socket is given either: 127.0.0.1:9470] [env: PRESENCE_ROUTER_LISTEN_TCP]
    #[arg(long, value_name = "ADDRESS", value_parser = tcp_address)]
    listen_tcp: Option<SocketAddr>,

    /// Path of a Unix socket to listen on [default, if no address is given either:
    /// /tmp/presence-router.sock] [env: PRESENCE_ROUTER_LISTEN_UNIX]
    #[arg(long, value_name = "PATH", value_parser = PathBufValueParser::new().try_map(|path| socket_path(&path)))]
    listen_unix: Option<PathBuf>,

    /// How log lines look on standard error [default: plain] [env: PRESENCE_ROUTER_LOG_FORMAT]
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,

    /// What is logged: a level or a filter such as `info,h2=debug`, or
    /// `info,presence_router::calls=debug` for a line for each call [default: info,h2=error]
    /// [env: PRESENCE_ROUTER_LOG]
    #[arg(long, value_name = "FILTER")]
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
    /// Where the server listens: `host:port` or `unix:/path/to/socket`
    #[arg(long, value_name = "ADDRESS", required_unless_present_any = ["serve", "write_policies"])]
    pub(crate) addr: Option<Address>,

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
    /// The settings: flags over environment over config file over defaults. A variable that
    /// a flag outranks is not read.
    ///
    /// # Errors
    ///
    /// A variable or the config file cannot be used.
    pub(crate) fn resolve(self) -> Result<Config, String> {
        use environment::{read_path, read_text};
        let any_path = |path| Ok(path);
        let file = flag_or_variable(self.config, || read_path(environment::CONFIG, any_path))?;
        let mut config = match &file {
            Some(path) => read_config(path)?,
            None => Config::default(),
        };
        let tcp =
            flag_or_variable(self.listen_tcp, || read_text(environment::LISTEN_TCP, tcp_address))?;
        let unix = flag_or_variable(self.listen_unix, || {
            read_path(environment::LISTEN_UNIX, |path| socket_path(&path))
        })?;
        if tcp.is_some() || unix.is_some() {
            config.listen = Listen { tcp, unix };
        }
        let policy = flag_or_variable(self.policy, || read_path(environment::POLICY, any_path))?;
        config.policy = policy.or(config.policy);
        let watch = flag_or_variable(self.watch_policy, || {
            read_text(environment::WATCH_POLICY, parse_bool)
        })?;
        config.watch_policy = watch.unwrap_or(config.watch_policy);
        let format = flag_or_variable(self.log_format, || {
            read_text(environment::LOG_FORMAT, parse_log_format)
        })?;
        config.log.format = format.unwrap_or(config.log.format);
        let filter = flag_or_variable(self.log, || {
            read_text(environment::LOG, |filter| {
                logging::check_filter(filter).map(|()| filter.to_owned())
            })
        })?;
        config.log.filter = filter.unwrap_or(config.log.filter);
        Ok(config)
    }
}

fn read_config(path: &Path) -> Result<Config, String> {
    let config = Config::read(path).map_err(|error| error.to_string())?;
    // Filters are known where the log is made, not where settings are read.
    logging::check_filter(&config.log.filter)
        .map_err(|why| format!("{}: `filter` in the section `log`: {why}", path.display()))?;
    Ok(config)
}

/// The value of a flag; where the flag is not set, that of a variable.
fn flag_or_variable<T>(
    flag: Option<T>,
    variable: impl FnOnce() -> Result<Option<T>, String>,
) -> Result<Option<T>, String> {
    if flag.is_some() { Ok(flag) } else { variable() }
}

fn parse_bool(text: &str) -> Result<bool, &'static str> {
    text.parse().map_err(|_| "`true` and `false` are valid here")
}

fn parse_log_format(text: &str) -> Result<LogFormat, &'static str> {
    LogFormat::from_str(text, false).map_err(|_| "`plain` and `json` are valid here")
}
