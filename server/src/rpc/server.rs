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

/// The longest wait for the last lines about calls, once their connections are
/// closed.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Serving failed.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The contract's own descriptors cannot be served: a fault of the build.
    #[error("reflection failed: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),

    /// Calls were still under way when the time for shutdown was over.
    #[error("calls were still under way after {0:?}: they were cut off")]
    CutOff(Duration),
}

/// The tasks of a server's connections.
struct Connections {
    /// One task for each listener.
    accepting: JoinSet<()>,
    /// One task for each connection.
    served: TaskTracker,
    /// Cancelled when nothing is waited for any more.
    cut_off: CancellationToken,
}

/// Serves until `shutdown` is cancelled, then ends in order: health says
/// NOT_SERVING, nothing is accepted any more, streams end with a reason, calls
/// under way are answered.
///
/// # Errors
///
/// Says what failed, or that the end was not in order.
pub async fn serve(
    live: Arc<Live>,
    limits: Limits,
    listeners: Vec<Listener>,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    // Cancelled after health has said so: who watches it hears NOT_SERVING first.
    let drain = CancellationToken::new();
    let services = Services::new(&live, limits, &drain)?;
    services.set_health(ServingStatus::Serving).await;
    let log = Arc::new(CallLog::default());
    let connections = Connections::accept(&services, limits, listeners, &log, &drain, &shutdown);
    let mut summaries = Summaries::new(&log.statistics);
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = summaries.write_each_minute() => {}
    }
    services.set_health(ServingStatus::NotServing).await;
    drain.cancel();
    info!("shutting down: no new connections, streams end, calls under way are answered");
    let ended = connections.end(limits.shutdown, &log).await;
    // A stream whose task hangs has no line: nothing waits for it for ever.
    let _ = timeout(LAST_LINES, log.written()).await;
    summaries.write();
    ended
}

// === impl Connections ===

impl Connections {
    /// Accepts connections until `shutdown` is cancelled, and serves each in a task of its own.
    fn accept(
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
                served.spawn(async move { server.serve(connection).await });
            };
            accepting.spawn(listener.accept(Arc::clone(&permits), shutdown.clone(), serve));
        }
        Self { accepting, served, cut_off }
    }

    /// Waits until all connections have ended, and cuts those off that take longer.
    async fn end(mut self, longest: Duration, log: &CallLog) -> Result<(), ServeError> {
        // Without waiting for them the process could end before a socket's file is gone.
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

    /// On one thread: nobody else takes the file away between the end of `serve`
    /// and the look at it. A process that ends right then would leave it behind.
    #[tokio::test]
    async fn the_socket_is_gone_when_serving_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let live = Live::start(Source::Example, Epoch::random().unwrap()).unwrap();
        let listener = Listener::unix(&path).await.unwrap();
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        serve(Arc::new(live), Limits::SMALL, vec![listener], shutdown).await.unwrap();
        assert!(!path.exists());
    }
}
