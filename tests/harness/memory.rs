//! A client that remembers answers for as long as the contract lets it: an answer that
//! refers to a set until one of its sets is retired, the answer "nobody" until `Changed`
//! names its user, and both until `Reset`.

use std::collections::{BTreeMap, BTreeSet};

use presence_router_engine::Side;
use presence_router_proto::v1::route_states_request::Message as Request;
use presence_router_proto::v1::route_states_response::Message as Response;
use presence_router_proto::v1::set_expression::Expression;
use presence_router_proto::v1::set_part::Content;
use presence_router_proto::v1::{
    Changed, ErrorReason, Hide, InterestQuery, Open, PairProduct, SetExpression, StateBatch,
};

use super::room_mates::stated;
use super::sets::{ClientSets, Subject};
use super::ways::{self, Answers};
use super::{Client, Stream, states};
use crate::oracle::Homeserver;

/// What a client knows.
pub(crate) struct Memory {
    stream: Stream,
    sets: ClientSets,
    budget: u64,
    rule: Rule,
    users: Vec<String>,
    /// Who was told to be in some set.
    told: BTreeSet<String>,
    /// The number of sets that were retired.
    retired: usize,
    /// By side and user: the set, and what is hidden.
    answers: BTreeMap<(Side, String), (u64, Vec<Hide>)>,
}

/// The rule by which a client drops answers when `Changed` comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// It drops the answers "nobody" that `Changed` names.
    Nobody,
    /// It drops all answers that `Changed` names, as earlier versions of the contract
    /// demanded.
    AllNamed,
}

/// What the client has heard of a change, user by user.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Pairs that were gained, and those that were lost.
    Changed([BTreeSet<(String, String)>; 2]),
    Reset,
}

// === impl Memory ===

impl Memory {
    pub(crate) async fn open<'a>(
        client: Client,
        homeserver: impl Into<Homeserver<'a>>,
        budget: u64,
        users: Vec<String>,
    ) -> Self {
        let homeserver = homeserver.into();
        let open = Open {
            server_names: homeserver.server_names.to_vec(),
            set_budget_bytes: budget,
            capabilities: stated(homeserver.capabilities),
            ..Open::default()
        };
        Self::open_with(client, open, users).await
    }

    /// Opens a stream by this message, perhaps after a stream that told of a revision last.
    pub(crate) async fn open_with(client: Client, open: Open, users: Vec<String>) -> Self {
        let mut stream = Stream::start(client).await;
        let budget = open.set_budget_bytes;
        stream.send(Request::Open(open));
        let opened = stream.next().await.unwrap();
        assert!(matches!(opened, Some(Response::Opened(_))), "{opened:?}");
        let (sets, answers, told) = Default::default();
        Self { stream, sets, budget, rule: Rule::Nobody, users, told, retired: 0, answers }
    }

    /// Drops answers by another rule from here on.
    pub(crate) fn follow_rule(mut self, rule: Rule) -> Self {
        self.rule = rule;
        self
    }

    /// Who was told to be in some set, since this was asked last.
    pub(crate) fn told(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.told)
    }

    /// Waits for word of a revision: what it says, of all changes up to it, which may
    /// come one by one.
    pub(crate) async fn hear(&mut self, revision: &str) -> Heard {
        let mut all: [BTreeSet<_>; 2] = Default::default();
        let mut is_reset = false;
        loop {
            let heard = match self.next().await {
                Response::Changed(changed) => {
                    let pairs = self.changed(&changed);
                    all.iter_mut().zip(pairs).for_each(|(all, pairs)| all.extend(pairs));
                    changed.revision
                }
                Response::Reset(reset) => {
                    self.reset();
                    is_reset = true;
                    reset.revision
                }
                other => panic!("not expected: {other:?}"),
            };
            if heard == revision {
                return if is_reset { Heard::Reset } else { Heard::Changed(all) };
            }
        }
    }

    /// Asks for whatever it does not know, and says how much that was.
    pub(crate) async fn ask(&mut self, revision: &str) -> usize {
        let mut asked = 0;
        for side in [Side::Sender, Side::Recipient] {
            for user in self.users.clone() {
                asked += usize::from(!self.look_up(side, &user, revision).await);
            }
        }
        asked
    }

    /// Looks for the answer of a user, and asks for it if it is not remembered. Returns true if
    /// it was.
    pub(crate) async fn look_up(&mut self, side: Side, user: &str, revision: &str) -> bool {
        let key = (side, user.to_owned());
        if self.answers.contains_key(&key) {
            return true;
        }
        let at_least = revision.to_owned();
        self.stream.send(match side {
            Side::Sender => {
                let states = states(&[user]);
                Request::Batch(StateBatch { batch_id: 3, at_least, states })
            }
            Side::Recipient => {
                let user_id = user.to_owned();
                Request::Interest(InterestQuery { query_id: 4, at_least, user_id })
            }
        });
        let answer = match self.next().await {
            Response::Deliveries(answer) => {
                assert_eq!((answer.batch_id, answer.revision.as_str()), (3, revision));
                let only = answer.deliveries.into_iter().next();
                only.map_or((0, Vec::new()), |d| (d.recipients_set_id, d.hides))
            }
            Response::InterestAnswer(answer) => {
                assert_eq!((answer.query_id, answer.revision.as_str()), (4, revision));
                (answer.senders_set_id, answer.hides)
            }
            Response::RequestError(error) => {
                assert_eq!(error.reason(), ErrorReason::SetOverBudget, "{error:?}");
                assert_ne!(self.budget, 0);
                return false;
            }
            other => panic!("not expected: {other:?}"),
        };
        self.answers.insert(key, answer);
        false
    }

    /// The number of sets that were retired.
    pub(crate) fn retired(&self) -> usize {
        self.retired
    }

    /// What it remembers, to a homeserver with some rooms, and what it does not: what is over
    /// its budget, or was retired for another answer.
    pub(crate) fn answers_to(
        &self,
        homeserver: Homeserver<'_>,
    ) -> (Answers, BTreeSet<(Side, String)>) {
        let mut all = Answers::default();
        for ((side, user), (id, hides)) in &self.answers {
            let lists = match side {
                Side::Sender => &mut all.audiences,
                Side::Recipient => &mut all.interests,
            };
            let subject = Subject { homeserver, user };
            let is_in =
                |other: &str| *id != 0 && self.sets.contains_if(*id, subject, other) == Some(true);
            ways::add(lists, &self.users, user, is_in);
            for hide in hides {
                ways::note(&mut all.hidden, *side, &self.users, subject, hide, &self.sets);
            }
        }
        if !homeserver.capabilities.is_empty() {
            all.forget_hides_of_nobody();
        }
        let sides = [Side::Sender, Side::Recipient].into_iter();
        let mut unknown: BTreeSet<_> = sides
            .flat_map(|side| self.users.iter().map(move |user| (side, user.clone())))
            .collect();
        unknown.retain(|key| !self.answers.contains_key(key));
        assert!(self.budget > 0 || unknown.is_empty(), "{unknown:?}");
        (all, unknown)
    }

    /// The next message that is not about sets.
    async fn next(&mut self) -> Response {
        loop {
            let told = self.stream.next().await.unwrap().expect("the stream goes on");
            match told {
                // Where the machine stood still for seconds.
                Response::Heartbeat(_) => {}
                Response::SetPart(part) => {
                    match &part.content {
                        Some(Content::Users(list)) => self.told.extend(list.user_ids.clone()),
                        Some(Content::Expression(set)) => listed(set, &mut self.told),
                        None => {}
                    }
                    self.sets.define(part);
                }
                Response::SetEdit(edit) => {
                    self.told.extend(edit.added.clone());
                    self.sets.edit(edit);
                }
                Response::SetRetired(retired) => {
                    self.retired += 1;
                    self.sets.retire(retired.id);
                    let sets = &self.sets;
                    self.answers.retain(|_, (id, hides)| {
                        let hidden = hides.iter().filter_map(|hide| hide.users.as_ref());
                        let uses =
                            std::iter::once(*id).chain(hidden.flat_map(ClientSets::references));
                        uses.into_iter().all(|id| id == 0 || sets.is_live(id))
                    });
                }
                other => return other,
            }
            let bytes = u64::try_from(self.sets.bytes()).unwrap();
            assert!(self.budget == 0 || bytes <= self.budget, "{bytes} of {}", self.budget);
        }
    }

    fn changed(&mut self, changed: &Changed) -> [BTreeSet<(String, String)>; 2] {
        self.sets.changed();
        for PairProduct { senders, recipients } in changed.gained.iter().chain(&changed.lost) {
            let [senders, recipients] = [senders, recipients].map(|set| set.as_ref().unwrap());
            for (set, across) in [(senders, recipients), (recipients, senders)] {
                // Where globs overlap, one side may be nobody.
                if self.users.iter().any(|user| self.sets.evaluate(across, user)) {
                    listed(set, &mut self.told);
                }
            }
        }
        let pairs = [&changed.gained, &changed.lost].map(|products| {
            let mut pairs = BTreeSet::new();
            for product in products {
                let [senders, recipients] = [&product.senders, &product.recipients].map(|set| {
                    let set = set.as_ref().expect("a set");
                    self.users.iter().filter(|user| self.sets.evaluate(set, user))
                });
                for sender in senders {
                    let others = recipients.clone().filter(|recipient| *recipient != sender);
                    pairs.extend(others.map(|recipient| (sender.clone(), recipient.clone())));
                }
            }
            pairs
        });
        for (sender, recipient) in pairs.iter().flatten() {
            for key in [(Side::Sender, sender.clone()), (Side::Recipient, recipient.clone())] {
                let (rule, answers) = (self.rule, &mut self.answers);
                let ends = |(set, _): &(u64, _)| *set == 0 || rule == Rule::AllNamed;
                if answers.get(&key).is_some_and(ends) {
                    answers.remove(&key);
                }
            }
        }
        pairs
    }

    fn reset(&mut self) {
        self.sets.reset();
        self.answers.clear();
    }
}

/// Users whom a set lists, and not as exceptions.
fn listed(set: &SetExpression, to: &mut BTreeSet<String>) {
    match set.expression.as_ref().expect("a set") {
        Expression::Users(list) => to.extend(list.user_ids.clone()),
        Expression::AnyOf(list) | Expression::AllOf(list) => {
            list.sets.iter().for_each(|set| listed(set, to));
        }
        Expression::Difference(both) => listed(both.any.as_ref().expect("a set"), to),
        _ => {}
    }
}
