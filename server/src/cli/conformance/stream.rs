//! Runs a scenario by `RouteStates`: sends one batch and an interest query for each user, all
//! at once.

use std::collections::BTreeSet;

use presence_router_engine::Side;
use presence_router_proto::v1::route_states_request::Message as Request;
use presence_router_proto::v1::route_states_response::Message as Response;
use presence_router_proto::v1::{
    Capability, Deliveries, InterestAnswer, InterestQuery, Open, RouteStatesRequest,
    RouteStatesResponse, StateBatch,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

use super::batch::{
    PerState, add_to_state, batch_states, merge_by_user, merge_hides_by_user, named_states,
};
use super::caller::Caller;
use super::difference::{Difference, wait_for};
use super::expectation::{Answers, UserLists, compare_hidden_fields, compare_lists};
use super::hides::{FieldsByUser, HiddenFields, add_hidden_senders, find_hidden_fields};
use super::kept_answers::{KeptAnswer, KeptAnswers};
use super::named_servers::ServerList;
use super::sets::DefinedSets;
use super::target_server::TargetServer;

const BATCH: u64 = 7;

/// A stream with its sets, its current revision, and the answers that a client may keep.
struct Stream {
    responses: Streaming<RouteStatesResponse>,
    sets: DefinedSets,
    revision: String,
    kept: KeptAnswers,
    /// `None`: the server cannot send the list.
    named_servers: Option<ServerList>,
}

/// The stream of a caller that has its answers, and stays open.
pub(super) struct AnsweredStream {
    stream: Stream,
    caller: Caller,
    users: Vec<String>,
    /// The client's side, which ends when this is dropped.
    _requests: mpsc::UnboundedSender<RouteStatesRequest>,
}

/// Returns the server's answers to a caller about these users, and the stream.
pub(super) async fn ask_by_stream(
    server: &TargetServer,
    users: &[String],
    caller: &Caller,
) -> Result<(Answers, AnsweredStream), Difference> {
    let (requests, outgoing) = mpsc::unbounded_channel();
    let send = |message| {
        // Reading a closed stream returns the reason.
        let _ = requests.send(RouteStatesRequest { message: Some(message) });
    };
    send(Request::Open(Open {
        server_names: caller.server_names.clone(),
        capabilities: [Capability::NamedServers.into()]
            .into_iter()
            .chain(caller.stated_capabilities())
            .collect(),
        ..Open::default()
    }));
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
    let responses =
        wait_for("RouteStates", call).await?.map_err(|status| stream_failure(&status))?;
    let mut stream = Stream::read_opened(responses.into_inner(), caller).await?;
    let Response::Deliveries(answer) = stream.next().await? else {
        return Err(Difference("the first request is not answered first".into()));
    };
    let mut answers = stream.read_audiences(users, &answer)?;
    for (query, user) in (0..).zip(users) {
        match stream.next().await? {
            Response::InterestAnswer(answer) if answer.query_id == query => {
                stream.read_interest(users, user, &answer, &mut answers)?;
            }
            _ => return Err(Difference("requests are not answered in order".into())),
        }
    }
    let answered = AnsweredStream {
        stream,
        caller: caller.clone(),
        users: users.to_vec(),
        _requests: requests,
    };
    Ok((answers, answered))
}

// === impl AnsweredStream ===

impl AnsweredStream {
    /// Compares the answers that a client may still use, after the server has made another
    /// policy active, with those that it gives on a new stream.
    pub(super) async fn compare_kept_answers(
        mut self,
        server: &TargetServer,
    ) -> Result<(), Difference> {
        let (new, at) = ask_by_stream(server, &self.users, &self.caller).await?;
        while self.stream.revision != at.stream.revision {
            if self.stream.apply_next().await?.is_some() {
                return Err(Difference("an answer comes to no request".into()));
            }
        }
        for (side, user, answer) in self.stream.kept.iter() {
            self.compare_kept_answer(side, user, answer, &new).map_err(|Difference(what)| {
                Difference(format!("an answer outlives a change of policy: {what}"))
            })?;
        }
        Ok(())
    }

    fn compare_kept_answer(
        &self,
        side: Side,
        user: &String,
        KeptAnswer { set, hides }: &KeptAnswer,
        new: &Answers,
    ) -> Result<(), Difference> {
        let members = match set {
            0 => BTreeSet::new(),
            set => self.stream.members_among(&self.users, user, *set)?,
        };
        let hidden = find_hidden_fields(hides, &self.stream.sets, user, &members)?;
        let kept = UserLists::from([(user.clone(), members)]);
        match side {
            Side::Sender => {
                compare_lists("audience", &new.audiences, &kept, user)?;
                let kept = HiddenFields::from([(user.clone(), hidden)]);
                compare_hidden_fields("audience", &new.audience_hides, &kept, user, &self.users)
            }
            Side::Recipient => {
                compare_lists("interest", &new.interests, &kept, user)?;
                let mut kept = HiddenFields::new();
                add_hidden_senders(&mut kept, user, hidden);
                let recipient = std::slice::from_ref(user);
                self.users.iter().try_for_each(|sender| {
                    let new = &new.interest_hides;
                    compare_hidden_fields("interest", new, &kept, sender, recipient)
                })
            }
        }
    }
}

// === impl Stream ===

impl Stream {
    /// Reads `Opened`, which must come first, and the list of named servers after it.
    async fn read_opened(
        responses: Streaming<RouteStatesResponse>,
        caller: &Caller,
    ) -> Result<Self, Difference> {
        let (revision, kept, named_servers) = Default::default();
        let sets = DefinedSets::new(caller);
        let mut stream = Self { responses, sets, revision, kept, named_servers };
        let Response::Opened(opened) = stream.next_message().await? else {
            return Err(Difference("`Opened` does not come first".into()));
        };
        if opened.revision.is_empty() || opened.heartbeat_interval.is_none() {
            return Err(Difference("`Opened` lacks a revision or a heartbeat interval".into()));
        }
        if opened.capabilities().any(|one| one == Capability::NamedServers) {
            let Response::NamedServers(first) = stream.next_message().await? else {
                return Err(Difference("no named servers come directly after `Opened`".into()));
            };
            let mut list = ServerList::new(&caller.server_names);
            list.apply(first)?;
            stream.named_servers = Some(list);
        }
        stream.revision = opened.revision;
        Ok(stream)
    }

    async fn next_message(&mut self) -> Result<Response, Difference> {
        match wait_for("the stream", self.responses.message()).await? {
            Ok(Some(RouteStatesResponse { message: Some(message) })) => Ok(message),
            Ok(Some(RouteStatesResponse { message: None })) => {
                Err(Difference("a message is empty, or of an unknown kind".into()))
            }
            Ok(None) => Err(Difference("the server ended the stream".into())),
            Err(status) => Err(stream_failure(&status)),
        }
    }

    /// Reads up to the next answer, and applies the messages before it.
    async fn next(&mut self) -> Result<Response, Difference> {
        loop {
            if let Some(answer) = self.apply_next().await? {
                return Ok(answer);
            }
        }
    }

    /// Applies the next message, or returns it if it is an answer.
    async fn apply_next(&mut self) -> Result<Option<Response>, Difference> {
        let message = self.next_message().await?;
        if let (Some(list), false) =
            (&self.named_servers, matches!(message, Response::NamedServers(_)))
        {
            list.check_complete()?;
        }
        match message {
            Response::SetPart(part) => self.sets.add_part(part)?,
            Response::SetEdit(edit) => self.sets.apply_edit(edit)?,
            Response::SetRetired(retired) => {
                self.sets.retire_set(retired.id)?;
                self.kept.end_set(retired.id);
            }
            Response::Changed(changed) => {
                self.sets.apply_additions();
                for pairs in changed.gained.iter().chain(&changed.lost) {
                    for set in [&pairs.senders, &pairs.recipients] {
                        let set = set.clone().unwrap_or_default();
                        self.sets.check_expression(&set)?;
                        if self.sets.depends_on_rooms(&set) {
                            return Err(Difference("a change of pairs refers to rooms".into()));
                        }
                    }
                }
                self.kept.end_named(&changed, &self.sets);
                self.revision = changed.revision;
            }
            Response::Reset(reset) => {
                self.sets.forget_all();
                self.kept.end_all();
                self.revision = reset.revision;
            }
            Response::Heartbeat(_) => {}
            Response::NamedServers(message) => match &mut self.named_servers {
                Some(list) => list.apply(message)?,
                None => return Err(Difference("`Opened` did not announce named servers".into())),
            },
            Response::Opened(_) => return Err(Difference("`Opened` comes twice".into())),
            Response::RequestError(error) => {
                return Err(Difference(format!("the server refused a request: {}", error.message)));
            }
            answer @ (Response::Deliveries(_) | Response::InterestAnswer(_)) => {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    fn check_revision(&self, revision: &str) -> Result<(), Difference> {
        if revision == self.revision {
            return Ok(());
        }
        Err(Difference(format!(
            "an answer has revision `{revision}`, but the current revision of the stream is `{}`",
            self.revision
        )))
    }

    fn read_audiences(
        &mut self,
        users: &[String],
        answer: &Deliveries,
    ) -> Result<Answers, Difference> {
        self.check_revision(&answer.revision)?;
        if answer.batch_id != BATCH {
            return Err(Difference(format!(
                "the answer to batch {BATCH} has the id {}",
                answer.batch_id
            )));
        }
        let mut recipients: PerState = vec![Default::default(); 2 * users.len()];
        let mut destinations = recipients.clone();
        let mut delivered = vec![false; recipients.len()];
        let mut hidden = vec![FieldsByUser::new(); recipients.len()];
        users.iter().for_each(|user| self.kept.keep(Side::Sender, user, 0, &[]));
        for delivery in &answer.deliveries {
            for (state, sender) in named_states(users, &delivery.state_indexes)? {
                if delivered.get_mut(state).is_some_and(|was| std::mem::replace(was, true)) {
                    return Err(Difference(format!("state {state} is in two deliveries")));
                }
                let all = self.members_among(users, sender, delivery.recipients_set_id)?;
                if let Some(hidden) = hidden.get_mut(state) {
                    *hidden = find_hidden_fields(&delivery.hides, &self.sets, sender, &all)?;
                }
                add_to_state(&mut recipients, state, &all);
                if let Some(list) = &self.named_servers {
                    let reached = list.destinations(&self.sets, delivery.recipients_set_id);
                    add_to_state(&mut destinations, state, &reached);
                }
                let set = delivery.recipients_set_id;
                self.kept.keep(Side::Sender, sender, set, &delivery.hides);
            }
        }
        let destinations = self.named_servers.is_some().then_some(destinations);
        let destinations = destinations.map(|lists| merge_by_user(users, lists)).transpose()?;
        let audiences = merge_by_user(users, recipients)?;
        let audience_hides = merge_hides_by_user(users, hidden)?;
        Ok(Answers { audiences, destinations, audience_hides, ..Answers::default() })
    }

    fn read_interest(
        &mut self,
        users: &[String],
        recipient: &String,
        answer: &InterestAnswer,
        answers: &mut Answers,
    ) -> Result<(), Difference> {
        self.check_revision(&answer.revision)?;
        self.kept.keep(Side::Recipient, recipient, answer.senders_set_id, &answer.hides);
        if answer.senders_set_id != 0 {
            let senders = self.members_among(users, recipient, answer.senders_set_id)?;
            let hidden = find_hidden_fields(&answer.hides, &self.sets, recipient, &senders)?;
            add_hidden_senders(&mut answers.interest_hides, recipient, hidden);
            answers.interests.insert(recipient.clone(), senders);
        }
        Ok(())
    }

    /// The users in a set of the answer about the user `asked`, without that user.
    fn members_among(
        &self,
        users: &[String],
        asked: &String,
        set: u64,
    ) -> Result<BTreeSet<String>, Difference> {
        let mut members = BTreeSet::new();
        for user in users.iter().filter(|user| *user != asked) {
            // A missing fact shows nothing.
            if self.sets.contains(set, user, asked)? == Some(true) {
                members.insert(user.clone());
            }
        }
        Ok(members)
    }
}

fn stream_failure(status: &tonic::Status) -> Difference {
    Difference(format!("the stream failed with {:?}: {}", status.code(), status.message()))
}
