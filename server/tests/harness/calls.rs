//! Calls by the generated client, and one that is under way for as long as a
//! test wants.

use std::time::Duration;

use presence_router_proto::v1::presence_router_service_client::PresenceRouterServiceClient;
use presence_router_proto::v1::{
    GetInterestedUsersRequest, GetInterestedUsersResponse, GetUsersForStatesRequest,
    GetUsersForStatesResponse, InterestQuery, Open, PresenceState, RouteStatesRequest,
    RouteStatesResponse, route_states_request::Message as RequestMessage,
    route_states_response::Message as ResponseMessage,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use super::within;

const INTERESTED_USERS: &str = "/presence_router.v1.PresenceRouterService/GetInterestedUsers";

/// A stream that was opened.
pub(crate) struct Stream {
    requests: mpsc::UnboundedSender<RouteStatesRequest>,
    responses: Streaming<RouteStatesResponse>,
}

/// A unary call that the daemon has accepted, and whose request is not sent yet.
pub(crate) struct HeldCall {
    requests: mpsc::UnboundedSender<GetInterestedUsersRequest>,
    answer: JoinHandle<Result<Response<GetInterestedUsersResponse>, Status>>,
}

/// Whose presence this user may see.
pub(crate) async fn interested(
    channel: &Channel,
    user: &str,
) -> Result<GetInterestedUsersResponse, Status> {
    let mut client = PresenceRouterServiceClient::new(channel.clone());
    let answer = client.get_interested_users(question(user));
    within("an answer", answer).await.map(Response::into_inner)
}

/// Who must receive the states of these users.
pub(crate) async fn users_for(
    channel: &Channel,
    users: &[&str],
) -> Result<GetUsersForStatesResponse, Status> {
    let state = |user: &&str| PresenceState { user_id: (*user).to_owned(), ..Default::default() };
    let states = users.iter().map(state).collect();
    let server_names = vec!["example.org".to_owned()];
    let request = GetUsersForStatesRequest {
        server_names,
        states,
        at_least: String::new(),
        capabilities: Vec::new(),
    };
    let mut client = PresenceRouterServiceClient::new(channel.clone());
    within("an answer", client.get_users_for_states(request)).await.map(Response::into_inner)
}

fn question(user: &str) -> GetInterestedUsersRequest {
    let server_names = vec!["example.org".to_owned()];
    GetInterestedUsersRequest {
        server_names,
        user_id: user.to_owned(),
        at_least: String::new(),
        capabilities: Vec::new(),
    }
}

// === impl Stream ===

impl Stream {
    /// Starts a stream, and takes its `Opened`.
    pub(crate) async fn open(channel: &Channel) -> Self {
        let (requests, sent) = mpsc::unbounded_channel();
        let open = Open { server_names: vec!["example.org".to_owned()], ..Default::default() };
        let mut client = PresenceRouterServiceClient::new(channel.clone());
        let open = RouteStatesRequest { message: Some(RequestMessage::Open(open)) };
        requests.send(open).unwrap();
        let started = client.route_states(UnboundedReceiverStream::new(sent));
        let responses = within("a stream", started).await.unwrap().into_inner();
        let mut stream = Self { requests, responses };
        let opened = stream.next().await.unwrap();
        assert!(matches!(opened, Some(ResponseMessage::Opened(_))), "{opened:?}");
        stream
    }

    pub(crate) fn send(&self, message: RequestMessage) {
        self.requests.send(RouteStatesRequest { message: Some(message) }).unwrap();
    }

    /// Asks whose presence a user may see.
    pub(crate) fn ask(&self, query_id: u64, user: &str) {
        let user_id = user.to_owned();
        self.send(RequestMessage::Interest(InterestQuery {
            query_id,
            user_id,
            ..Default::default()
        }));
    }

    /// The next message, `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<ResponseMessage>, Status> {
        let next = within("a message of the stream", self.responses.message()).await?;
        Ok(next.map(|response| response.message.expect("a message that is known")))
    }
}

// === impl HeldCall ===

impl HeldCall {
    /// Begins a call. As streams begin in order, the daemon has accepted it when
    /// it answers a later one.
    pub(crate) async fn begin(channel: &Channel) -> Self {
        Self::start(channel, |_| {}).await
    }

    /// Begins a call with a deadline.
    pub(crate) async fn begin_within(channel: &Channel, deadline: Duration) -> Self {
        Self::start(channel, |request| request.set_timeout(deadline)).await
    }

    async fn start(
        channel: &Channel,
        prepare: impl FnOnce(&mut Request<UnboundedReceiverStream<GetInterestedUsersRequest>>),
    ) -> Self {
        let (requests, sent) = mpsc::unbounded_channel();
        let mut grpc = tonic::client::Grpc::new(channel.clone());
        within("a connection", grpc.ready()).await.unwrap();
        let (codec, path) = (ProstCodec::default(), PathAndQuery::from_static(INTERESTED_USERS));
        let mut sent = Request::new(UnboundedReceiverStream::new(sent));
        prepare(&mut sent);
        let mut answer = Box::pin(async move { grpc.client_streaming(sent, path, codec).await });
        let later = interested(channel, "@joe:example.org");
        tokio::select! {
            // The held call first.
            biased;
            ended = &mut answer => panic!("the daemon did not wait for the request: {ended:?}"),
            answered = later => { answered.unwrap(); }
        }
        Self { requests, answer: tokio::spawn(answer) }
    }

    /// Waits for the end of a call whose request is never sent.
    pub(crate) async fn ended(self) -> Result<GetInterestedUsersResponse, Status> {
        within("the end of a call", self.answer).await.unwrap().map(Response::into_inner)
    }

    /// Sends the request at last, and takes the answer.
    pub(crate) async fn finish(self) -> Result<GetInterestedUsersResponse, Status> {
        self.requests.send(question("@joe:example.org")).unwrap();
        drop(self.requests);
        within("the answer", self.answer).await.unwrap().map(Response::into_inner)
    }
}
