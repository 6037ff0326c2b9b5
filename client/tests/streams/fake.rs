//! A daemon that does nothing by itself: each stream that a client opens is
//! handed to the test, which plays the daemon's part.

use std::time::Duration;

use presence_router_client::{Client, Code, Options, RoomConditions, v1};
use presence_router_proto::v1::{
    presence_router_service_server as server, route_states_request::Message as RequestMessage,
    route_states_response::Message as ResponseMessage, set_expression::Expression,
    set_part::Content, watch_changes_response::Message as WatchResponseMessage,
};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Server, server::TcpIncoming},
};
use tonic_types::{ErrorDetails, StatusExt};

/// Far more than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(20);

type Out<M> = mpsc::Sender<Result<M, Status>>;

/// The daemon, as a test has it.
pub(crate) struct Fake {
    address: String,
    routes: mpsc::UnboundedReceiver<Route>,
    watches: mpsc::UnboundedReceiver<Watch>,
}

/// A `RouteStates` stream. Ends when it is dropped.
pub(crate) struct Route {
    requests: Streaming<v1::RouteStatesRequest>,
    out: Out<v1::RouteStatesResponse>,
}

/// A `WatchChanges` stream. Ends when it is dropped.
pub(crate) struct Watch {
    pub(crate) request: v1::WatchChangesRequest,
    out: Out<v1::WatchChangesResponse>,
}

struct Daemon {
    routes: mpsc::UnboundedSender<Route>,
    watches: mpsc::UnboundedSender<Watch>,
}

type Streamed<T> = Result<Response<ReceiverStream<Result<T, Status>>>, Status>;

#[tonic::async_trait]
impl server::PresenceRouterService for Daemon {
    type RouteStatesStream = ReceiverStream<Result<v1::RouteStatesResponse, Status>>;
    type WatchChangesStream = ReceiverStream<Result<v1::WatchChangesResponse, Status>>;

    async fn get_users_for_states(
        &self,
        _: Request<v1::GetUsersForStatesRequest>,
    ) -> Result<Response<v1::GetUsersForStatesResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_interested_users(
        &self,
        _: Request<v1::GetInterestedUsersRequest>,
    ) -> Result<Response<v1::GetInterestedUsersResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn route_states(
        &self,
        request: Request<Streaming<v1::RouteStatesRequest>>,
    ) -> Streamed<v1::RouteStatesResponse> {
        let (out, answers) = mpsc::channel(1024);
        let _ = self.routes.send(Route { requests: request.into_inner(), out });
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn watch_changes(
        &self,
        request: Request<v1::WatchChangesRequest>,
    ) -> Streamed<v1::WatchChangesResponse> {
        let (out, answers) = mpsc::channel(1024);
        let _ = self.watches.send(Watch { request: request.into_inner(), out });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

// === impl Fake ===

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let ((routes, routes_in), (watches, watches_in)) =
            (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let service = server::PresenceRouterServiceServer::new(Daemon { routes, watches });
        let serving = Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
        tokio::spawn(serving);
        Self { address, routes: routes_in, watches: watches_in }
    }

    /// Options that wait long for answers, and not at all to try again.
    pub(crate) fn options() -> Options {
        let mut options = Options::new(["example.org"]);
        options.deadline = LONG;
        options.backoff.initial_delay = Duration::from_millis(1);
        options.backoff.max_delay = Duration::from_millis(2);
        options
    }

    pub(crate) fn client(&self, options: Options) -> Client {
        Client::connect(&self.address, options).unwrap()
    }

    /// The next `RouteStates` stream, before its `Open`.
    pub(crate) async fn route(&mut self) -> Route {
        timeout(LONG, self.routes.recv()).await.expect("a stream comes").unwrap()
    }

    /// The next `RouteStates` stream, opened at a revision.
    pub(crate) async fn opened(&mut self, revision: &str) -> (Route, v1::Open) {
        let mut route = self.route().await;
        let open = route.open().await;
        route.tell(ResponseMessage::Opened(opened(revision, None))).await;
        (route, open)
    }

    pub(crate) async fn watch(&mut self) -> Watch {
        timeout(LONG, self.watches.recv()).await.expect("a stream comes").unwrap()
    }

    /// Whether a `WatchChanges` stream came.
    pub(crate) fn has_watch(&self) -> bool {
        !self.watches.is_empty()
    }
}

// === impl Route ===

impl Route {
    pub(crate) async fn open(&mut self) -> v1::Open {
        match self.next().await {
            Some(RequestMessage::Open(open)) => open,
            other => panic!("not `Open`: {other:?}"),
        }
    }

    /// The next message; `None` when the client is gone.
    pub(crate) async fn next(&mut self) -> Option<RequestMessage> {
        let next = timeout(LONG, self.requests.message()).await.expect("something comes");
        // A client that ends a stream may reset it.
        next.ok().flatten().map(|request| request.message.unwrap())
    }

    /// The id of the next request, which is a batch.
    pub(crate) async fn batch(&mut self) -> u64 {
        match self.next().await {
            Some(RequestMessage::Batch(batch)) => batch.batch_id,
            other => panic!("not a batch: {other:?}"),
        }
    }

    pub(crate) async fn tell(&self, message: ResponseMessage) {
        self.tell_raw(v1::RouteStatesResponse { message: Some(message) }).await;
    }

    pub(crate) async fn tell_raw(&self, response: v1::RouteStatesResponse) {
        // Whether the client still listens is what tests find out.
        let _ = self.out.send(Ok(response)).await;
    }

    /// Ends the stream with a status.
    pub(crate) async fn end(self, status: Status) {
        self.out.send(Err(status)).await.unwrap();
    }

    /// These states of a batch go to one set; the others to nobody.
    pub(crate) async fn deliver(&self, batch_id: u64, revision: &str, set: u64, indexes: &[u32]) {
        self.tell(deliveries(batch_id, revision, set, indexes)).await;
    }
}

// === impl Watch ===

impl Watch {
    pub(crate) async fn tell(&self, message: WatchResponseMessage) {
        let response = v1::WatchChangesResponse { message: Some(message) };
        self.out.send(Ok(response)).await.unwrap();
    }

    pub(crate) async fn end(self, status: Status) {
        self.out.send(Err(status)).await.unwrap();
    }

    /// Waits until the client is gone.
    pub(crate) async fn abandoned(&self) {
        timeout(LONG, self.out.closed()).await.expect("the client ends the stream");
    }
}

pub(crate) fn opened(revision: &str, heartbeat: Option<Duration>) -> v1::Opened {
    v1::Opened {
        revision: revision.into(),
        heartbeat_interval: heartbeat.map(|interval| interval.try_into().unwrap()),
        capabilities: vec![v1::Capability::Touch.into()],
    }
}

pub(crate) fn deliveries(
    batch_id: u64,
    revision: &str,
    set: u64,
    indexes: &[u32],
) -> ResponseMessage {
    let delivery =
        v1::Delivery { recipients_set_id: set, state_indexes: indexes.into(), hides: Vec::new() };
    let deliveries = if indexes.is_empty() { Vec::new() } else { vec![delivery] };
    ResponseMessage::Deliveries(v1::Deliveries { batch_id, revision: revision.into(), deliveries })
}

pub(crate) fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// A list of users in one part, or a part of one.
pub(crate) fn list(id: u64, users: &[&str], last: bool) -> v1::SetPart {
    let content = Some(Content::Users(v1::UserList { user_ids: strings(users) }));
    v1::SetPart { id, content, last }
}

pub(crate) fn expression(id: u64, expression: v1::SetExpression) -> v1::SetPart {
    v1::SetPart { id, content: Some(Content::Expression(expression)), last: true }
}

pub(crate) fn of(expression: Expression) -> v1::SetExpression {
    v1::SetExpression { expression: Some(expression) }
}

pub(crate) fn set(id: u64) -> v1::SetExpression {
    of(Expression::SetId(id))
}

pub(crate) fn users(users: &[&str]) -> v1::SetExpression {
    of(Expression::Users(v1::UserList { user_ids: strings(users) }))
}

pub(crate) fn union(sets: &[v1::SetExpression]) -> v1::SetExpression {
    of(Expression::AnyOf(v1::SetList { sets: sets.into() }))
}

pub(crate) fn all_of(sets: &[v1::SetExpression]) -> v1::SetExpression {
    of(Expression::AllOf(v1::SetList { sets: sets.into() }))
}

pub(crate) fn room_mates(conditions: &RoomConditions) -> v1::SetExpression {
    of(Expression::RoomMates(conditions.into()))
}

pub(crate) fn edit(id: u64, added: &[&str], removed: &[&str]) -> v1::SetEdit {
    v1::SetEdit { id, added: strings(added), removed: strings(removed) }
}

pub(crate) fn changed(revision: &str) -> v1::Changed {
    v1::Changed { revision: revision.into(), ..Default::default() }
}

/// A refusal as the daemon makes it.
pub(crate) fn refusal(code: Code, reason: &str) -> Status {
    let info = ErrorDetails::with_error_info(reason, "presence-router", []);
    Status::with_error_details(code, "no", info)
}
