//! A daemon in this process, on a free port, with a policy that a test can
//! replace; and clients of it.

pub(crate) mod memory;
pub(crate) mod proxy;
pub(crate) mod raw;
pub(crate) mod room_mates;
pub(crate) mod sets;
pub(crate) mod ways;

use std::sync::Arc;
use std::time::Duration;

use presence_router_client::Options;
use presence_router_proto::v1::presence_router_service_client::PresenceRouterServiceClient;
use presence_router_proto::v1::{
    Open, PresenceState, RouteStatesRequest, RouteStatesResponse, route_states_request,
    route_states_response::Message as Response,
};
use presence_router_server::config::LimitSettings;
use presence_router_server::live::{Live, LoadError, LoadOptions, Loaded, Source};
use presence_router_server::revision::Epoch;
use presence_router_server::rpc::limits::Limits;
use presence_router_server::rpc::server::{self, ServeError};
use presence_router_server::rpc::transport::listener::Listener;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

use self::room_mates::stated;
use crate::oracle::Homeserver;

/// The generated client, without anything around it.
pub(crate) type Client = PresenceRouterServiceClient<Channel>;

/// A daemon that ends with the test.
pub(crate) struct Daemon {
    pub(crate) live: Arc<Live>,
    pub(crate) address: String,
    pub(crate) shutdown: CancellationToken,
    pub(crate) serving: JoinHandle<Result<(), ServeError>>,
    policy: TempDir,
}

/// The client's end of a `RouteStates` stream.
pub(crate) struct Stream {
    requests: mpsc::UnboundedSender<RouteStatesRequest>,
    responses: Streaming<RouteStatesResponse>,
}

/// The limits that the daemon has by default.
pub(crate) fn limits() -> Limits {
    LimitSettings::default().into()
}

/// States of these users, with nothing but their ids.
pub(crate) fn states(users: &[impl AsRef<str>]) -> Vec<PresenceState> {
    let state = |user: &str| PresenceState { user_id: user.to_owned(), ..PresenceState::default() };
    users.iter().map(|user| state(user.as_ref())).collect()
}

// === impl Daemon ===

impl Daemon {
    /// A daemon with the default limits.
    pub(crate) async fn serving(policy: &str) -> Self {
        Self::limited(policy, limits()).await
    }

    pub(crate) async fn limited(policy: &str, limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.yaml");
        std::fs::write(&file, policy).unwrap();
        let live = Live::start(Source::File(file), Epoch::random().unwrap()).unwrap();
        let live = Arc::new(live);
        let listener = Listener::bind_tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.address().to_owned();
        let shutdown = CancellationToken::new();
        let serving = server::serve(Arc::clone(&live), limits, vec![listener], shutdown.clone());
        let serving = tokio::spawn(serving);
        Self { live, address, shutdown, serving, policy: dir }
    }

    /// Writes another policy and loads it.
    pub(crate) fn reload(&self, policy: &str) -> Result<Loaded, Arc<LoadError>> {
        self.write(policy);
        self.live.reload(LoadOptions::AT_ONCE)
    }

    /// Writes another policy, which is not loaded by that.
    pub(crate) fn write(&self, policy: &str) {
        std::fs::write(self.policy.path().join("policy.yaml"), policy).unwrap();
    }

    /// Removes the policy's file.
    pub(crate) fn remove(&self) {
        std::fs::remove_file(self.policy.path().join("policy.yaml")).unwrap();
    }

    /// The active revision, as answers carry it.
    pub(crate) fn revision(&self) -> String {
        self.live.current().revision.to_string()
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap()
    }

    /// A connection of its own.
    pub(crate) fn channel(&self) -> Channel {
        self.endpoint().connect_lazy()
    }

    /// The Rust client, with a deadline that no busy machine misses.
    pub(crate) fn rust_client<'a>(
        &self,
        homeserver: impl Into<Homeserver<'a>>,
    ) -> presence_router_client::Client {
        let Homeserver { server_names, capabilities, .. } = homeserver.into();
        let mut options = Options::new(server_names);
        options.deadline = Duration::from_secs(30);
        options.room_capabilities = capabilities.iter().copied().collect();
        // What the daemon does not do yet is asked for first, and then not.
        presence_router_client::Client::from_channel(self.channel(), options)
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.channel()).max_decoding_message_size(64 * 1024 * 1024)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

// === impl Stream ===

impl Stream {
    /// Starts a stream that has said nothing yet.
    pub(crate) async fn start(mut client: Client) -> Self {
        let (requests, outgoing) = mpsc::unbounded_channel();
        let responses = client.route_states(UnboundedReceiverStream::new(outgoing)).await.unwrap();
        Self { requests, responses: responses.into_inner() }
    }

    /// Starts a stream for a caller, and takes its `Opened`.
    pub(crate) async fn open(client: Client, server_names: &[impl ToString]) -> Self {
        let server_names = server_names.iter().map(ToString::to_string).collect();
        Self::open_by(client, Open { server_names, ..Open::default() }).await
    }

    /// Starts a stream for a homeserver that states what it evaluates of rooms.
    pub(crate) async fn open_for(client: Client, homeserver: Homeserver<'_>) -> Self {
        let server_names = homeserver.server_names.to_vec();
        let capabilities = stated(homeserver.capabilities);
        Self::open_by(client, Open { server_names, capabilities, ..Open::default() }).await
    }

    async fn open_by(client: Client, open: Open) -> Self {
        let mut stream = Self::start(client).await;
        stream.send(route_states_request::Message::Open(open));
        let opened = stream.next().await.unwrap();
        assert!(matches!(opened, Some(Response::Opened(_))), "{opened:?}");
        stream
    }

    pub(crate) fn send(&self, message: route_states_request::Message) {
        self.send_raw(RouteStatesRequest { message: Some(message) });
    }

    pub(crate) fn send_raw(&self, request: RouteStatesRequest) {
        self.requests.send(request).unwrap();
    }

    /// The next message, `None` at the end of the stream. Waits in vain for a
    /// long time only if the daemon hangs.
    pub(crate) async fn next(&mut self) -> Result<Option<Response>, Status> {
        let next = tokio::time::timeout(Duration::from_secs(30), self.responses.message());
        let response = next.await.expect("the daemon answers")?;
        Ok(response.map(|response| response.message.expect("a message that this client knows")))
    }

    /// The status that the daemon ends the stream with.
    pub(crate) async fn refusal(&mut self) -> Status {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream ended without a reason"),
                Err(status) => return status,
            }
        }
    }
}
