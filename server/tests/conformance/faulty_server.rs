//! A server that would pass the scenario of one pair, `@ann:x` seen by `@joe:x`,
//! but for one thing that it does wrong.

use std::net::SocketAddr;

use presence_router_proto::v1::presence_router_service_server::{
    PresenceRouterService, PresenceRouterServiceServer,
};
use presence_router_proto::v1::route_states_request::Message as RequestMessage;
use presence_router_proto::v1::route_states_response::Message as ResponseMessage;
use presence_router_proto::v1::set_expression::Expression;
use presence_router_proto::v1::{
    Capability, Deliveries, Delivery, Everyone, GetInterestedUsersRequest,
    GetInterestedUsersResponse, GetUsersForStatesRequest, GetUsersForStatesResponse, Hide,
    InterestAnswer, InterestQuery, NamedServers, Opened, PresenceField, RecipientStates,
    RouteStatesRequest, RouteStatesResponse, SetExpression, SetPart, StatesHide, UserList,
    WatchChangesRequest, WatchChangesResponse, set_part::Content,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::codegen::BoxStream;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    NoRevision,
    RevisionMoves,
    SelfIsSpelledOut,
    RepeatedStateIsDropped,
    NoSuchState,
    Hides,
    NoOpened,
    NoHeartbeatInterval,
    OutOfOrder,
    SetIsMissing,
    SetIsIncomplete,
    StateIsDeliveredTwice,
    RevisionWasNotTold,
    NamesAreMissing,
    NamesAreIncomplete,
    NamesAreTheCallersOwn,
}

/// Serves until the test ends.
pub(crate) async fn serve(fault: Fault) -> SocketAddr {
    let listener = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .add_service(PresenceRouterServiceServer::new(FaultyServer(fault)))
        .serve_with_incoming(listener);
    tokio::spawn(server);
    address
}

struct FaultyServer(Fault);

const ANN: &str = "@ann:x";
const JOE: &str = "@joe:x";

#[tonic::async_trait]
impl PresenceRouterService for FaultyServer {
    type RouteStatesStream = BoxStream<RouteStatesResponse>;
    type WatchChangesStream = BoxStream<WatchChangesResponse>;

    /// The batch is Ann, Joe, Ann, Joe.
    async fn get_users_for_states(
        &self,
        _: Request<GetUsersForStatesRequest>,
    ) -> Result<Response<GetUsersForStatesResponse>, Status> {
        let indexes: &[u32] = match self.0 {
            Fault::RepeatedStateIsDropped => &[0],
            // Joe's own state to Joe.
            Fault::SelfIsSpelledOut => &[0, 1, 2],
            Fault::NoSuchState => &[0, 2, 4],
            _ => &[0, 2],
        };
        let hides = if self.0 == Fault::Hides { vec![states_hide()] } else { vec![] };
        let revision = if self.0 == Fault::NoRevision { "" } else { "e:1" };
        let recipients =
            vec![RecipientStates { user_id: JOE.into(), state_indexes: indexes.into() }];
        Ok(Response::new(GetUsersForStatesResponse {
            revision: revision.into(),
            recipients,
            hides,
            ..Default::default()
        }))
    }

    async fn get_interested_users(
        &self,
        request: Request<GetInterestedUsersRequest>,
    ) -> Result<Response<GetInterestedUsersResponse>, Status> {
        let user_ids =
            if request.into_inner().user_id == JOE { vec![ANN.into()] } else { Vec::new() };
        let revision = if self.0 == Fault::RevisionMoves { "e:2" } else { "e:1" };
        let revision = revision.into();
        Ok(Response::new(GetInterestedUsersResponse { revision, user_ids, ..Default::default() }))
    }

    async fn route_states(
        &self,
        request: Request<Streaming<RouteStatesRequest>>,
    ) -> Result<Response<Self::RouteStatesStream>, Status> {
        let fault = self.0;
        let mut requests = request.into_inner();
        let (answers, outgoing) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                let told = match request.message.unwrap() {
                    RequestMessage::Open(_) => opened(fault),
                    RequestMessage::Batch(batch) => deliveries(fault, batch.batch_id),
                    RequestMessage::Interest(query) => interest(fault, query),
                    RequestMessage::Touch(_) => Vec::new(),
                };
                for message in told {
                    // The kit may have seen enough.
                    let _ = answers.send(Ok(RouteStatesResponse { message: Some(message) }));
                }
            }
        });
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(outgoing))))
    }

    async fn watch_changes(
        &self,
        _: Request<WatchChangesRequest>,
    ) -> Result<Response<Self::WatchChangesStream>, Status> {
        Err(Status::unimplemented("not asked for"))
    }
}

/// Hides Ann's status from everyone.
fn hide() -> Hide {
    let everyone = SetExpression { expression: Some(Expression::Everyone(Everyone {})) };
    let fields = vec![PresenceField::StatusMsg.into()];
    Hide { users: Some(everyone), fields, unless_presence: Vec::new() }
}

fn states_hide() -> StatesHide {
    StatesHide { hide: Some(hide()), state_indexes: vec![0, 2] }
}

fn opened(fault: Fault) -> Vec<ResponseMessage> {
    let heartbeat_interval = (fault != Fault::NoHeartbeatInterval).then(Default::default);
    let names = |added: &[&str], last| {
        let added = added.iter().map(|name| (*name).to_owned()).collect();
        ResponseMessage::NamedServers(NamedServers { added, last, ..NamedServers::default() })
    };
    // Without a fault, this server is from before named servers.
    let (announces, names) = match fault {
        Fault::NamesAreMissing => (true, None),
        Fault::NamesAreIncomplete => (true, Some(names(&["y"], false))),
        Fault::NamesAreTheCallersOwn => (true, Some(names(&["x"], true))),
        _ => (false, None),
    };
    let capabilities = Vec::from_iter(announces.then_some(Capability::NamedServers.into()));
    let opened = Opened { revision: "e:1".into(), heartbeat_interval, capabilities };
    let opened = (fault != Fault::NoOpened).then_some(ResponseMessage::Opened(opened));
    opened.into_iter().chain(names).collect()
}

fn set(id: u64, user: &str, last: bool) -> ResponseMessage {
    let content = Some(Content::Users(UserList { user_ids: vec![user.into()] }));
    ResponseMessage::SetPart(SetPart { id, content, last })
}

fn deliveries(fault: Fault, batch_id: u64) -> Vec<ResponseMessage> {
    let delivery = |states: &[u32]| Delivery {
        recipients_set_id: 1,
        state_indexes: states.into(),
        hides: if fault == Fault::Hides { vec![hide()] } else { vec![] },
    };
    let deliveries = match fault {
        Fault::StateIsDeliveredTwice => vec![delivery(&[0, 2]), delivery(&[2])],
        Fault::RepeatedStateIsDropped => vec![delivery(&[0])],
        Fault::NoSuchState => vec![delivery(&[0, 2, 4])],
        _ => vec![delivery(&[0, 2])],
    };
    let revision = if fault == Fault::RevisionWasNotTold { "e:2" } else { "e:1" };
    let answer = Deliveries { batch_id, revision: revision.into(), deliveries };
    match fault {
        Fault::SetIsMissing => vec![ResponseMessage::Deliveries(answer)],
        fault => {
            vec![set(1, JOE, fault != Fault::SetIsIncomplete), ResponseMessage::Deliveries(answer)]
        }
    }
}

fn interest(fault: Fault, query: InterestQuery) -> Vec<ResponseMessage> {
    let joes = query.user_id == JOE;
    let answer = ResponseMessage::InterestAnswer(InterestAnswer {
        query_id: query.query_id + u64::from(fault == Fault::OutOfOrder),
        revision: "e:1".into(),
        senders_set_id: if joes { 2 } else { 0 },
        ..InterestAnswer::default()
    });
    if joes { vec![set(2, ANN, true), answer] } else { vec![answer] }
}
