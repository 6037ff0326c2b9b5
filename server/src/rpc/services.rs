//! The table of services: [`Services::new`] has a line for each service of the server.
//!
//! [`presence_router`] is the contract's service for homeservers, [`room`] decides about new
//! rooms, and [`policy`] is for operators. The table does not know sockets.

mod policy;
mod presence_router;
mod room;

use std::convert::Infallible;
use std::sync::Arc;

use presence_router_proto::FILE_DESCRIPTOR_SET;
use presence_router_proto::server::policy_service_server::PolicyServiceServer;
use presence_router_proto::server::presence_router_service_server::PresenceRouterServiceServer;
use presence_router_proto::server::room_service_server::RoomServiceServer;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tonic_reflection::pb;
use tonic_reflection::server::{Builder, Error as ReflectionError};
use tower::{Layer as _, Service};

use self::policy::PolicyAdmin;
use self::presence_router::PresenceRouter;
use self::room::Rooms;
use super::limits::{Limits, MAX_POLICY_REQUEST_BYTES};
use super::transport::large_request::LargeRequestLayer;
use crate::live::Live;

/// The name under which health reports the whole process.
const PROCESS: &str = "";

/// The services of one server.
pub(super) struct Services {
    routes: Routes,
    health: HealthReporter,
    /// The services of the contract. Each has a health status; the log recognises their calls
    /// by the package.
    contract: Vec<&'static str>,
}

// === impl Services ===

impl Services {
    /// Returns all services over a daemon's policy. Streams end when `drain` is cancelled.
    ///
    /// Fails if a descriptor cannot be read, which is a fault of the build.
    pub(super) fn new(
        live: &Arc<Live>,
        limits: Limits,
        drain: &CancellationToken,
    ) -> Result<Self, ReflectionError> {
        let (health, health_service) = tonic_health::server::health_reporter();
        let mut services = Self { routes: Routes::default(), health, contract: Vec::new() };
        let (live, bytes) = (|| Arc::clone(live), limits.request_bytes);

        let router = PresenceRouter::new(live(), limits, drain.clone());
        services.add_contract_service(
            PresenceRouterServiceServer::new(router).max_decoding_message_size(bytes),
        );

        let rooms = Rooms::new(live(), limits);
        services
            .add_contract_service(RoomServiceServer::new(rooms).max_decoding_message_size(bytes));

        let policy = PolicyServiceServer::new(PolicyAdmin::new(live(), limits))
            .max_decoding_message_size(MAX_POLICY_REQUEST_BYTES);
        services.add_contract_service(LargeRequestLayer::new(bytes).layer(policy));

        services.add_standard_service(health_service.max_decoding_message_size(bytes));
        services.add_standard_service(
            reflection_builder().build_v1()?.max_decoding_message_size(bytes),
        );
        services.add_standard_service(
            reflection_builder().build_v1alpha()?.max_decoding_message_size(bytes),
        );
        Ok(services)
    }

    /// Adds a service of the contract. Reflection lists all of these by their descriptors.
    fn add_contract_service<S>(&mut self, service: S)
    where
        S: NamedService
            + Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
    {
        self.contract.push(S::NAME);
        self.add_standard_service(service);
    }

    /// Adds a service that every gRPC server may have.
    fn add_standard_service<S>(&mut self, service: S)
    where
        S: NamedService
            + Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
    {
        self.routes = std::mem::take(&mut self.routes).add_service(service);
    }

    /// The services, ready to answer calls.
    pub(super) fn routes(&self) -> Routes {
        self.routes.clone()
    }

    /// Reports the health of the process and of each service of the contract.
    pub(super) async fn set_health(&self, status: ServingStatus) {
        for name in [PROCESS].iter().chain(&self.contract) {
            self.health.set_service_status(*name, status).await;
        }
    }
}

fn reflection_builder() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        // `google.rpc.ErrorInfo` and its like come inside an `Any`. A client only sees the name
        // of the type there, and asks reflection for the descriptor.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // Each version lists itself only; list both, whichever version a client asks.
        .include_reflection_service(false)
        .register_encoded_file_descriptor_set(pb::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(pb::v1alpha::FILE_DESCRIPTOR_SET)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::live::Source;
    use crate::revision::Epoch;
    use crate::rpc::transport::access_log::is_of_contract;

    /// Each service of the contract is answered, has a health status, and is logged as a call.
    #[test]
    fn every_service_of_the_contract_is_in_the_table() {
        let live = Live::start(Source::Example, Epoch::random().unwrap()).unwrap();
        let drain = CancellationToken::new();
        let mut added = Services::new(&Arc::new(live), Limits::SMALL, &drain).unwrap().contract;
        let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap().file;
        let mut declared = Vec::new();
        for file in &files {
            let names = file.service.iter().map(|service| service.name());
            declared.extend(names.map(|name| format!("{}.{name}", file.package())));
        }
        declared.sort_unstable();
        added.sort_unstable();
        assert_eq!(added, declared);
        assert!(added.iter().all(|name| is_of_contract(name)), "{added:?}");
    }
}
