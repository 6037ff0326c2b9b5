//! The state that every clone of a client and every stream of it shares.
//!
//! It makes no call itself, and knows neither the calls nor the streams that use it.

use presence_router_proto::v1::presence_router_service_client::PresenceRouterServiceClient;

use crate::{
    Address, Backoff, Options,
    circuit_breaker::{CircuitBreaker, full_jitter},
    transport::Transport,
};

/// An answer may be much longer than tonic's default of 4 MiB, and the daemon
/// has a limit of its own.
const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// The state of one client.
#[derive(Debug)]
pub(crate) struct Shared {
    /// `None`: over a channel that the caller made.
    pub(crate) address: Option<Address>,
    pub(crate) server_names: Vec<String>,
    pub(crate) service: PresenceRouterServiceClient<Transport>,
    /// The same, for the other services.
    pub(crate) transport: Transport,
    pub(crate) breaker: CircuitBreaker,
    pub(crate) backoff: Backoff,
    pub(crate) set_budget_bytes: u64,
}

// === impl Shared ===

impl Shared {
    /// `address`: `None` over a channel that the caller made.
    pub(crate) fn new(address: Option<Address>, transport: Transport, options: Options) -> Self {
        let Options { server_names, backoff, set_budget_bytes, .. } = options;
        let service = PresenceRouterServiceClient::new(transport.clone())
            .max_decoding_message_size(MAX_ANSWER_BYTES);
        let breaker = CircuitBreaker::new(backoff, full_jitter);
        Self { address, server_names, service, transport, breaker, backoff, set_budget_bytes }
    }
}
