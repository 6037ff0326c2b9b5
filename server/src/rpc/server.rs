//! Runs the services on sockets, from the first connection to the last.

use std::sync::Arc;
use std::time::Duration;

use presence_router_proto::FILE_DESCRIPTOR_SET;
use presence_router_proto::server::policy_service_server::{self, PolicyServiceServer};
use presence_router_proto::server::presence_router_service_server::{
    self, PresenceRouterServiceServer,
};
use presence_router_proto::server::room_service_server::{self, RoomServiceServer};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_reflection::pb;
use tower::Layer as _;
use tracing::{info, warn};

use super::limits::{Limits, MAX_POLICY_REQUEST_BYTES};
use super::services::policy::PolicyAdmin;
use super::services::presence_router::PresenceRouter;
use super::services::room::Rooms;
use super::transport::call::CallSettings;
use super::transport::connection::ConnectionServer;
use super::transport::large_request::LargeRequestLayer;
use super::transport::listener::Listener;
use crate::live::Live;
use crate::rpc::transport::access_log::{CallLog, Summaries};

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
    let (health, health_service) = tonic_health::server::health_reporter();
    // Cancelled after health has said so: who watches it hears NOT_SERVING first.
    let drain = CancellationToken::new();
    let policy = PolicyServiceServer::new(PolicyAdmin::new(Arc::clone(&live), limits))
        .max_decoding_message_size(MAX_POLICY_REQUEST_BYTES);
    let policy = LargeRequestLayer::new(limits.request_bytes).layer(policy);
    let rooms = RoomServiceServer::new(Rooms::new(Arc::clone(&live), limits))
        .max_decoding_message_size(limits.request_bytes);
    let service =
        PresenceRouterServiceServer::new(PresenceRouter::new(live, limits, drain.clone()))
            .max_decoding_message_size(limits.request_bytes);
    set_status(&health, ServingStatus::Serving).await;
    let services = Routes::new(service)
        .add_service(policy)
        .add_service(rooms)
        .add_service(health_service.max_decoding_message_size(limits.request_bytes))
        .add_service(reflection().build_v1()?.max_decoding_message_size(limits.request_bytes))
        .add_service(reflection().build_v1alpha()?.max_decoding_message_size(limits.request_bytes));

    let (log, cut_off) = (Arc::new(CallLog::default()), CancellationToken::new());
    let settings = CallSettings { request_bytes: limits.request_bytes, drain: drain.clone() };
    let server = ConnectionServer::new(
        services,
        settings,
        Arc::clone(&log),
        limits.shutdown,
        cut_off.clone(),
    );
    let server = Arc::new(server);
    let permits = Arc::new(Semaphore::new(limits.connections));
    let (mut accepting, connections) = (JoinSet::new(), TaskTracker::new());
    for listener in listeners {
        let (server, connections) = (Arc::clone(&server), connections.clone());
        let serve = move |connection| {
            let server = Arc::clone(&server);
            connections.spawn(async move { server.serve(connection).await });
        };
        accepting.spawn(listener.accept(Arc::clone(&permits), shutdown.clone(), serve));
    }

    let mut summaries = Summaries::new(&log.statistics);
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = summaries.write_each_minute() => {}
    }
    set_status(&health, ServingStatus::NotServing).await;
    drain.cancel();
    info!("shutting down: no new connections, streams end, calls under way are answered");
    // Without waiting for them the process could end before a socket's file is gone.
    while accepting.join_next().await.is_some() {}
    connections.close();
    let ended = if timeout(limits.shutdown, connections.wait()).await.is_ok() {
        Ok(())
    } else {
        warn!(after = ?limits.shutdown, "calls are still under way: cutting them off");
        log.cut_off();
        cut_off.cancel();
        connections.wait().await;
        Err(ServeError::CutOff(limits.shutdown))
    };
    // A stream whose task hangs has no line: nothing waits for it for ever.
    let _ = timeout(LAST_LINES, log.written()).await;
    summaries.write();
    ended
}

/// For the whole process (the empty name) and for each service.
async fn set_status(health: &tonic_health::server::HealthReporter, status: ServingStatus) {
    let services = [
        presence_router_service_server::SERVICE_NAME,
        policy_service_server::SERVICE_NAME,
        room_service_server::SERVICE_NAME,
    ];
    for name in [""].into_iter().chain(services) {
        health.set_service_status(name, status).await;
    }
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        // `google.rpc.ErrorInfo` and its like: they come inside an `Any`, of which a client
        // knows only the name, so that it asks for the descriptor.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // Each version lists itself only; whoever asks one should see both.
        .include_reflection_service(false)
        .register_encoded_file_descriptor_set(pb::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(pb::v1alpha::FILE_DESCRIPTOR_SET)
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
        let limits = Limits {
            request_bytes: 1024,
            response_bytes: 1024,
            batch_states: 1,
            connections: 1,
            at_least: Duration::ZERO,
            heartbeat: Duration::from_secs(1),
            shutdown: Duration::from_secs(1),
        };
        serve(Arc::new(live), limits, vec![listener], shutdown).await.unwrap();
        assert!(!path.exists());
    }
}
