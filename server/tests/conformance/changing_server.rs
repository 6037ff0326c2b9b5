//! A server of another implementation whose policy changes while streams are open. It knows one
//! pair, `@ann:x` seen by `@joe:x`, and reads from a file whether the pair is visible.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use presence_router_proto::v1::presence_router_service_server::{
    PresenceRouterService, PresenceRouterServiceServer,
};
use presence_router_proto::v1::route_states_request::Message as RequestMessage;
use presence_router_proto::v1::route_states_response::Message as ResponseMessage;
use presence_router_proto::v1::set_expression::Expression;
use presence_router_proto::v1::set_part::Content;
use presence_router_proto::v1::{
    Changed, Deliveries, Delivery, GetInterestedUsersRequest, GetInterestedUsersResponse,
    GetUsersForStatesRequest, GetUsersForStatesResponse, InterestAnswer, Opened, PairProduct,
    RecipientStates, RouteStatesRequest, RouteStatesResponse, SetExpression, SetPart, SetRetired,
    UserList, WatchChangesRequest, WatchChangesResponse,
};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::codegen::BoxStream;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

/// The server's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// `Changed` names the users of an answer, and the sets of the answer stay.
    SetIsNotRetired,
    /// `Changed` does not name a user who had the answer "nobody".
    NobodyIsNotNamed,
}

/// Serves until the test ends. The pair is visible while the file has an `allow` rule.
pub(crate) async fn serve(fault: Fault, policy: PathBuf) -> SocketAddr {
    let listener = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let service = PresenceRouterServiceServer::new(ChangingServer { fault, policy });
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(listener));
    address
}

#[derive(Clone)]
struct ChangingServer {
    fault: Fault,
    policy: PathBuf,
}

const ANN: &str = "@ann:x";
const JOE: &str = "@joe:x";

/// The sets of Ann's audience and of Joe's interest, on each stream.
const AUDIENCE: u64 = 1;
const INTEREST: u64 = 2;

impl ChangingServer {
    fn is_visible(&self) -> bool {
        // Absent until the first policy is applied.
        std::fs::read_to_string(&self.policy).is_ok_and(|policy| policy.contains("allow"))
    }

    fn revision(&self) -> String {
        match (self.policy.exists(), self.is_visible()) {
            (false, _) => "e:0".to_owned(),
            (true, visible) => format!("e:{}", 1 + u8::from(visible)),
        }
    }

    /// Answers requests, and looks now and then if the policy is another.
    async fn answer(
        self,
        mut requests: Streaming<RouteStatesRequest>,
        answers: UnboundedSender<Result<RouteStatesResponse, Status>>,
    ) {
        let mut visible = self.is_visible();
        loop {
            let messages = tokio::select! {
                request = requests.message() => match request {
                    Ok(Some(request)) => self.respond(request.message.unwrap(), visible),
                    _ => return,
                },
                () = tokio::time::sleep(Duration::from_millis(5)) => {
                    let before = std::mem::replace(&mut visible, self.is_visible());
                    if before == visible { Vec::new() } else { self.change(visible) }
                }
            };
            for message in messages {
                // The client may have gone.
                let _ = answers.send(Ok(RouteStatesResponse { message: Some(message) }));
            }
        }
    }

    fn respond(&self, request: RequestMessage, visible: bool) -> Vec<ResponseMessage> {
        let revision = self.revision();
        let list = |id, user: &str| {
            let content = Some(Content::Users(UserList { user_ids: vec![user.into()] }));
            ResponseMessage::SetPart(SetPart { id, content, last: true })
        };
        match request {
            RequestMessage::Open(_) => {
                let heartbeat_interval = Some(Default::default());
                let opened = Opened { revision, heartbeat_interval, ..Opened::default() };
                vec![ResponseMessage::Opened(opened)]
            }
            RequestMessage::Batch(batch) => {
                let indexes = (0..).zip(&batch.states).filter(|(_, state)| state.user_id == ANN);
                let state_indexes = indexes.map(|(index, _)| index).collect();
                let delivery =
                    Delivery { recipients_set_id: AUDIENCE, state_indexes, ..Delivery::default() };
                let deliveries = if visible { vec![delivery] } else { Vec::new() };
                let answer = Deliveries { batch_id: batch.batch_id, revision, deliveries };
                let set = visible.then(|| list(AUDIENCE, JOE));
                set.into_iter().chain([ResponseMessage::Deliveries(answer)]).collect()
            }
            RequestMessage::Interest(query) => {
                let sees = visible && query.user_id == JOE;
                let answer = ResponseMessage::InterestAnswer(InterestAnswer {
                    query_id: query.query_id,
                    revision,
                    senders_set_id: if sees { INTEREST } else { 0 },
                    ..InterestAnswer::default()
                });
                sees.then(|| list(INTEREST, ANN)).into_iter().chain([answer]).collect()
            }
            RequestMessage::Touch(_) => Vec::new(),
        }
    }

    /// The pair became visible, or invisible.
    fn change(&self, visible: bool) -> Vec<ResponseMessage> {
        let set = |user: &str| {
            let expression = Expression::Users(UserList { user_ids: vec![user.into()] });
            Some(SetExpression { expression: Some(expression) })
        };
        let pairs = vec![PairProduct { senders: set(ANN), recipients: set(JOE) }];
        let mut changed = Changed { revision: self.revision(), ..Changed::default() };
        let mut messages = Vec::new();
        if !visible {
            changed.lost = pairs;
            if self.fault != Fault::SetIsNotRetired {
                let retired = |id| ResponseMessage::SetRetired(SetRetired { id });
                messages.extend([AUDIENCE, INTEREST].map(retired));
            }
        } else if self.fault != Fault::NobodyIsNotNamed {
            changed.gained = pairs;
        }
        messages.push(ResponseMessage::Changed(changed));
        messages
    }
}

#[tonic::async_trait]
impl PresenceRouterService for ChangingServer {
    type RouteStatesStream = BoxStream<RouteStatesResponse>;
    type WatchChangesStream = BoxStream<WatchChangesResponse>;

    async fn get_users_for_states(
        &self,
        request: Request<GetUsersForStatesRequest>,
    ) -> Result<Response<GetUsersForStatesResponse>, Status> {
        let states = request.into_inner().states;
        let indexes = (0..).zip(&states).filter(|(_, state)| state.user_id == ANN);
        let state_indexes = indexes.map(|(index, _)| index).collect();
        let joe = RecipientStates { user_id: JOE.into(), state_indexes };
        let recipients = if self.is_visible() { vec![joe] } else { Vec::new() };
        let revision = self.revision();
        Ok(Response::new(GetUsersForStatesResponse { revision, recipients, ..Default::default() }))
    }

    async fn get_interested_users(
        &self,
        request: Request<GetInterestedUsersRequest>,
    ) -> Result<Response<GetInterestedUsersResponse>, Status> {
        let sees = self.is_visible() && request.into_inner().user_id == JOE;
        let user_ids = if sees { vec![ANN.into()] } else { Vec::new() };
        let revision = self.revision();
        Ok(Response::new(GetInterestedUsersResponse { revision, user_ids, ..Default::default() }))
    }

    async fn route_states(
        &self,
        request: Request<Streaming<RouteStatesRequest>>,
    ) -> Result<Response<Self::RouteStatesStream>, Status> {
        let (answers, outgoing) = mpsc::unbounded_channel();
        tokio::spawn(self.clone().answer(request.into_inner(), answers));
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(outgoing))))
    }

    async fn watch_changes(
        &self,
        _: Request<WatchChangesRequest>,
    ) -> Result<Response<Self::WatchChangesStream>, Status> {
        Err(Status::unimplemented("not asked for"))
    }
}
