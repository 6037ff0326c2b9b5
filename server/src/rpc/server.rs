//! Runs the services on sockets, from the first connection to the last.

use std::sync::Arc;
use std::time::Duration;

use presence_router_proto::FILE_DESCRIPTOR_SET;
use presence_router_proto::server::policy_service_server::{self, PolicyServiceServer};
use presence_router_proto::server::presence_router_service_server::{
    self, PresenceRouterServiceServer,
};
use presence_router_proto::server::room_service_server::{self, RoomServiceServer};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_reflection::pb;
use tower::Layer as _;
use tracing::{info, warn};

use super::access::AccessLayer;
use super::drain::DrainLayer;
use super::fault::MAX_POLICY_REQUEST_BYTES;
use super::large_request::LargeRequestLayer;
use super::listener::Listener;
use super::policy::PolicyAdmin;
use super::room::Rooms;
use super::service::Service;
use crate::live::Live;

/// Streams and calls that one connection may have at a time. tonic's default
/// is none, and clients wait for their turn.
const STREAMS_PER_CONNECTION: u32 = 128;

/// How often a silent connection is asked whether it is alive, and how long an
/// answer may take, so that dead peers give their places back.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// Most bytes of a request's headers.
const HEADER_BYTES: u32 = 8 * 1024;

/// Bounds on what one caller may ask and get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of a message from a client.
    pub request_bytes: usize,
    /// Most bytes of a unary answer.
    pub response_bytes: usize,
    /// Most states in a batch.
    pub batch_states: usize,
    /// Most open connections.
    pub connections: usize,
    /// Longest wait for a revision that a request demands.
    pub at_least: Duration,
    /// Longest time that a stream is silent.
    pub heartbeat: Duration,
    /// Longest wait at shutdown for calls that are under way.
    pub shutdown: Duration,
}

/// Serving failed.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The transport broke.
    #[error("serving failed: {0}")]
    Transport(#[from] tonic::transport::Error),

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
    let (accepted, connections) = mpsc::channel(1);
    let permits = Arc::new(Semaphore::new(limits.connections));
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(listener.accept(Arc::clone(&permits), accepted.clone()));
    }
    drop(accepted);

    let (health, health_service) = tonic_health::server::health_reporter();
    // Cancelled after health has said so: who watches it hears NOT_SERVING first.
    let drain = CancellationToken::new();
    let policy = PolicyServiceServer::new(PolicyAdmin::new(Arc::clone(&live), limits))
        .max_decoding_message_size(MAX_POLICY_REQUEST_BYTES);
    let policy = LargeRequestLayer::new(limits.request_bytes).layer(policy);
    let rooms = RoomServiceServer::new(Rooms::new(Arc::clone(&live), limits))
        .max_decoding_message_size(limits.request_bytes);
    let service = PresenceRouterServiceServer::new(Service::new(live, limits, drain.clone()))
        .max_decoding_message_size(limits.request_bytes);
    set_status(&health, ServingStatus::Serving).await;

    let server = Server::builder()
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .http2_keepalive_interval(Some(KEEPALIVE.0))
        .http2_keepalive_timeout(Some(KEEPALIVE.1))
        .http2_max_header_list_size(HEADER_BYTES)
        .layer(DrainLayer(drain.clone()))
        .layer(AccessLayer { request_bytes: limits.request_bytes })
        .add_service(service)
        .add_service(policy)
        .add_service(rooms)
        .add_service(health_service.max_decoding_message_size(limits.request_bytes))
        .add_service(reflection().build_v1()?.max_decoding_message_size(limits.request_bytes))
        .add_service(reflection().build_v1alpha()?.max_decoding_message_size(limits.request_bytes));

    let stop = {
        let shutdown = shutdown.clone();
        async move {
            shutdown.cancelled().await;
            set_status(&health, ServingStatus::NotServing).await;
            drain.cancel();
            info!("shutting down: no new connections, streams end, calls under way are answered");
        }
    };
    let serving = server.serve_with_incoming_shutdown(ReceiverStream::new(connections), stop);
    let overdue = async {
        shutdown.cancelled().await;
        tokio::time::sleep(limits.shutdown).await;
    };
    let ended = tokio::select! {
        served = serving => served.map_err(ServeError::from),
        () = overdue => {
            warn!(after = ?limits.shutdown, "calls are still under way: cutting them off");
            Err(ServeError::CutOff(limits.shutdown))
        }
    };
    // Nobody takes connections any more, so that these end too. Without waiting
    // for them the process could end before a socket's file is gone.
    while accepting.join_next().await.is_some() {}
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
    use crate::config::LimitSettings;
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
        let limits = LimitSettings::default().into();
        serve(Arc::new(live), limits, vec![listener], shutdown).await.unwrap();
        assert!(!path.exists());
    }
}
