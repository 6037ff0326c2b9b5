//! What a user would write instead, as a server: tonic and prost as they come.
//! It decodes a batch, and answers by nothing but its number, or routes it by
//! standard collections.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use presence_router_proto::v1::presence_router_service_server::{
    PresenceRouterService, PresenceRouterServiceServer,
};
use presence_router_proto::v1::{
    Deliveries, GetInterestedUsersRequest, GetInterestedUsersResponse, GetUsersForStatesRequest,
    GetUsersForStatesResponse, Opened, RouteStatesRequest, RouteStatesResponse,
    WatchChangesRequest, WatchChangesResponse, route_states_request::Message as RouteRequest,
    route_states_response::Message as RouteResponse,
};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use crate::raw::Floor;
use crate::stock::Stock;
use crate::{Kind, SERVING, USERS, worlds};

/// Routes by these, or answers by nothing.
struct StockServer(Option<Arc<Stock>>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Serves until the process is killed.
pub(crate) fn serve(kind: Kind, socket: &Path) {
    // As the daemon's.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = UnixListener::bind(socket).unwrap();
        let incoming = UnixListenerStream::new(listener);
        let mut server = Server::builder();
        let stock = || match kind {
            Kind::StockRouting => Some(Arc::new(Stock::new(&worlds::users(USERS)))),
            _ => None,
        };
        let server = match kind {
            Kind::Floor => server.add_service(Floor),
            _ => server.add_service(PresenceRouterServiceServer::new(StockServer(stock()))),
        };
        eprintln!("{SERVING}");
        server.serve_with_incoming(incoming).await.unwrap();
    });
}

// === impl StockServer ===

#[tonic::async_trait]
impl PresenceRouterService for StockServer {
    type RouteStatesStream = Answers<RouteStatesResponse>;
    type WatchChangesStream = Answers<WatchChangesResponse>;

    async fn route_states(
        &self,
        request: Request<Streaming<RouteStatesRequest>>,
    ) -> Result<Response<Self::RouteStatesStream>, Status> {
        let stock = self.0.clone();
        let answers = request.into_inner().map(move |request| {
            let message = match request?.message {
                Some(RouteRequest::Open(_)) => RouteResponse::Opened(Opened::default()),
                Some(RouteRequest::Batch(batch)) => RouteResponse::Deliveries(match &stock {
                    Some(stock) => stock.deliveries(&batch, "stock:1"),
                    None => Deliveries { batch_id: batch.batch_id, ..Deliveries::default() },
                }),
                _ => return Err(Status::unimplemented("")),
            };
            Ok(RouteStatesResponse { message: Some(message) })
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn get_users_for_states(
        &self,
        _: Request<GetUsersForStatesRequest>,
    ) -> Result<Response<GetUsersForStatesResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_interested_users(
        &self,
        _: Request<GetInterestedUsersRequest>,
    ) -> Result<Response<GetInterestedUsersResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn watch_changes(
        &self,
        _: Request<WatchChangesRequest>,
    ) -> Result<Response<Self::WatchChangesStream>, Status> {
        Err(Status::unimplemented(""))
    }
}
