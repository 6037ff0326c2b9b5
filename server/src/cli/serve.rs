//! `presence-router serve`: the daemon as a process, with its log, its threads and its
//! exit code.

use presence_router_server::config::Config;
use presence_router_server::lifecycle::{Daemon, StartError};
use presence_router_server::live::Source;
use presence_router_server::logging::{self, LogFormat};
use tracing::{error, info, warn};

use super::output::{Failure, Outcome, print};
use super::settings::Settings;
use super::{environment, welcome};

pub(super) fn serve(settings: Settings) -> Outcome {
    let config = settings.resolve().map_err(Failure::cannot_run)?;
    logging::start(config.log.format, &config.log.filter).map_err(Failure::cannot_run)?;
    for warning in environment::misspelt_variables(&environment::ALL) {
        warn!("{warning}");
    }
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::cannot_run(format!("cannot start threads: {error}")))?;
    let outcome = runtime.block_on(run_daemon(config));
    // Not to wait for a policy that is being loaded.
    runtime.shutdown_background();
    logging::flush();
    outcome
}

async fn run_daemon(config: Config) -> Outcome {
    let format = config.log.format;
    let daemon = match Daemon::start(config).await {
        Ok(daemon) => daemon,
        Err(stopped @ StartError::Stopped(_)) => {
            info!("{stopped}");
            return Ok(());
        }
        Err(error) => {
            log_failure(format, &error.to_string());
            return Err(Failure::cannot_run_silently());
        }
    };
    if *daemon.source() == Source::Example {
        let text = welcome::welcome_text(&daemon.addresses());
        // Nobody has to read it, and nothing waits for a full pipe.
        tokio::task::spawn_blocking(move || print(&text));
    }
    daemon.run().await.map_err(|error| {
        log_failure(format, &error.to_string());
        Failure::failed_silently()
    })
}

/// Writes the reason for the end into the log, behind all that it holds already: a line of
/// standard error's own could come before those.
fn log_failure(format: LogFormat, why: &str) {
    match format {
        LogFormat::Plain => logging::write_line(&format!("presence-router: {why}")),
        // Who reads the log expects nothing but objects.
        LogFormat::Json => error!("{why}"),
    }
}
