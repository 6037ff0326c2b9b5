//! The client and its unary calls.

use std::{sync::Arc, time::Duration};

use presence_router_proto::v1::{
    GetInterestedUsersRequest, GetInterestedUsersResponse, GetUsersForStatesRequest,
    GetUsersForStatesResponse, PresenceState,
};
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{Body as HttpBody, Bytes, StdError, http},
};
use tower::Service;

use crate::{
    Address, AddressError, Changes, Error, Options, RouteStates,
    options::bounded,
    shared::Shared,
    stream::{route, watch},
    transport::{Transport, erase_type},
};

/// A client of one daemon. Clones share the connection and the circuit breaker.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
    deadline: Duration,
}

// === impl Client ===

impl Client {
    /// Creates a client for the daemon at an [`Address`]. The first call connects, and
    /// so does any later call without a connection.
    ///
    /// Must be called within a tokio runtime, which then drives the connection.
    ///
    /// # Errors
    /// If the address is malformed. An unreachable daemon is not an error here.
    pub fn connect(address: &str, options: Options) -> Result<Self, AddressError> {
        let options = options.bounded();
        let address: Address = address.parse()?;
        let channel = address.connect_lazily(options.deadline)?;
        Ok(Self::new(Some(address), erase_type(channel), options))
    }

    /// Creates a client over any gRPC channel: a channel of [`tonic::transport`] with
    /// your own settings (TLS, balancing over several daemons), or a channel inside
    /// `tower` layers. The channel must connect by itself, and reconnect after
    /// failures.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// use presence_router_client::{Client, Options};
    /// use tonic::transport::Endpoint;
    /// use tower::ServiceBuilder;
    ///
    /// let channel = Endpoint::from_static("http://127.0.0.1:9470").connect_lazy();
    /// let channel = ServiceBuilder::new().concurrency_limit(64).service(channel);
    /// let client = Client::from_channel(channel, Options::new(["example.org"]));
    /// # let _ = client;
    /// # });
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_channel<S, B>(channel: S, options: Options) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<B>>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Error: Into<StdError>,
        S::Future: Send + 'static,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<StdError>,
    {
        Self::new(None, erase_type(channel), options)
    }

    fn new(address: Option<Address>, transport: Transport, options: Options) -> Self {
        let options = options.bounded();
        let deadline = options.deadline;
        Self { shared: Arc::new(Shared::new(address, transport, options)), deadline }
    }

    /// Returns the same client with another deadline, for example the remaining time of
    /// a deadline that covers several calls.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { shared: self.shared.clone(), deadline: bounded(deadline) }
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Returns the daemon's address. `None` if the client was created from a channel.
    pub fn address(&self) -> Option<&Address> {
        self.shared.address.as_ref()
    }

    /// Opens a stream for batches of states and interest queries: the fast path.
    /// Returns at once. The stream connects by itself, and reconnects after failures,
    /// until all clones of the handle are dropped.
    ///
    /// Must be called within a tokio runtime, which then drives the stream;
    /// without one every request fails.
    pub fn route_states(&self) -> RouteStates {
        route::open_route_states(self.shared.clone(), self.deadline)
    }

    /// Follows changes of visibility without end. The stream connects by itself,
    /// reconnects after failures, and then requests the missed changes.
    ///
    /// Must be called within a tokio runtime, which then drives the stream;
    /// without one there are no events.
    pub fn watch_changes(&self) -> Changes {
        watch::watch_changes(self.shared.clone())
    }

    /// Returns the recipients of each of some updates. The daemon reads only the user
    /// ids of the states.
    ///
    /// # Errors
    /// If there is no verdict, for any of the states.
    pub async fn get_users_for_states(
        &self,
        states: Vec<PresenceState>,
    ) -> Result<GetUsersForStatesResponse, Error> {
        let server_names = self.shared.server_names.clone();
        let at_least = String::new();
        let capabilities = self.shared.stated_capabilities().collect();
        let request = GetUsersForStatesRequest { server_names, states, at_least, capabilities };
        let mut service = self.shared.service.clone();
        self.call_with_deadline(request, |request| async move {
            service.get_users_for_states(request).await
        })
        .await
    }

    /// Returns the senders whose presence a user, local or remote, may see.
    ///
    /// # Errors
    /// If there is no verdict.
    pub async fn get_interested_users(
        &self,
        user_id: impl Into<String>,
    ) -> Result<GetInterestedUsersResponse, Error> {
        let request = GetInterestedUsersRequest {
            server_names: self.shared.server_names.clone(),
            user_id: user_id.into(),
            at_least: String::new(),
            capabilities: self.shared.stated_capabilities().collect(),
        };
        let mut service = self.shared.service.clone();
        self.call_with_deadline(request, |request| async move {
            service.get_interested_users(request).await
        })
        .await
    }

    pub(crate) async fn call_with_deadline<Q, A, F>(
        &self,
        request: Q,
        call: impl FnOnce(Request<Q>) -> F,
    ) -> Result<A, Error>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        if self.deadline.is_zero() {
            // A caller's remaining time may be zero. The circuit breaker does not
            // count this, since the daemon is not the cause.
            return Err(Error::Deadline(self.deadline));
        }
        let permit = self.shared.breaker.try_acquire().map_err(Error::from_open_circuit)?;
        let mut request = Request::new(request);
        // Sends the deadline to the daemon and to any proxy. The daemon still finishes
        // an answer that it is computing when the deadline expires.
        request.set_timeout(self.deadline);
        let (error, status) = match tokio::time::timeout(self.deadline, call(request)).await {
            Ok(Ok(answer)) => {
                permit.record_answer();
                return Ok(answer.into_inner());
            }
            Ok(Err(status)) => (Error::from_status(&status, self.deadline), Some(status)),
            Err(_elapsed) => (Error::Deadline(self.deadline), None),
        };
        match error.breaker_failure(status.as_ref()) {
            Some(failure) => permit.record_failure(failure, &error.summary()),
            None => permit.record_answer(),
        }
        Err(error)
    }
}
