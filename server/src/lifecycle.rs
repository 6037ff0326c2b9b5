//! The daemon's lifecycle: start, signals, shutdown.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::config::{Config, Listen};
use crate::descriptors::DescriptorLimit;
use crate::live::{Live, LoadError, Source};
use crate::logging::{self, LogFormat};
use crate::reloader::Reloader;
use crate::revision::Epoch;
use crate::rpc::limits::Limits;
use crate::rpc::server::{self, ServeError};
use crate::rpc::transport::listener::{ListenError, Listener};
use crate::source::progress::Progress;

/// The reason for which the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The policy cannot be loaded.
    #[error("{0}")]
    Policy(#[from] LoadError),

    /// The daemon cannot listen on a socket.
    #[error("{0}")]
    Listen(#[from] ListenError),

    /// The operating system refused a signal handler, random numbers or a thread.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),

    /// A signal arrived before the policy was loaded. This is not a failure.
    #[error("{0} arrived before the policy was loaded: the daemon served nothing")]
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
    end: EndSignals,
}

/// The signals that end the daemon.
#[derive(Debug)]
struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
}

// === impl Daemon ===

impl Daemon {
    /// Loads the policy and binds the sockets.
    ///
    /// # Errors
    ///
    /// The policy cannot be loaded, a socket cannot be bound, the operating system refused a
    /// resource, or a signal arrived first. The daemon serves nothing then.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        // First, so that no signal kills a half-started daemon.
        let mut signals = Signals {
            hangup: signal(SignalKind::hangup())?,
            end: EndSignals {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            },
        };
        // Once caught, SIGXFSZ no longer ends the process: a log file at the system's size
        // limit then costs log lines, and nothing else.
        let _file_size = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
        let descriptors = DescriptorLimit::raise();
        let settings = config.load_settings();
        let source = config.policy.map_or(Source::Example, Source::File);
        let (progress, epoch) = (Progress::default(), Epoch::random()?);
        let load_progress = progress.clone();
        debug!("loading the policy");
        // A large policy takes long to load, and the daemon must handle signals meanwhile.
        let load = tokio::task::spawn_blocking(move || {
            Live::start_with(source, settings, load_progress, epoch)
        });
        let live = tokio::select! {
            loaded = progress.log_during(load) => loaded.map_err(std::io::Error::other)??,
            signal = signals.end.next_signal() => return Err(StartError::Stopped(signal)),
        };
        let live = Arc::new(live);
        let mut listeners = Vec::new();
        let Listen { tcp, unix } = config.listen.with_defaults();
        if let Some(address) = tcp {
            listeners.push(Listener::bind_tcp(address).await?);
        }
        if let Some(path) = unix {
            listeners.push(Listener::bind_unix(&path).await?);
        }
        let (watch_policy, log_format) = (config.watch_policy, config.log.format);
        let mut limits = Limits::from(config.limits);
        limits.connections = descriptors.allowed_connections(limits.connections);
        Ok(Self { live, watch_policy, log_format, limits, listeners, signals })
    }

    /// The addresses that the daemon listens on.
    pub fn listen_addresses(&self) -> Vec<&str> {
        self.listeners.iter().map(Listener::address).collect()
    }

    /// The source of the policy.
    pub fn source(&self) -> &Source {
        self.live.source()
    }

    /// Serves until a signal ends the daemon. A second signal ends the process at once.
    ///
    /// # Errors
    ///
    /// Serving failed, or the shutdown had to cut off calls.
    pub async fn serve_until_signal(self) -> Result<(), ServeError> {
        let Self { live, watch_policy, log_format, limits, listeners, signals } = self;
        let revision = live.current().revision;
        for listener in &listeners {
            info!(address = listener.address(), policy = %live.source(), %revision, "serving");
        }
        let shutdown = CancellationToken::new();
        let Signals { hangup, end } = signals;
        let reloader = Reloader::new(Arc::clone(&live), watch_policy, log_format);
        tokio::spawn(reloader.reload_on_triggers(hangup));
        tokio::spawn(stop_on_signals(end, shutdown.clone()));
        server::serve(live, limits, listeners, shutdown).await?;
        info!("shut down");
        Ok(())
    }
}

/// Begins an orderly shutdown at the first signal, and ends the process at the second.
async fn stop_on_signals(mut signals: EndSignals, shutdown: CancellationToken) {
    let signal = signals.next_signal().await;
    info!(signal, "shutting down");
    shutdown.cancel();
    let signal = signals.next_signal().await;
    warn!(signal, "second signal: ending the process at once");
    logging::flush_at_once();
    std::process::exit(1);
}

// === impl EndSignals ===

impl EndSignals {
    /// Waits for one of the signals, and returns its name.
    async fn next_signal(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
