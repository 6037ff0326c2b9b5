//! A daemon's life: start, signals, reloads, end.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::config::{Config, Listen, LogFormat};
use crate::descriptors::DescriptorLimit;
use crate::live::{Live, LoadError, Source};
use crate::logging;
use crate::reloader::Reloader;
use crate::revision::Epoch;
use crate::rpc::limits::Limits;
use crate::rpc::server::{self, ServeError};
use crate::rpc::transport::listener::{ListenError, Listener};
use crate::source::progress::Progress;

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The policy.
    #[error("{0}")]
    Policy(#[from] LoadError),

    /// A socket.
    #[error("{0}")]
    Listen(#[from] ListenError),

    /// The operating system.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),

    /// A signal came before the policy was loaded. This is no failure.
    #[error("{0} before the policy was loaded: nothing was served")]
    Stopped(&'static str),
}

/// A daemon that is ready to serve.
#[derive(Debug)]
pub struct Daemon {
    live: Arc<Live>,
    watch_policy: bool,
    log_format: LogFormat,
    limits: Limits,
    listeners: Vec<Listener>,
    signals: Signals,
}

#[derive(Debug)]
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

// === impl Daemon ===

impl Daemon {
    /// Loads the policy and binds the sockets.
    ///
    /// # Errors
    ///
    /// Says what is in the way. Nothing is served then.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        // First, so that no signal takes a daemon that is half started.
        let mut signals = Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        // Caught once, it ends the process no more: a log that has reached the size
        // that the system allows for a file is lost, and nothing else.
        let _file_size = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
        let descriptors = DescriptorLimit::raise();
        let settings = config.load_settings();
        let source = config.policy.map_or(Source::Example, Source::File);
        let (progress, epoch) = (Progress::default(), Epoch::random()?);
        let of_load = progress.clone();
        debug!("loading the policy");
        // A large policy takes long, and signals must be taken meanwhile.
        let load =
            tokio::task::spawn_blocking(move || Live::start_with(source, settings, of_load, epoch));
        let live = tokio::select! {
            loaded = progress.log_during(load) => loaded.map_err(std::io::Error::other)??,
            _ = signals.terminate.recv() => return Err(StartError::Stopped("SIGTERM")),
            _ = signals.interrupt.recv() => return Err(StartError::Stopped("SIGINT")),
        };
        let live = Arc::new(live);
        let mut listeners = Vec::new();
        let Listen { tcp, unix } = config.listen.resolved();
        if let Some(address) = tcp {
            listeners.push(Listener::tcp(address).await?);
        }
        if let Some(path) = unix {
            listeners.push(Listener::unix(&path).await?);
        }
        let (watch_policy, log_format) = (config.watch_policy, config.log.format);
        let mut limits = Limits::from(config.limits);
        limits.connections = descriptors.connections(limits.connections);
        Ok(Self { live, watch_policy, log_format, limits, listeners, signals })
    }

    /// Where the daemon listens.
    pub fn addresses(&self) -> Vec<&str> {
        self.listeners.iter().map(Listener::address).collect()
    }

    /// Where the policy comes from.
    pub fn source(&self) -> &Source {
        self.live.source()
    }

    /// Serves until a signal ends it. A second signal ends the process at once.
    ///
    /// # Errors
    ///
    /// Serving failed, or the end was not in order.
    pub async fn run(self) -> Result<(), ServeError> {
        let Self { live, watch_policy, log_format, limits, listeners, mut signals } = self;
        let revision = live.now().revision;
        for listener in &listeners {
            info!(address = listener.address(), policy = %live.source(), %revision, "serving");
        }
        let shutdown = CancellationToken::new();
        let reload = Arc::new(Notify::new());
        let reloader = Reloader::new(Arc::clone(&live), watch_policy, log_format);
        tokio::spawn(reloader.run(Arc::clone(&reload)));
        let end = shutdown.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = signals.hangup.recv() => reload.notify_one(),
                    _ = signals.terminate.recv() => stop(&end, "SIGTERM"),
                    _ = signals.interrupt.recv() => stop(&end, "SIGINT"),
                }
            }
        });
        server::serve(live, limits, listeners, shutdown).await?;
        info!("shut down");
        Ok(())
    }
}

fn stop(shutdown: &CancellationToken, signal: &str) {
    if shutdown.is_cancelled() {
        warn!(signal, "second signal: ending at once");
        logging::flush_at_once();
        std::process::exit(1);
    }
    info!(signal, "shutting down");
    shutdown.cancel();
}
