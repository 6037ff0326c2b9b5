//! The calls.

use std::{sync::Arc, time::Duration};

use presence_router_proto::v1::{
    GetInterestedUsersRequest, GetInterestedUsersResponse, GetUsersForStatesRequest,
    GetUsersForStatesResponse, PresenceState,
    presence_router_service_client::PresenceRouterServiceClient,
};
use tonic::{Request, Response, Status, transport::Channel};

use crate::{
    Address, AddressError, Backoff, Error,
    gate::{Gate, full_jitter},
};

/// An answer may be much longer than tonic's default of 4 MiB, and the daemon
/// has a limit of its own.
const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// How a client calls.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Server names that are the caller's own, as in user ids, port included if
    /// they have one. The daemon takes 1 to 100.
    pub server_names: Vec<String>,
    /// Longest time that a call takes, connecting included. Default 200 ms.
    pub deadline: Duration,
    /// What happens while the daemon is away.
    pub backoff: Backoff,
}

/// A client of one daemon. Clones share the connection and what is known about
/// whether the daemon is there.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    deadline: Duration,
}

#[derive(Debug)]
struct Shared {
    address: Address,
    server_names: Vec<String>,
    service: PresenceRouterServiceClient<Channel>,
    gate: Gate,
}

// === impl Options ===

impl Options {
    /// The defaults, for a caller that answers for these server names.
    pub fn new(server_names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            server_names: server_names.into_iter().map(Into::into).collect(),
            deadline: Duration::from_millis(200),
            backoff: Backoff::default(),
        }
    }
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
        let Options { server_names, deadline, backoff } = options;
        let address: Address = address.parse()?;
        let service = PresenceRouterServiceClient::new(address.channel(deadline)?)
            .max_decoding_message_size(MAX_ANSWER_BYTES);
        let gate = Gate::new(backoff, full_jitter);
        Ok(Self { shared: Arc::new(Shared { address, server_names, service, gate }), deadline })
    }

    /// The same client with another deadline, for example with what is left of
    /// one that covers several calls.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { shared: self.shared.clone(), deadline }
    }

    /// Where the daemon is.
    pub fn address(&self) -> &Address {
        &self.shared.address
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

    async fn call<Q, A, F>(
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
        let pass = self.shared.gate.enter().map_err(Error::from_shut)?;
        let mut request = Request::new(request);
        // Tells the daemon, and whatever is between, how long anybody waits. An
        // answer that is being computed by then is finished all the same.
        request.set_timeout(self.deadline);
        let (error, status) = match tokio::time::timeout(self.deadline, call(request)).await {
            Ok(Ok(answer)) => {
                pass.answered();
                return Ok(answer.into_inner());
            }
            Ok(Err(status)) => (Error::from_status(&status, self.deadline), Some(status)),
            Err(_elapsed) => (Error::Deadline(self.deadline), None),
        };
        match error.failure(status.as_ref()) {
            Some(failure) => pass.failed(failure, &error.gist()),
            None => pass.answered(),
        }
        Err(error)
    }
}
