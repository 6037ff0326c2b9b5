//! The scenarios by `RouteStates`: one batch and a question for each user, all
//! under way at a time.

use presence_router_proto::v1::route_states_request::Message as Request;
use presence_router_proto::v1::route_states_response::Message as Response;
use presence_router_proto::v1::{
    Deliveries, InterestAnswer, InterestQuery, Open, RouteStatesRequest, RouteStatesResponse,
    StateBatch,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

use super::batch::{PerState, add_to_state, batch_states, merge_by_user, named_states};
use super::difference::{Difference, wait_for};
use super::expectation::{Answers, Expectation, UserLists};
use super::scenario::Scenario;
use super::sets::DefinedSets;
use super::target_server::TargetServer;

const BATCH: u64 = 7;

/// A stream, and what is known of it.
struct Stream {
    responses: Streaming<RouteStatesResponse>,
    sets: DefinedSets,
    revision: String,
}

/// What a server says to a caller about the users of a scenario.
pub(super) async fn ask_by_stream(
    server: &TargetServer,
    Scenario { users, .. }: &Scenario,
    Expectation { server_names, .. }: &Expectation,
) -> Result<Answers, Difference> {
    let (requests, outgoing) = mpsc::unbounded_channel();
    let send = |message| {
        // A stream that is gone says why when it is read.
        let _ = requests.send(RouteStatesRequest { message: Some(message) });
    };
    send(Request::Open(Open { server_names: server_names.clone(), ..Open::default() }));
    send(Request::Batch(StateBatch {
        batch_id: BATCH,
        states: batch_states(users),
        ..Default::default()
    }));
    for (query_id, user_id) in (0..).zip(users.iter().cloned()) {
        send(Request::Interest(InterestQuery { query_id, user_id, ..InterestQuery::default() }));
    }
    let mut client = server.client();
    let call = client.route_states(UnboundedReceiverStream::new(outgoing));
    let responses = wait_for("RouteStates", call).await?.map_err(|status| ended(&status))?;
    let mut stream = Stream::open(responses.into_inner()).await?;
    let Response::Deliveries(answer) = stream.next().await? else {
        return Err(Difference("the first request is not answered first".into()));
    };
    let audiences = stream.audiences(users, &answer)?;
    let mut interests = UserLists::new();
    for (query, user) in (0..).zip(users) {
        match stream.next().await? {
            Response::InterestAnswer(answer) if answer.query_id == query => {
                stream.interest(users, user, &answer, &mut interests)?;
            }
            _ => return Err(Difference("requests are not answered in order".into())),
        }
    }
    Ok(Answers { audiences, interests, destinations: None })
}

// === impl Stream ===

impl Stream {
    async fn open(responses: Streaming<RouteStatesResponse>) -> Result<Self, Difference> {
        let mut stream = Self { responses, sets: DefinedSets::default(), revision: String::new() };
        let Response::Opened(opened) = stream.message().await? else {
            return Err(Difference("`Opened` does not come first".into()));
        };
        if opened.revision.is_empty() || opened.heartbeat_interval.is_none() {
            return Err(Difference("`Opened` lacks a revision or a heartbeat interval".into()));
        }
        stream.revision = opened.revision;
        Ok(stream)
    }

    async fn message(&mut self) -> Result<Response, Difference> {
        match wait_for("the stream", self.responses.message()).await? {
            Ok(Some(RouteStatesResponse { message: Some(message) })) => Ok(message),
            Ok(Some(RouteStatesResponse { message: None })) => {
                Err(Difference("a message is empty, or of an unknown kind".into()))
            }
            Ok(None) => Err(Difference("the stream ends".into())),
            Err(status) => Err(ended(&status)),
        }
    }

    /// The next answer.
    async fn next(&mut self) -> Result<Response, Difference> {
        loop {
            match self.message().await? {
                Response::SetPart(part) => self.sets.define(part)?,
                Response::SetEdit(edit) => self.sets.edit(edit)?,
                Response::SetRetired(retired) => self.sets.retire(retired.id)?,
                Response::Changed(changed) => {
                    self.sets.changed();
                    for pairs in changed.gained.into_iter().chain(changed.lost) {
                        self.sets.check(&pairs.senders.unwrap_or_default())?;
                        self.sets.check(&pairs.recipients.unwrap_or_default())?;
                    }
                    self.revision = changed.revision;
                }
                Response::Reset(reset) => {
                    self.sets.reset();
                    self.revision = reset.revision;
                }
                Response::Heartbeat(_) => {}
                Response::Opened(_) => return Err(Difference("`Opened` comes twice".into())),
                Response::RequestError(error) => {
                    return Err(Difference(format!("a request is refused: {}", error.message)));
                }
                answer @ (Response::Deliveries(_) | Response::InterestAnswer(_)) => {
                    return Ok(answer);
                }
            }
        }
    }

    fn check_revision(&self, revision: &str) -> Result<(), Difference> {
        if revision == self.revision {
            return Ok(());
        }
        Err(Difference(format!(
            "an answer is of revision `{revision}`, and `{}` is the last that was told",
            self.revision
        )))
    }

    fn audiences(&self, users: &[String], answer: &Deliveries) -> Result<UserLists, Difference> {
        self.check_revision(&answer.revision)?;
        if answer.batch_id != BATCH {
            return Err(Difference(format!("batch {BATCH} is answered as {}", answer.batch_id)));
        }
        let mut recipients: PerState = vec![Default::default(); 2 * users.len()];
        let mut delivered = vec![false; recipients.len()];
        for delivery in &answer.deliveries {
            if !delivery.hides.is_empty() {
                return Err(Difference("something is hidden that the policy does not hide".into()));
            }
            for (state, sender) in named_states(users, &delivery.state_indexes)? {
                if delivered.get_mut(state).is_some_and(|was| std::mem::replace(was, true)) {
                    return Err(Difference(format!("state {state} is in two deliveries")));
                }
                let all = self.among(users, sender, delivery.recipients_set_id)?;
                add_to_state(&mut recipients, state, all);
            }
        }
        merge_by_user(users, recipients)
    }

    fn interest(
        &self,
        users: &[String],
        recipient: &String,
        answer: &InterestAnswer,
        interests: &mut UserLists,
    ) -> Result<(), Difference> {
        self.check_revision(&answer.revision)?;
        if !answer.hides.is_empty() {
            return Err(Difference("something is hidden that the policy does not hide".into()));
        }
        if answer.senders_set_id != 0 {
            let senders = self.among(users, recipient, answer.senders_set_id)?;
            interests.insert(recipient.clone(), senders.into_iter().cloned().collect());
        }
        Ok(())
    }

    /// Those of the users who are in a set, but for the one whom it is for.
    fn among<'a>(
        &self,
        users: &'a [String],
        whose: &String,
        set: u64,
    ) -> Result<Vec<&'a String>, Difference> {
        let mut members = Vec::new();
        for user in users.iter().filter(|user| *user != whose) {
            if self.sets.contains(set, user)? {
                members.push(user);
            }
        }
        Ok(members)
    }
}

fn ended(status: &tonic::Status) -> Difference {
    Difference(format!("the stream ends with {:?}: {}", status.code(), status.message()))
}
