//! The calls.

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
    shared::Shared,
    stream::{route, watch},
    transport::{Transport, erase},
};

/// A client of one daemon. Clones share the connection and what is known about
/// whether the daemon is there.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
    deadline: Duration,
}

// === impl Client ===

impl Client {
    /// Makes a client for the daemon at an [`Address`]. The first call connects,
    /// and so does each one that finds no connection.
    ///
    /// Must be called within a tokio runtime, which then drives the connection.
    ///
    /// # Errors
    /// If the address is malformed. Never because the daemon is away.
    pub fn connect(address: &str, options: Options) -> Result<Self, AddressError> {
        let address: Address = address.parse()?;
        let channel = address.channel(options.deadline)?;
        Ok(Self::new(Some(address), erase(channel), options))
    }

    /// Makes a client over any gRPC channel: one of [`tonic::transport`] with
    /// settings of its own (TLS, balancing over several daemons), or one with
    /// `tower` layers around it. It must connect by itself, again after failures
    /// too.
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
        Self::new(None, erase(channel), options)
    }

    fn new(address: Option<Address>, transport: Transport, options: Options) -> Self {
        let deadline = options.deadline;
        Self { shared: Arc::new(Shared::new(address, transport, options)), deadline }
    }

    /// The same client with another deadline, for example with what is left of
    /// one that covers several calls.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { shared: self.shared.clone(), deadline }
    }

    /// Where the daemon is, unless the client was made over a channel.
    pub fn address(&self) -> Option<&Address> {
        self.shared.address.as_ref()
    }

    /// Opens a stream for batches of states and questions about interest: the
    /// fast path. Returns at once; the stream connects by itself, again after
    /// failures too, until all clones of the handle are gone.
    ///
    /// Must be called within a tokio runtime, which then drives the stream;
    /// without one every request fails.
    pub fn route_states(&self) -> RouteStates {
        route::start(self.shared.clone(), self.deadline)
    }

    /// Follows who gains and who loses sight of whom, for ever: it connects by
    /// itself, again after failures too, and asks for what was missed.
    ///
    /// Must be called within a tokio runtime, which then drives the stream;
    /// without one there are no events.
    pub fn watch_changes(&self) -> Changes {
        watch::start(self.shared.clone())
    }

    /// Asks who must receive each of some updates. Only their user ids matter.
    ///
    /// # Errors
    /// If there is no verdict. Then nothing is known about any of the states.
    pub async fn get_users_for_states(
        &self,
        states: Vec<PresenceState>,
    ) -> Result<GetUsersForStatesResponse, Error> {
        let server_names = self.shared.server_names.clone();
        let request = GetUsersForStatesRequest { server_names, states, at_least: String::new() };
        let mut service = self.shared.service.clone();
        self.call(request, |request| async move { service.get_users_for_states(request).await })
            .await
    }

    /// Asks whose presence a user may see, local or remote.
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
        };
        let mut service = self.shared.service.clone();
        self.call(request, |request| async move { service.get_interested_users(request).await })
            .await
    }

    pub(crate) async fn call<Q, A, F>(
        &self,
        request: Q,
        call: impl FnOnce(Request<Q>) -> F,
    ) -> Result<A, Error>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        if self.deadline.is_zero() {
            // What is left of a deadline may be nothing. That says nothing
            // about the daemon.
            return Err(Error::Deadline(self.deadline));
        }
        let permit = self.shared.breaker.try_acquire().map_err(Error::from_open_circuit)?;
        let mut request = Request::new(request);
        // Tells the daemon, and whatever is between, how long anybody waits. An
        // answer that is being computed by then is finished all the same.
        request.set_timeout(self.deadline);
        let (error, status) = match tokio::time::timeout(self.deadline, call(request)).await {
            Ok(Ok(answer)) => {
                permit.record_answer();
                return Ok(answer.into_inner());
            }
            Ok(Err(status)) => (Error::from_status(&status, self.deadline), Some(status)),
            Err(_elapsed) => (Error::Deadline(self.deadline), None),
        };
        match error.failure(status.as_ref()) {
            Some(failure) => permit.record_failure(failure, &error.summary()),
            None => permit.record_answer(),
        }
        Err(error)
    }
}
