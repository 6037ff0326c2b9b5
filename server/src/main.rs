//! `presence-router`: the daemon and its helpers, as verbs of one binary.

#![forbid(unsafe_code)]

mod check;
mod cli;
mod conformance;
mod explain;
mod graph;
mod plan;
mod policy_input;
mod reload;
mod remote;
mod show;
mod verify;

use std::fmt::Display;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Parser;
use presence_router_engine::policy;
use presence_router_server::config::{Config, LogFormat};
use presence_router_server::lifecycle::{Daemon, StartError};
use presence_router_server::live::Source;
use presence_router_server::{hint, logging, sample};
use tracing::{error, info, warn};

use crate::cli::{Cli, Command, Sample, Settings, environment};

/// A verb found what should not be, or the daemon failed.
const FAILED: u8 = 1;

/// Nothing was checked or served.
const CANNOT_RUN: u8 = 2;

fn main() -> ExitCode {
    let Cli { command, serve: settings } = Cli::parse();
    match command {
        None => serve(settings),
        Some(Command::Serve(settings)) => serve(settings),
        Some(Command::Check(arguments)) => check::check(&arguments),
        Some(Command::Conformance(arguments)) => conformance::conformance(&arguments),
        Some(Command::Explain(arguments)) => explain::explain(&arguments),
        Some(Command::Verify(arguments)) => verify::verify(&arguments),
        Some(Command::Plan(arguments)) => plan::plan(&arguments),
        Some(Command::Graph(arguments)) => graph::graph(&arguments),
        Some(Command::Show(arguments)) => show::show(&arguments),
        Some(Command::Reload(arguments)) => reload::reload(&arguments),
        Some(Command::Schema) => match print(policy::SCHEMA) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                fail(CANNOT_RUN, format!("cannot write: {error}"))
            }
            _ => ExitCode::SUCCESS,
        },
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
    if let Err(error) = logging::start(&config.log) {
        return fail(CANNOT_RUN, error);
    }
    for warning in environment::misspelt_variables(&environment::ALL) {
        warn!("{warning}");
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(CANNOT_RUN, format!("cannot start threads: {error}")),
    };
    let code = runtime.block_on(run(config));
    // Not to wait for a policy that is being loaded.
    runtime.shutdown_background();
    logging::flush();
    code
}

async fn run(config: Config) -> ExitCode {
    let fail = |code, why: &dyn Display| {
        match config.log.format {
            LogFormat::Plain => logging::write_line(&format!("presence-router: {why}")),
            // Who reads the log expects nothing but objects.
            LogFormat::Json => error!("{why}"),
        }
        ExitCode::from(code)
    };
    let daemon = match Daemon::start(config.clone()).await {
        Ok(daemon) => daemon,
        Err(stopped @ StartError::Stopped(_)) => {
            info!("{stopped}");
            return ExitCode::SUCCESS;
        }
        Err(error) => return fail(CANNOT_RUN, &error),
    };
    if *daemon.source() == Source::Example {
        let hint = hint::what_next(&daemon.addresses());
        // Nobody has to read it, and nothing waits for a full pipe.
        tokio::task::spawn_blocking(move || print(&hint));
    }
    match daemon.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(FAILED, &error),
    }
}

fn fail(code: u8, why: impl Display) -> ExitCode {
    // Standard error may be closed; the code still tells.
    let _ = writeln!(io::stderr(), "presence-router: {why}");
    ExitCode::from(code)
}

/// Prints what was found.
fn printed(found: &str) -> ExitCode {
    match print(found) {
        // A reader who goes away has enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            fail(CANNOT_RUN, format!("cannot write: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Unlike `print!` it does not panic when nobody reads.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
