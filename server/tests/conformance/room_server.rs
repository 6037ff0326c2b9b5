//! A server of another implementation for the scenario of a deny and a hide that depend on rooms,
//! but for one thing that it does wrong. `@ann:x` is seen by `@joe:x` and `@sue:x`.

use std::net::SocketAddr;

use presence_router_proto::v1::presence_router_service_server::{
    PresenceRouterService, PresenceRouterServiceServer,
};
use presence_router_proto::v1::room_condition::Condition;
use presence_router_proto::v1::route_states_request::Message as RequestMessage;
use presence_router_proto::v1::route_states_response::Message as ResponseMessage;
use presence_router_proto::v1::set_expression::Expression;
use presence_router_proto::v1::set_part::Content;
use presence_router_proto::v1::{
    Capability, Deliveries, Delivery, GetInterestedUsersRequest, GetInterestedUsersResponse,
    GetUsersForStatesRequest, GetUsersForStatesResponse, Hide, InterestAnswer, JoinedMembers,
    OpenRecipients, Opened, PresenceField, RoomCondition, RoomMates, RouteStatesRequest,
    RouteStatesResponse, SetDifference, SetExpression, SetPart, StatesHide, UserList,
    WatchChangesRequest, WatchChangesResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::codegen::BoxStream;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

/// The server's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// No field of a condition is set.
    ConditionIsUnknown,
    DenyIsIgnored,
    /// The deny matches everybody.
    RelationOfDenyIsIgnored,
    HideIsIgnored,
    /// The hide applies to those who share no such room.
    RelationOfHideIsWrong,
    /// Conditions come to a client that evaluates `RoomMates`, but not their kind.
    KindsAreIgnored,
    /// Conditions come to every client.
    CapabilitiesAreIgnored,
    /// Conditions come to a client that states nothing.
    OlderClientGetsLeaf,
    /// The deny does not count for a client that states nothing.
    OlderClientIsShownMore,
}

/// Serves until the test ends.
pub(crate) async fn serve(fault: Fault) -> SocketAddr {
    let listener = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let service = PresenceRouterServiceServer::new(RoomServer(fault));
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(listener));
    address
}

#[derive(Clone, Copy)]
struct RoomServer(Fault);

const ANN: &str = "@ann:x";
const JOE: &str = "@joe:x";
const SUE: &str = "@sue:x";

/// The answer about a user: the others, and a hide for some of them.
type Answer = Option<(SetExpression, Vec<Hide>)>;

impl RoomServer {
    /// Returns the answer about Ann as a sender, or about Joe or Sue as a recipient.
    fn answer(self, user: &str, others: &[&str], capabilities: &[i32]) -> Answer {
        if ![ANN, JOE, SUE].contains(&user) {
            return None;
        }
        let others = others.iter().map(|other| (*other).to_owned()).collect();
        let others = set(Expression::Users(UserList { user_ids: others }));
        let states = |one: Capability| capabilities.contains(&one.into());
        let evaluates_all =
            [Capability::RoomMates, Capability::RoomAtLeast, Capability::RoomEncrypted]
                .into_iter()
                .all(states);
        let fault = self.0;
        let sends_conditions = match fault {
            Fault::KindsAreIgnored => states(Capability::RoomMates),
            Fault::CapabilitiesAreIgnored => true,
            Fault::OlderClientGetsLeaf => evaluates_all || !states(Capability::RoomMates),
            _ => evaluates_all,
        };
        if !sends_conditions {
            let shows = fault == Fault::OlderClientIsShownMore && !states(Capability::RoomMates);
            return shows.then_some((others, Vec::new()));
        }
        let big = match fault {
            Fault::ConditionIsUnknown => None,
            _ => {
                let members = JoinedMembers { members: 3, ..JoinedMembers::default() };
                Some(Condition::AtLeast(members))
            }
        };
        let visible = match fault {
            Fault::DenyIsIgnored => others,
            Fault::RelationOfDenyIsIgnored => return None,
            _ => minus(others, room_mates(big)),
        };
        let encrypted = room_mates(Some(Condition::Encrypted(true)));
        let hidden_from = match fault {
            Fault::HideIsIgnored => return Some((visible, Vec::new())),
            Fault::RelationOfHideIsWrong => minus(visible.clone(), encrypted),
            _ => encrypted,
        };
        let fields = vec![PresenceField::StatusMsg.into()];
        let hide = Hide { users: Some(hidden_from), fields, ..Hide::default() };
        Some((visible, vec![hide]))
    }

    fn audience(self, sender: &str, capabilities: &[i32]) -> Answer {
        if sender == ANN { self.answer(ANN, &[JOE, SUE], capabilities) } else { None }
    }

    fn interest(self, recipient: &str, capabilities: &[i32]) -> Answer {
        if recipient == ANN { None } else { self.answer(recipient, &[ANN], capabilities) }
    }

    fn respond(
        self,
        request: RequestMessage,
        capabilities: &mut Vec<i32>,
        last_set: &mut u64,
    ) -> Vec<ResponseMessage> {
        let revision = "e:1".to_owned();
        let mut messages = Vec::new();
        // An answer has a set of its own; without an answer, there is none.
        let mut define = |answer: Answer| {
            let Some((set, hides)) = answer else { return (0, Vec::new()) };
            *last_set += 1;
            let content = Some(Content::Expression(set));
            messages.push(ResponseMessage::SetPart(SetPart { id: *last_set, content, last: true }));
            (*last_set, hides)
        };
        let answer = match request {
            RequestMessage::Open(open) => {
                *capabilities = open.capabilities;
                let heartbeat_interval = Some(Default::default());
                let opened = Opened { revision, heartbeat_interval, ..Opened::default() };
                ResponseMessage::Opened(opened)
            }
            RequestMessage::Batch(batch) => {
                let mut deliveries = Vec::new();
                for (index, state) in (0..).zip(&batch.states) {
                    let (set, hides) = define(self.audience(&state.user_id, capabilities));
                    if set != 0 {
                        let state_indexes = vec![index];
                        deliveries.push(Delivery { recipients_set_id: set, state_indexes, hides });
                    }
                }
                let batch_id = batch.batch_id;
                ResponseMessage::Deliveries(Deliveries { batch_id, revision, deliveries })
            }
            RequestMessage::Interest(query) => {
                let (set, hides) = define(self.interest(&query.user_id, capabilities));
                ResponseMessage::InterestAnswer(InterestAnswer {
                    query_id: query.query_id,
                    revision,
                    senders_set_id: set,
                    hides,
                })
            }
            RequestMessage::Touch(_) => return Vec::new(),
        };
        messages.push(answer);
        messages
    }
}

fn set(expression: Expression) -> SetExpression {
    SetExpression { expression: Some(expression) }
}

fn room_mates(condition: Option<Condition>) -> SetExpression {
    set(Expression::RoomMates(RoomMates { all_of: vec![RoomCondition { condition }] }))
}

fn minus(any: SetExpression, except: SetExpression) -> SetExpression {
    let both = SetDifference { any: Some(Box::new(any)), except: Some(Box::new(except)) };
    set(Expression::Difference(Box::new(both)))
}

#[tonic::async_trait]
impl PresenceRouterService for RoomServer {
    type RouteStatesStream = BoxStream<RouteStatesResponse>;
    type WatchChangesStream = BoxStream<WatchChangesResponse>;

    async fn get_users_for_states(
        &self,
        request: Request<GetUsersForStatesRequest>,
    ) -> Result<Response<GetUsersForStatesResponse>, Status> {
        let GetUsersForStatesRequest { states, capabilities, .. } = request.into_inner();
        let mut answer = GetUsersForStatesResponse { revision: "e:1".into(), ..Default::default() };
        for (index, state) in (0..).zip(&states) {
            let state_indexes = vec![index];
            if let Some((set, hides)) = self.audience(&state.user_id, &capabilities) {
                answer.open_recipients.push(OpenRecipients {
                    recipients: Some(set),
                    state_indexes: state_indexes.clone(),
                    destinations: Vec::new(),
                });
                let hides = hides.into_iter().map(|hide| StatesHide {
                    hide: Some(hide),
                    state_indexes: state_indexes.clone(),
                });
                answer.hides.extend(hides);
            }
        }
        Ok(Response::new(answer))
    }

    async fn get_interested_users(
        &self,
        request: Request<GetInterestedUsersRequest>,
    ) -> Result<Response<GetInterestedUsersResponse>, Status> {
        let GetInterestedUsersRequest { user_id, capabilities, .. } = request.into_inner();
        let (open_senders, hides) = self.interest(&user_id, &capabilities).unzip();
        let (revision, hides) = ("e:1".into(), hides.unwrap_or_default());
        let answer =
            GetInterestedUsersResponse { revision, open_senders, hides, ..Default::default() };
        Ok(Response::new(answer))
    }

    async fn route_states(
        &self,
        request: Request<Streaming<RouteStatesRequest>>,
    ) -> Result<Response<Self::RouteStatesStream>, Status> {
        let server = *self;
        let mut requests = request.into_inner();
        let (answers, outgoing) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let (mut capabilities, mut last_set) = (Vec::new(), 0);
            while let Ok(Some(request)) = requests.message().await {
                let message = request.message.unwrap();
                for message in server.respond(message, &mut capabilities, &mut last_set) {
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
