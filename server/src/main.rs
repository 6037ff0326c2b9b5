//! `presence-router`: the daemon and its helpers, as verbs of one binary.

#![forbid(unsafe_code)]

mod cli;

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use presence_router_server::config::{Config, Log, LogFormat};
use presence_router_server::lifecycle::Daemon;
use presence_router_server::live::Source;
use presence_router_server::policy::Policy;
use presence_router_server::{hint, sample};
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command, Sample, Settings};

/// `check` found problems, or the daemon failed.
const FAILED: u8 = 1;

/// Nothing was checked or served.
const CANNOT_RUN: u8 = 2;

fn main() -> ExitCode {
    let Cli { command, serve: settings } = Cli::parse();
    match command {
        None => serve(settings),
        Some(Command::Serve(settings)) => serve(settings),
        Some(Command::Check { policy }) => check(&policy),
        Some(Command::Sample(Sample { batches, size, server_name })) => {
            let mut out = BufWriter::new(io::stdout().lock());
            match sample::write(&mut out, batches, size, &server_name) {
                Ok(()) => ExitCode::SUCCESS,
                // Whoever reads has enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
                Err(error) => fail(CANNOT_RUN, format!("cannot write: {error}")),
            }
        }
    }
}

fn serve(settings: Settings) -> ExitCode {
    let config = match settings.resolve() {
        Ok(config) => config,
        Err(error) => return fail(CANNOT_RUN, error),
    };
    if let Err(error) = start_log(&config.log) {
        return fail(CANNOT_RUN, error);
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(CANNOT_RUN, format!("cannot start threads: {error}")),
    };
    let code = runtime.block_on(run(config));
    // Not to wait for a policy that is being loaded.
    runtime.shutdown_background();
    code
}

async fn run(config: Config) -> ExitCode {
    let daemon = match Daemon::start(config).await {
        Ok(daemon) => daemon,
        Err(error) => return fail(CANNOT_RUN, error),
    };
    if *daemon.source() == Source::Example {
        print!("{}", hint::what_next(&daemon.addresses()));
    }
    match daemon.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(FAILED, error),
    }
}

fn check(path: &Path) -> ExitCode {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) => {
            return fail(
                CANNOT_RUN,
                format!("cannot read the policy `{}`: {error}", path.display()),
            );
        }
    };
    match Policy::parse(&path.display().to_string(), &text) {
        Ok(policy) => {
            println!("{}: {}", path.display(), policy.summary());
            ExitCode::SUCCESS
        }
        Err(problems) => {
            println!("{problems}");
            let count = problems.list.len();
            fail(FAILED, format!("{count} problem{}", if count == 1 { "" } else { "s" }))
        }
    }
}

fn start_log(Log { format, filter }: &Log) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| format!("`{filter}` is not a log filter: {error}"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Plain => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}

fn fail(code: u8, why: impl Display) -> ExitCode {
    eprintln!("presence-router: {why}");
    ExitCode::from(code)
}
