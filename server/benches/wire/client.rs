//! A client that costs little: one stream, several batches in flight, answers
//! compared as bytes with those that were read and checked before.

use std::collections::{HashMap, HashSet};

use presence_router_proto::v1::{
    Deliveries, Open, PresenceState, RouteStatesRequest, RouteStatesResponse, StateBatch,
    route_states_request::Message as RouteRequest, route_states_response::Message as RouteResponse,
};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codegen::{Bytes, http::uri::PathAndQuery};
use tonic::transport::Endpoint;
use tonic::{Request, Streaming};

use crate::raw::Raw;
use crate::servers::Server;
use crate::{IN_FLIGHT, Kind, worlds};

/// An open stream.
pub(crate) struct Client {
    kind: Kind,
    requests: mpsc::Sender<Bytes>,
    answers: Streaming<Bytes>,
    /// Sets that were defined.
    defined: HashSet<u64>,
}

/// A batch, ready to be sent.
pub(crate) struct Batch {
    request: Bytes,
    id: u64,
    /// Of each state, the index of its sender's groups in all signatures.
    signatures: Vec<u32>,
}

/// First byte of an encoded heartbeat: field 10 of an answer.
const HEARTBEAT: u8 = 10 << 3 | 2;

// === impl Batch ===

impl Batch {
    /// So many states of users in random order, all of them someone's.
    pub(crate) fn random(
        id: u64,
        states: usize,
        users: &[String],
        random: &mut worlds::Random,
    ) -> Self {
        let users_of: Vec<usize> = (0..states).map(|_| random.below(users.len())).collect();
        let distinct = worlds::signatures().len();
        let signatures = users_of.iter().map(|user| u32::try_from(user % distinct).unwrap());
        let states = users_of.iter().map(|user| PresenceState {
            user_id: users[*user].clone(),
            presence: "online".to_owned(),
            last_active_ts: 1_760_000_000_000,
            last_federation_update_ts: 1_760_000_000_000,
            last_user_sync_ts: 1_760_000_000_000,
            currently_active: Some(true),
            ..PresenceState::default()
        });
        let batch = StateBatch { batch_id: id, states: states.collect(), ..StateBatch::default() };
        Self { request: encode(RouteRequest::Batch(batch)), id, signatures: signatures.collect() }
    }

    /// How many bytes a state takes.
    pub(crate) fn state_bytes(&self) -> usize {
        self.request.len() / self.signatures.len()
    }
}

fn encode(message: RouteRequest) -> Bytes {
    RouteStatesRequest { message: Some(message) }.encode_to_vec().into()
}

// === impl Client ===

impl Client {
    /// Opens a stream to a server.
    pub(crate) async fn open(server: &Server) -> Self {
        let uri = format!("unix:{}", server.socket.display());
        let channel = Endpoint::from_shared(uri).unwrap().connect().await.unwrap();
        let mut grpc = Grpc::new(channel);
        grpc.ready().await.unwrap();
        let (requests, waiting) = mpsc::channel(IN_FLIGHT);
        let open = Open { server_names: vec!["example.org".to_owned()], ..Open::default() };
        requests.send(encode(RouteRequest::Open(open))).await.unwrap();
        let path = "/presence_router.v1.PresenceRouterService/RouteStates";
        let path = PathAndQuery::from_static(path);
        let request = Request::new(ReceiverStream::new(waiting));
        let mut answers = grpc.streaming(request, path, Raw).await.unwrap().into_inner();
        let opened = answers.message().await.unwrap().expect("an answer");
        if server.kind != Kind::Floor {
            let opened = RouteStatesResponse::decode(opened).unwrap();
            assert!(matches!(opened.message, Some(RouteResponse::Opened(_))), "{opened:?}");
        }
        Self { kind: server.kind, requests, answers, defined: HashSet::new() }
    }

    /// Sends all batches, and reads and checks the answers: what later ones must
    /// be. All sets are told then.
    pub(crate) async fn learn(&mut self, batches: &[Batch]) -> Vec<Bytes> {
        let all = worlds::signatures();
        let mut audiences = HashMap::new();
        let mut answers = Vec::new();
        let Self { kind, defined, .. } = self;
        let (kind, mut defined) = (*kind, std::mem::take(defined));
        self.pass(batches, |batch, answer| match decode(&answer) {
            RouteResponse::SetPart(part) => {
                defined.insert(part.id);
                false
            }
            RouteResponse::Deliveries(deliveries) => {
                check(kind, batch, &deliveries, |set, signature| {
                    let signature = &all[signature as usize];
                    let is_known = kind != Kind::Daemon || defined.contains(&set);
                    is_known && *audiences.entry(set).or_insert(signature) == signature
                });
                answers.push(answer);
                true
            }
            other => panic!("{other:?}"),
        })
        .await;
        self.defined = defined;
        answers
    }

    /// Sends all batches, to be answered as before.
    pub(crate) async fn repeat(&mut self, batches: &[Batch], expected: &[Bytes]) {
        let mut expected = expected.iter();
        self.pass(batches, |_, answer| {
            assert!(expected.next() == Some(&answer), "the answer is another than before");
            true
        })
        .await;
    }

    /// Sends all batches, several in flight. `read` gets what comes, and says
    /// whether it is the answer of the batch.
    async fn pass<'b>(
        &mut self,
        batches: &'b [Batch],
        mut read: impl FnMut(&'b Batch, Bytes) -> bool,
    ) {
        let mut to_send = batches.iter();
        for batch in to_send.by_ref().take(IN_FLIGHT) {
            self.requests.send(batch.request.clone()).await.unwrap();
        }
        let mut waiting = batches.iter().peekable();
        while let Some(batch) = waiting.peek() {
            let message = self.answers.message().await.unwrap().expect("an answer");
            if message.first() == Some(&HEARTBEAT) || !read(batch, message) {
                continue;
            }
            waiting.next();
            if let Some(batch) = to_send.next() {
                self.requests.send(batch.request.clone()).await.unwrap();
            }
        }
    }
}

fn decode(answer: &Bytes) -> RouteResponse {
    RouteStatesResponse::decode(answer.clone()).unwrap().message.expect("a message")
}

/// Fails unless an answer is what the server should say: nothing, but for the
/// batch; or each state once, with an audience that fits its sender.
fn check(
    kind: Kind,
    Batch { id, signatures, .. }: &Batch,
    answer: &Deliveries,
    mut is_audience: impl FnMut(u64, u32) -> bool,
) {
    match kind {
        Kind::Floor => return assert_eq!(*answer, Deliveries::default()),
        Kind::StockEcho => {
            return assert_eq!(*answer, Deliveries { batch_id: *id, ..Deliveries::default() });
        }
        Kind::Daemon | Kind::StockRouting => {}
    }
    assert_eq!(answer.batch_id, *id);
    let mut states = vec![false; signatures.len()];
    for delivery in &answer.deliveries {
        for index in &delivery.state_indexes {
            let index = *index as usize;
            assert!(!std::mem::replace(&mut states[index], true), "state {index} came twice");
            let fits = is_audience(delivery.recipients_set_id, signatures[index]);
            assert!(fits, "state {index} has a wrong audience");
        }
    }
    assert!(states.iter().all(|came| *came), "each state of everybody has an audience");
}
