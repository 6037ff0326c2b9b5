//! A daemon's life: start, signals, reloads, end.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::{Config, Listen};
use crate::descriptors::DescriptorLimit;
use crate::live::{Live, LoadError, Loaded, Source};
use crate::logging;
use crate::policy_files::PolicyFiles;
use crate::revision::Epoch;
use crate::rpc::listener::{ListenError, Listener};
use crate::rpc::server::{self, Limits, ServeError};

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
}

/// A daemon that is ready to serve.
#[derive(Debug)]
pub struct Daemon {
    live: Arc<Live>,
    watch_policy: bool,
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
        let signals = Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        // Caught once, it ends the process no more: a log that has reached the size
        // that the system allows for a file is lost, and nothing else.
        let _file_size = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
        let descriptors = DescriptorLimit::raise();
        let source = config.policy.map_or(Source::Example, Source::File);
        let live = Arc::new(Live::start(source, Epoch::random()?)?);
        let mut listeners = Vec::new();
        let Listen { tcp, unix } = config.listen.resolved();
        if let Some(address) = tcp {
            listeners.push(Listener::tcp(address).await?);
        }
        if let Some(path) = unix {
            listeners.push(Listener::unix(&path).await?);
        }
        let (watch_policy, mut limits) = (config.watch_policy, Limits::from(config.limits));
        limits.connections = descriptors.connections(limits.connections);
        Ok(Self { live, watch_policy, limits, listeners, signals })
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
        let Self { live, watch_policy, limits, listeners, mut signals } = self;
        let revision = live.now().revision;
        for listener in &listeners {
            info!(address = listener.address(), policy = %live.source(), %revision, "serving");
        }
        let shutdown = CancellationToken::new();
        let reload = Arc::new(Notify::new());
        let files = PolicyFiles::new(&live, watch_policy);
        tokio::spawn(reloads(Arc::clone(&live), Arc::clone(&reload), files));
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

/// Loads the policy when asked, and when its files change. However often that is
/// during a load, one more load follows it. After each, and after those that others
/// ask for, the files that it was of are those to watch.
async fn reloads(live: Arc<Live>, asked: Arc<Notify>, files: PolicyFiles) {
    let (mut changes, mut loads) = (files.changes(), live.files());
    let files = Arc::new(Mutex::new(files));
    loop {
        let by_hand = tokio::select! {
            () = asked.notified() => Some(true),
            () = changes.changed() => Some(false),
            Ok(()) = loads.changed() => None,
        };
        let (loading, files) = (Arc::clone(&live), Arc::clone(&files));
        let done = tokio::task::spawn_blocking(move || {
            // Poison is no harm: a watch that was not replaced is still one.
            let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
            if by_hand.is_none() {
                files.follow();
            }
            by_hand.map(|by_hand| files.load(&loading, by_hand))
        });
        let (loaded, news) = match done.await {
            Ok(Some(loaded)) => loaded,
            Ok(None) => continue,
            Err(panic) => {
                error!(%panic, "loading the policy failed, the one before it stays in force");
                continue;
            }
        };
        match loaded {
            Ok(Loaded::Replaced(revision, differences)) => {
                info!(policy = %live.source(), %revision, "policy loaded: {differences}");
            }
            Ok(Loaded::Unchanged(revision)) if news => {
                info!(policy = %live.source(), %revision, "policy is unchanged");
            }
            Err(problem) if news => {
                let revision = live.now().revision;
                error!(policy = %live.source(), %revision, "the policy was not loaded, the one before it stays in force");
                // A record for each, so that none is glued to what stands after it.
                for line in problem.to_string().lines() {
                    error!("{line}");
                }
            }
            Ok(Loaded::Unchanged(_)) | Err(_) => {}
        }
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
