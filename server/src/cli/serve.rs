//! `presence-router serve`: the daemon as a process, with its log, its threads and its
//! exit code.

use presence_router_server::config::Config;
use presence_router_server::lifecycle::{Daemon, StartError};
use presence_router_server::live::Source;
use presence_router_server::logging::{self, LogFormat};
use tracing::{error, info, warn};

use super::output::{Failure, Outcome, print_text};
use super::settings::Settings;
use super::{environment, welcome};

pub(super) fn serve_homeservers(settings: Settings) -> Outcome {
    let config = settings.resolve_config().map_err(Failure::cannot_run)?;
    logging::start(config.log.format, &config.log.filter).map_err(Failure::cannot_run)?;
    for warning in environment::misspelt_variables(&environment::ALL) {
        warn!("{warning}");
    }
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::cannot_run(format!("cannot start threads: {error}")))?;
    let outcome = runtime.block_on(run_daemon(config));
    // Does not wait for a policy that is still loading.
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
        let text = welcome::welcome_text(&daemon.listen_addresses());
        // The text is optional: a full pipe must not delay the daemon.
        tokio::task::spawn_blocking(move || print_text(&text));
    }
    daemon.serve_until_signal().await.map_err(|error| {
        log_failure(format, &error.to_string());
        Failure::failed_silently()
    })
}

/// Writes the reason for the end to the log, behind all lines that the log still buffers. A
/// line written directly to standard error could come before them.
fn log_failure(format: LogFormat, why: &str) {
    match format {
        LogFormat::Plain => logging::write_line(&format!("presence-router: {why}")),
        // Readers of a JSON log expect objects only.
        LogFormat::Json => error!("{why}"),
    }
}
