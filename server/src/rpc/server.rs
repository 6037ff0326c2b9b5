//! Runs the services on sockets, from the first connection to the last.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic_health::ServingStatus;
use tracing::{info, warn};

use super::limits::Limits;
use super::services::Services;
use super::transport::access_log::{CallLog, Summaries};
use super::transport::call::CallSettings;
use super::transport::connection::ConnectionServer;
use super::transport::listener::Listener;
use crate::live::Live;

/// The longest wait for the last lines about calls, once the connections are closed.
const LAST_LINES: Duration = Duration::from_secs(1);

/// A failure to serve, or to end in order.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The daemon cannot serve the contract's own descriptors: a fault of the build.
    #[error("the reflection service cannot read the contract's descriptors: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),

    /// Calls were unfinished when the time for the shutdown was over.
    #[error("calls were still under way after {0:?}: they were cut off")]
    CutOff(Duration),
}

/// The tasks of a server's connections.
struct Connections {
    /// One task for each listener.
    accepting: JoinSet<()>,
    /// One task for each connection.
    served: TaskTracker,
    /// Cancelled when the daemon no longer waits for unfinished calls.
    cut_off: CancellationToken,
}

/// Serves until `shutdown` is cancelled, then ends in order: health reports NOT_SERVING, no
/// connection is accepted any more, streams end with a reason, unfinished calls are answered.
///
/// # Errors
///
/// A service cannot start, or calls were cut off at the end.
pub async fn serve(
    live: Arc<Live>,
    limits: Limits,
    listeners: Vec<Listener>,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    // Cancelled after health has changed, so that health watches get NOT_SERVING first.
    let drain = CancellationToken::new();
    let services = Services::new(&live, limits, &drain)?;
    services.set_health(ServingStatus::Serving).await;
    let log = Arc::new(CallLog::default());
    let connections =
        Connections::accept_on_all(&services, limits, listeners, &log, &drain, &shutdown);
    let mut summaries = Summaries::new(&log.statistics);
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = summaries.write_each_minute() => {}
    }
    services.set_health(ServingStatus::NotServing).await;
    drain.cancel();
    info!("shutting down: no new connections, streams end, calls under way are answered");
    let ended = connections.end_all(limits.shutdown, &log).await;
    // The line of a stream whose task hangs is lost, so that the daemon does not wait for ever.
    let _ = timeout(LAST_LINES, log.finish_lines()).await;
    summaries.write();
    ended
}

// === impl Connections ===

impl Connections {
    /// Accepts connections until `shutdown` is cancelled, and serves each in a task of its own.
    fn accept_on_all(
        services: &Services,
        limits: Limits,
        listeners: Vec<Listener>,
        log: &Arc<CallLog>,
        drain: &CancellationToken,
        shutdown: &CancellationToken,
    ) -> Self {
        let cut_off = CancellationToken::new();
        let settings = CallSettings { request_bytes: limits.request_bytes, drain: drain.clone() };
        let server = Arc::new(ConnectionServer::new(
            services.routes(),
            settings,
            Arc::clone(log),
            limits.shutdown,
            cut_off.clone(),
        ));
        let permits = Arc::new(Semaphore::new(limits.connections));
        let (mut accepting, served) = (JoinSet::new(), TaskTracker::new());
        for listener in listeners {
            let (server, served) = (Arc::clone(&server), served.clone());
            let serve = move |connection| {
                let server = Arc::clone(&server);
                served.spawn(async move { server.serve_connection(connection).await });
            };
            accepting.spawn(listener.accept_connections(
                Arc::clone(&permits),
                shutdown.clone(),
                serve,
            ));
        }
        Self { accepting, served, cut_off }
    }

    /// Waits until all connections have ended, and cuts off the connections that take longer.
    async fn end_all(mut self, longest: Duration, log: &CallLog) -> Result<(), ServeError> {
        // Wait for the listeners, or the process could end before a socket's file is removed.
        while self.accepting.join_next().await.is_some() {}
        self.served.close();
        if timeout(longest, self.served.wait()).await.is_ok() {
            return Ok(());
        }
        warn!(after = ?longest, "calls are still under way: cutting them off");
        log.cut_off();
        self.cut_off.cancel();
        self.served.wait().await;
        Err(ServeError::CutOff(longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Source;
    use crate::revision::Epoch;

    /// On one thread, so that no other task removes the file between the end of `serve` and the
    /// check. A process that ends at that moment would leave the file behind.
    #[tokio::test]
    async fn the_socket_is_gone_when_serving_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let live = Live::start(Source::Example, Epoch::random().unwrap()).unwrap();
        let listener = Listener::bind_unix(&path).await.unwrap();
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        serve(Arc::new(live), Limits::SMALL, vec![listener], shutdown).await.unwrap();
        assert!(!path.exists());
    }
}
