//! A daemon for the benchmark: it answers from a fixed world, and keeps the client's budget for
//! sets by retiring the answers that were used least recently.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use presence_router_client::v1;
use presence_router_proto::v1::{
    presence_router_service_server as server, route_states_request::Message as Request,
    route_states_response::Message as Response, set_expression::Expression, set_part::Content,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request as Call, Response as Answer, Status, Streaming};

use crate::world::World;

/// Bytes of an expression that refers to some lists.
const EXPRESSION: u64 = 20;

pub(crate) struct Daemon(pub(crate) Arc<World>);

type Out = mpsc::Sender<Result<v1::RouteStatesResponse, Status>>;
type Streamed<T> = Result<Answer<ReceiverStream<Result<T, Status>>>, Status>;

/// The sets and answers that one stream was sent.
struct Sent {
    world: Arc<World>,
    out: Out,
    budget: u64,
    bytes: u64,
    last_id: u64,
    clock: u64,
    /// The set and the last use of each audience.
    audiences: HashMap<usize, (u64, u64)>,
    /// Audiences by set.
    by_set: HashMap<u64, usize>,
    /// Audiences by last use.
    by_use: BTreeMap<u64, usize>,
    /// The set of each list, and the number of audiences that refer to it.
    lists: HashMap<usize, (u64, usize)>,
}

// === impl Sent ===

impl Sent {
    async fn tell(&self, message: Response) {
        let _ = self.out.send(Ok(v1::RouteStatesResponse { message: Some(message) })).await;
    }

    /// Marks an audience as used, and returns its set.
    fn mark_used(&mut self, audience: usize) -> Option<u64> {
        let (set_id, used) = self.audiences.get_mut(&audience)?;
        self.clock += 1;
        self.by_use.remove(used);
        self.by_use.insert(self.clock, audience);
        *used = self.clock;
        Some(*set_id)
    }

    async fn define(&mut self, audience: usize) -> u64 {
        if let Some(set_id) = self.mark_used(audience) {
            return set_id;
        }
        let world = Arc::clone(&self.world);
        let lists = &world.audiences[audience];
        loop {
            let missing = lists.iter().filter(|list| !self.lists.contains_key(list));
            let bytes = missing.map(|list| world.list_bytes(*list)).sum::<u64>() + EXPRESSION;
            if self.budget == 0 || self.bytes + bytes <= self.budget {
                self.bytes += bytes;
                break;
            }
            self.retire_oldest().await;
        }
        for list in lists {
            if let Some((_, referrers)) = self.lists.get_mut(list) {
                *referrers += 1;
                continue;
            }
            self.last_id += 1;
            let user_ids = world.list(*list);
            let content = Some(Content::Users(v1::UserList { user_ids }));
            self.tell(Response::SetPart(v1::SetPart { id: self.last_id, content, last: true }))
                .await;
            self.lists.insert(*list, (self.last_id, 1));
        }
        self.last_id += 1;
        let part =
            |list| v1::SetExpression { expression: Some(Expression::SetId(self.lists[list].0)) };
        let union = Expression::AnyOf(v1::SetList { sets: lists.iter().map(part).collect() });
        let content = Some(Content::Expression(v1::SetExpression { expression: Some(union) }));
        self.tell(Response::SetPart(v1::SetPart { id: self.last_id, content, last: true })).await;
        self.clock += 1;
        self.audiences.insert(audience, (self.last_id, self.clock));
        self.by_set.insert(self.last_id, audience);
        self.by_use.insert(self.clock, audience);
        self.last_id
    }

    async fn retire_oldest(&mut self) {
        let (_, audience) = self.by_use.pop_first().expect("an audience fits the budget");
        let (id, _) = self.audiences.remove(&audience).unwrap();
        self.by_set.remove(&id);
        self.tell(Response::SetRetired(v1::SetRetired { id })).await;
        self.bytes -= EXPRESSION;
        let world = Arc::clone(&self.world);
        for list in &world.audiences[audience] {
            let (id, referrers) = self.lists.get_mut(list).unwrap();
            *referrers -= 1;
            if *referrers == 0 {
                let id = *id;
                self.lists.remove(list);
                self.bytes -= world.list_bytes(*list);
                self.tell(Response::SetRetired(v1::SetRetired { id })).await;
            }
        }
    }

    async fn serve(mut self, mut requests: Streaming<v1::RouteStatesRequest>) {
        while let Ok(Some(v1::RouteStatesRequest { message })) = requests.message().await {
            match message.unwrap() {
                Request::Open(open) => {
                    self.budget = open.set_budget_bytes;
                    let capabilities = vec![v1::Capability::Touch.into()];
                    let opened =
                        v1::Opened { revision: "r1".into(), capabilities, ..v1::Opened::default() };
                    self.tell(Response::Opened(opened)).await;
                }
                Request::Batch(batch) => {
                    let mut deliveries = Vec::new();
                    for (index, state) in (0u32..).zip(&batch.states) {
                        let audience = self.world.audience_of(&state.user_id);
                        let recipients_set_id = self.define(audience).await;
                        deliveries.push(v1::Delivery {
                            recipients_set_id,
                            state_indexes: vec![index],
                            hides: Vec::new(),
                        });
                    }
                    let (batch_id, revision) = (batch.batch_id, "r1".into());
                    let answer = v1::Deliveries { batch_id, revision, deliveries };
                    self.tell(Response::Deliveries(answer)).await;
                }
                Request::Touch(touch) => {
                    for id in touch.set_ids {
                        if let Some(audience) = self.by_set.get(&id).copied() {
                            self.mark_used(audience);
                        }
                    }
                }
                Request::Interest(_) => unreachable!("the benchmark asks for audiences"),
            }
        }
    }
}

#[tonic::async_trait]
impl server::PresenceRouterService for Daemon {
    type RouteStatesStream = ReceiverStream<Result<v1::RouteStatesResponse, Status>>;
    type WatchChangesStream = ReceiverStream<Result<v1::WatchChangesResponse, Status>>;

    async fn get_users_for_states(
        &self,
        _: Call<v1::GetUsersForStatesRequest>,
    ) -> Result<Answer<v1::GetUsersForStatesResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_interested_users(
        &self,
        _: Call<v1::GetInterestedUsersRequest>,
    ) -> Result<Answer<v1::GetInterestedUsersResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn route_states(
        &self,
        request: Call<Streaming<v1::RouteStatesRequest>>,
    ) -> Streamed<v1::RouteStatesResponse> {
        let (out, answers) = mpsc::channel(1024);
        let sent = Sent {
            world: Arc::clone(&self.0),
            out,
            budget: 0,
            bytes: 0,
            last_id: 0,
            clock: 0,
            audiences: HashMap::new(),
            by_set: HashMap::new(),
            by_use: BTreeMap::new(),
            lists: HashMap::new(),
        };
        tokio::spawn(sent.serve(request.into_inner()));
        Ok(Answer::new(ReceiverStream::new(answers)))
    }

    async fn watch_changes(
        &self,
        _: Call<v1::WatchChangesRequest>,
    ) -> Streamed<v1::WatchChangesResponse> {
        Err(Status::unimplemented(""))
    }
}
