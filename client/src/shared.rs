//! The state that every clone of a client and every stream of it shares.
//!
//! This module makes no calls, and knows neither the calls nor the streams that use it.

use presence_router_proto::{
    ids::RoomCapabilities, rooms, v1::presence_router_service_client::PresenceRouterServiceClient,
};

use crate::{
    Address, Backoff, Options,
    circuit_breaker::{CircuitBreaker, full_jitter},
    transport::Transport,
};

/// Maximum length of an answer. tonic's default of 4 MiB is too small, and the daemon has
/// its own limit.
const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// The state of one client.
#[derive(Debug)]
pub(crate) struct Shared {
    /// `None`: the client uses a channel that the caller created.
    pub(crate) address: Option<Address>,
    pub(crate) server_names: Vec<String>,
    pub(crate) service: PresenceRouterServiceClient<Transport>,
    /// The channel, for the other services.
    pub(crate) transport: Transport,
    pub(crate) breaker: CircuitBreaker,
    pub(crate) backoff: Backoff,
    pub(crate) set_budget_bytes: u64,
    /// The parts of `share_room` that the homeserver evaluates.
    pub(crate) room_capabilities: RoomCapabilities,
}

// === impl Shared ===

impl Shared {
    /// Creates the state. `address` is `None` for a channel that the caller created.
    pub(crate) fn new(address: Option<Address>, transport: Transport, options: Options) -> Self {
        let Options { server_names, backoff, set_budget_bytes, room_capabilities, .. } = options;
        let service = PresenceRouterServiceClient::new(transport.clone())
            .max_decoding_message_size(MAX_ANSWER_BYTES);
        let breaker = CircuitBreaker::new(backoff, full_jitter);
        Self {
            address,
            server_names,
            service,
            transport,
            breaker,
            backoff,
            set_budget_bytes,
            room_capabilities,
        }
    }

    /// Returns the values by which a request states the room capabilities.
    pub(crate) fn stated_capabilities(&self) -> impl Iterator<Item = i32> {
        rooms::capability_values(self.room_capabilities).map(i32::from)
    }
}
