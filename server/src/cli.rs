//! The command line: one file for each command, named after it; `schema` is one line
//! here.
//!
//! Shared by commands: `args` are arguments, `environment` the variables that are read, and
//! `exit_codes` what `--help` says of those; `policy_input` reads a policy that a person
//! names, and `daemon_client` asks a running daemon; `words` and `output` print. `welcome`
//! is the text that `serve` prints at a first start, and `settings` are its flags.

mod args;
mod check;
#[cfg(feature = "conformance")]
mod conformance;
mod daemon_client;
mod environment;
mod exit_codes;
mod explain;
mod graph;
mod output;
mod plan;
mod policy_input;
mod reload;
mod sample;
mod serve;
mod settings;
mod show;
mod verify;
mod welcome;
mod words;

use presence_router_engine::POLICY_SCHEMA;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::settings::Settings;

/// The exit codes of the program are those of its commands.
const OF_COMMANDS: &str = "`presence-router COMMAND --help` has the exit codes of a command.";

/// Decides who may see whose Matrix presence, for homeservers that ask by gRPC.
///
/// Without a command it serves, and without any settings the example policy on
/// loopback.
#[derive(Debug, Parser)]
#[command(name = "presence-router", version, after_help = format!("{}\n\n{OF_COMMANDS}", exit_codes::SERVE))]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    serve: Settings,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve homeservers until a signal ends it
    #[command(after_help = exit_codes::SERVE)]
    Serve(Settings),

    /// Check a policy and run its tests: print all problems, or warnings and a summary
    #[command(after_help = exit_codes::CHECK)]
    Check(check::CheckArgs),

    /// Say why one user's presence is visible to another, or why it is not
    #[command(after_help = exit_codes::EXPLAIN)]
    Explain(explain::ExplainArgs),

    /// Compare what is answered with what the policy says, pair by pair
    #[command(after_help = exit_codes::VERIFY)]
    Verify(verify::VerifyArgs),

    /// Tell who would gain and who would lose sight of whom by another policy
    #[command(after_help = exit_codes::PLAN)]
    Plan(plan::PlanArgs),

    /// Draw who sees whom between the sets of a policy
    #[command(after_help = exit_codes::GRAPH)]
    Graph(graph::GraphArgs),

    /// Print the active policy of a daemon
    #[command(after_help = exit_codes::SHOW)]
    Show(show::ShowArgs),

    /// Make a daemon load its policy again, and print what came of it
    #[command(after_help = exit_codes::RELOAD)]
    Reload(reload::ReloadArgs),

    /// Print the JSON Schema of policies, for editors
    #[command(after_help = exit_codes::PRINT)]
    Schema,

    /// Print batches of presence for `RouteStates` as JSON lines, for grpcurl
    #[command(after_help = exit_codes::PRINT)]
    Sample(sample::SampleArgs),

    /// Run scenarios against a server that speaks the contract, and print which it passes
    #[cfg(feature = "conformance")]
    #[command(after_help = exit_codes::CONFORMANCE)]
    Conformance(conformance::ConformanceArgs),

    /// Not in this build
    #[cfg(not(feature = "conformance"))]
    #[command(hide = true)]
    Conformance {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        _arguments: Vec<std::ffi::OsString>,
    },
}

/// Runs a command to its end.
pub(crate) fn run(Cli { command, serve: settings }: Cli) -> ExitCode {
    output::exit_code(match command {
        None => serve::serve(settings),
        Some(Command::Serve(settings)) => serve::serve(settings),
        Some(Command::Check(arguments)) => check::check(&arguments),
        Some(Command::Explain(arguments)) => explain::explain(&arguments),
        Some(Command::Verify(arguments)) => verify::verify(&arguments),
        Some(Command::Plan(arguments)) => plan::plan(&arguments),
        Some(Command::Graph(arguments)) => graph::graph(&arguments),
        Some(Command::Show(arguments)) => show::show(&arguments),
        Some(Command::Reload(arguments)) => reload::reload(&arguments),
        Some(Command::Schema) => output::print(POLICY_SCHEMA),
        Some(Command::Sample(arguments)) => sample::sample(&arguments),
        #[cfg(feature = "conformance")]
        Some(Command::Conformance(arguments)) => conformance::conformance(&arguments),
        #[cfg(not(feature = "conformance"))]
        Some(Command::Conformance { .. }) => Err(output::Failure::cannot_run(
            "`conformance` is not in this build: build it with the cargo feature `conformance`",
        )),
    })
}
