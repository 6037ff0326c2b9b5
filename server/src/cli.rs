//! The command line: one file for each command, named after it; `schema` is one line
//! here.
//!
//! Shared by commands: `args` declares arguments, `environment` reads variables, and
//! `exit_codes` describes the exit codes for `--help`; `policy_input` reads a policy from a
//! file or from standard input, and `daemon_client` asks a running daemon; `words` and
//! `output` print. `settings` declares the flags of `serve`, and `welcome` is the text that
//! `serve` prints if it serves the example policy.

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

/// Each command has exit codes of its own. The program's help shows those of `serve`.
const EXIT_CODES_HINT: &str =
    "`presence-router COMMAND --help` prints the exit codes of that command.";

/// Decide who may see whose Matrix presence, and answer homeservers over gRPC
///
/// Without a command, the program runs `serve`. Without settings, `serve` answers from an
/// example policy, on local addresses only.
#[derive(Debug, Parser)]
#[command(name = "presence-router", version, after_help = format!("{}\n\n{EXIT_CODES_HINT}", exit_codes::SERVE))]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    serve: Settings,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon: answer homeservers until a signal stops it
    #[command(after_help = exit_codes::SERVE)]
    Serve(Settings),

    /// Check a policy and run its tests; print its problems, or its warnings and a summary
    #[command(after_help = exit_codes::CHECK)]
    Check(check::CheckArgs),

    /// Explain why a user's presence is visible to another user, or not visible
    #[command(after_help = exit_codes::EXPLAIN)]
    Explain(explain::ExplainArgs),

    /// Compare the answers for each pair of users with a second evaluation of the policy
    #[command(after_help = exit_codes::VERIFY)]
    Verify(verify::VerifyArgs),

    /// Preview another policy: print the pairs of users that would gain or lose visibility
    #[command(after_help = exit_codes::PLAN)]
    Plan(plan::PlanArgs),

    /// Draw the sets of users of a policy, with arrows from senders to recipients
    #[command(after_help = exit_codes::GRAPH)]
    Graph(graph::GraphArgs),

    /// Print the active policy of a daemon
    #[command(after_help = exit_codes::SHOW)]
    Show(show::ShowArgs),

    /// Make a daemon load its policy again, and print the result
    #[command(after_help = exit_codes::RELOAD)]
    Reload(reload::ReloadArgs),

    /// Print the JSON Schema of policies, for editors
    #[command(after_help = exit_codes::PRINT)]
    Schema,

    /// Print sample requests for the call `RouteStates`, as JSON lines for grpcurl
    #[command(after_help = exit_codes::PRINT)]
    Sample(sample::SampleArgs),

    /// Test a server that implements the gRPC contract, and print a table of results
    #[cfg(feature = "conformance")]
    #[command(after_help = exit_codes::CONFORMANCE)]
    Conformance(conformance::ConformanceArgs),

    /// A command that this build lacks; running it explains how to get it
    #[cfg(not(feature = "conformance"))]
    #[command(hide = true)]
    Conformance {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        _arguments: Vec<std::ffi::OsString>,
    },
}

/// Runs a command to its end.
pub(crate) fn run_command(Cli { command, serve: settings }: Cli) -> ExitCode {
    output::exit_code(match command {
        None => serve::serve_homeservers(settings),
        Some(Command::Serve(settings)) => serve::serve_homeservers(settings),
        Some(Command::Check(arguments)) => check::check(&arguments),
        Some(Command::Explain(arguments)) => explain::print_explanation(&arguments),
        Some(Command::Verify(arguments)) => verify::verify_answers(&arguments),
        Some(Command::Plan(arguments)) => plan::preview_policy(&arguments),
        Some(Command::Graph(arguments)) => graph::print_graph(&arguments),
        Some(Command::Show(arguments)) => show::print_active_policy(&arguments),
        Some(Command::Reload(arguments)) => reload::reload_policy(&arguments),
        Some(Command::Schema) => output::print_text(POLICY_SCHEMA),
        Some(Command::Sample(arguments)) => sample::print_sample(&arguments),
        #[cfg(feature = "conformance")]
        Some(Command::Conformance(arguments)) => conformance::run_conformance(&arguments),
        #[cfg(not(feature = "conformance"))]
        Some(Command::Conformance { .. }) => Err(output::Failure::cannot_run(
            "`conformance` is not in this build: build presence-router with the cargo feature \
             `conformance`",
        )),
    })
}
