//! Every way in, asked the same: who gets whose presence, among some users. All
//! give the same kind of answer, so that one comparison serves all tests.

use std::collections::{BTreeMap, BTreeSet};

use presence_router_client::{self as client, Counterparts, PresenceRouter};
use presence_router_engine::unstable::policy::document::Document;
use presence_router_engine::unstable::routing::model::ruleset::{self, Relation};
use presence_router_engine::unstable::routing::query::visibility::CallerView;
use presence_router_engine::{Caller, Fields, Side, Snapshot};
use presence_router_ids::{RoomConditions, UserId};
use presence_router_proto::v1::route_states_request::Message as Request;
use presence_router_proto::v1::route_states_response::Message as Response;
use presence_router_proto::v1::{
    GetInterestedUsersRequest, GetUsersForStatesRequest, Hide, InterestQuery, StateBatch,
};

use super::room_mates::stated;
use super::sets::{self, ClientSets, Subject};
use super::{Client, Stream, states};
use crate::oracle::rooms::all;
use crate::oracle::{Homeserver, hides_by, seen};

/// For each user, others; users without any are left away.
pub(crate) type Lists = BTreeMap<String, BTreeSet<String>>;

/// For a visible pair of sender and recipient, what is hidden: the contract's
/// fields, and with which presence they are not.
pub(crate) type Hidden = BTreeMap<(String, String), BTreeSet<(Vec<i32>, Vec<String>)>>;

/// Who sees whom, as one way in says it.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Answers {
    /// Recipients of each sender.
    pub(crate) audiences: Lists,
    /// Senders of each recipient.
    pub(crate) interests: Lists,
    /// What is hidden by what is said of audiences, and by what is said of
    /// interests.
    pub(crate) hidden: [Hidden; 2],
}

// === impl Answers ===

impl Answers {
    /// Forgets the audience of a user, or its interest.
    pub(crate) fn forget_of(&mut self, side: Side, user: &str) {
        let lists = match side {
            Side::Sender => &mut self.audiences,
            Side::Recipient => &mut self.interests,
        };
        lists.remove(user);
        side.select_mut(&mut self.hidden).retain(|(sender, recipient), _| match side {
            Side::Sender => sender != user,
            Side::Recipient => recipient != user,
        });
    }

    /// The audience of a user, or its interest, and nothing else.
    pub(crate) fn only(&self, side: Side, user: &str) -> Self {
        let list = |lists: &Lists| {
            let list = lists.get(user).map(|others| (user.to_owned(), others.clone()));
            list.into_iter().collect()
        };
        let is_mine = |(sender, recipient): &(String, String)| match side {
            Side::Sender => sender == user,
            Side::Recipient => recipient == user,
        };
        let hidden = side.select(&self.hidden).iter().filter(|(pair, _)| is_mine(pair));
        let hidden = hidden.map(|(pair, what)| (pair.clone(), what.clone())).collect();
        let mut only = Self::default();
        match side {
            Side::Sender => only.audiences = list(&self.audiences),
            Side::Recipient => only.interests = list(&self.interests),
        }
        *side.select_mut(&mut only.hidden) = hidden;
        only
    }

    /// Forgets what is hidden on pairs that are not visible: where answers depend on rooms,
    /// hides are about pairs that are visible in some rooms.
    pub(crate) fn forget_hides_of_nobody(&mut self) {
        let Self { audiences, interests, hidden: [of_audiences, of_interests] } = self;
        let has = |lists: &Lists, user: &String, other: &String| {
            lists.get(user).is_some_and(|others| others.contains(other))
        };
        of_audiences.retain(|(sender, recipient), _| has(audiences, sender, recipient));
        of_interests.retain(|(sender, recipient), _| has(interests, recipient, sender));
    }

    /// Forgets what is void by a change of a pair.
    pub(crate) fn forget(&mut self, sender: &str, recipient: &str) {
        self.forget_of(Side::Sender, sender);
        self.forget_of(Side::Recipient, recipient);
    }
}

/// Notes what a hide says about a user and those of the others who are in.
fn hide(
    hidden: &mut [Hidden; 2],
    side: Side,
    users: &[String],
    user: &str,
    (fields, unless): (Vec<i32>, Vec<String>),
    is_in: impl Fn(&str) -> bool,
) {
    for other in users.iter().filter(|other| *other != user && is_in(other)) {
        let (user, other) = (user.to_owned(), other.clone());
        let pair = match side {
            Side::Sender => (user, other),
            Side::Recipient => (other, user),
        };
        side.select_mut(hidden).entry(pair).or_default().insert((fields.clone(), unless.clone()));
    }
}

/// A hide of the ruleset in the contract's words.
fn said(hide: &ruleset::Hide) -> (Vec<i32>, Vec<String>) {
    let Fields { presence, status_msg, last_active_ts, currently_active } = hide.fields;
    let all = [(1, presence), (2, status_msg), (3, last_active_ts), (4, currently_active)];
    let fields = all.iter().filter(|(_, is)| *is).map(|(field, _)| *field).collect();
    (fields, hide.unless.iter().map(|presence| presence.to_string()).collect())
}

/// Those of the users other than `user` who are in by some test.
pub(crate) fn add(to: &mut Lists, users: &[String], user: &str, is_in: impl Fn(&str) -> bool) {
    let others = users.iter().filter(|other| *other != user && is_in(other));
    let others: BTreeSet<_> = others.cloned().collect();
    if !others.is_empty() {
        assert!(to.insert(user.to_owned(), others).is_none(), "{user} is asked about once");
    }
}

/// What the oracle says.
pub(crate) fn oracle<'a>(
    policy: &Document,
    homeserver: impl Into<Homeserver<'a>>,
    users: &[String],
) -> Answers {
    let homeserver = homeserver.into();
    let mut answers = Answers::default();
    for user in users {
        add(&mut answers.audiences, users, user, |other| seen(policy, homeserver, user, other));
        add(&mut answers.interests, users, user, |other| seen(policy, homeserver, other, user));
        for other in users.iter().filter(|other| seen(policy, homeserver, user, other)) {
            for (fields, unless) in hides_by(policy, homeserver, user, other) {
                let what = said(&ruleset::Hide { fields, unless });
                for hidden in &mut answers.hidden {
                    let pair = (user.clone(), other.clone());
                    hidden.entry(pair).or_default().insert(what.clone());
                }
            }
        }
    }
    answers
}

/// What the engine says.
pub(crate) fn engine<'a>(
    snapshot: &Snapshot,
    homeserver: impl Into<Homeserver<'a>>,
    users: &[String],
) -> Answers {
    let homeserver = homeserver.into();
    let caller = Caller::new(homeserver.server_names).unwrap();
    let caller = caller.with_capabilities(homeserver.capabilities.iter().copied().collect());
    let user_table = snapshot.users();
    let mut answers = Answers::default();
    for user in users {
        let holds = |relation: &Relation, other: &str| {
            assert!(homeserver.evaluates(relation), "{relation:?}");
            homeserver.rooms.hold(relation, user, other)
        };
        for side in [Side::Sender, Side::Recipient] {
            let signature = snapshot.signature(UserId::parse(user).unwrap(), side, &caller);
            let set = snapshot.counterparts(&signature, &CallerView::new(caller.clone()));
            for applied in snapshot.hides(&signature, &set.at_most()) {
                hide(&mut answers.hidden, side, users, user, said(applied.hide), |other| {
                    let is_in =
                        applied.users.contains(user_table.user_ref(UserId::parse(other).unwrap()));
                    let holds = applied.relation.map_or(Some(true), |one| holds(one, other));
                    all([Some(is_in), holds]) != Some(false)
                });
            }
            let lists = match side {
                Side::Sender => &mut answers.audiences,
                Side::Recipient => &mut answers.interests,
            };
            add(lists, users, user, |other| {
                let who = user_table.user_ref(UserId::parse(other).unwrap());
                set.contains(who, |relation| holds(relation, other)) == Some(true)
            });
        }
    }
    if !homeserver.capabilities.is_empty() {
        answers.forget_hides_of_nobody();
    }
    answers
}

/// What the unary calls say, all at one revision; and for senders with an open
/// audience, the destinations that they name.
pub(crate) async fn unary<'a>(
    mut client: Client,
    homeserver: impl Into<Homeserver<'a>>,
    users: &[String],
    revision: &str,
) -> (Answers, Lists) {
    let homeserver = homeserver.into();
    let capabilities = stated(homeserver.capabilities);
    let mut answers = Answers::default();
    let mut destinations = Lists::default();
    let request = GetUsersForStatesRequest {
        server_names: homeserver.server_names.to_vec(),
        states: states(users),
        at_least: revision.to_owned(),
        capabilities: capabilities.clone(),
    };
    let answer = client.get_users_for_states(request).await.unwrap().into_inner();
    assert_eq!(answer.revision, revision);
    assert!(answer.recipients.is_sorted_by_key(|entry| entry.user_id.clone()));
    for (index, sender) in (0u32..).zip(users) {
        let subject = Subject { homeserver, user: sender };
        let listed = |other: &str| {
            answer.recipients.iter().any(|r| r.user_id == other && r.state_indexes.contains(&index))
        };
        assert!(!listed(sender), "spelled-out lists have the user itself removed");
        let open = answer.open_recipients.iter().filter(|o| o.state_indexes.contains(&index));
        add(&mut answers.audiences, users, sender, |other| {
            let is_in = |set: &_| sets::contains(set, subject, other);
            listed(other) || open.clone().any(|open| open.recipients.as_ref().is_some_and(is_in))
        });
        let hides = answer.hides.iter().filter(|h| h.state_indexes.contains(&index));
        for what in hides.filter_map(|hide| hide.hide.as_ref()) {
            note(&mut answers.hidden, Side::Sender, users, subject, what, &ClientSets::default());
        }
        let named: BTreeSet<_> = open.flat_map(|open| open.destinations.clone()).collect();
        if !named.is_empty() {
            destinations.insert(sender.clone(), named);
        }
    }
    for user_id in users {
        let subject = Subject { homeserver, user: user_id };
        let request = GetInterestedUsersRequest {
            server_names: homeserver.server_names.to_vec(),
            user_id: user_id.clone(),
            at_least: String::new(),
            capabilities: capabilities.clone(),
        };
        let answer = client.get_interested_users(request).await.unwrap().into_inner();
        assert_eq!(answer.revision, revision);
        assert!(answer.user_ids.is_sorted());
        assert!(!answer.user_ids.contains(user_id), "the user itself is removed");
        for what in &answer.hides {
            note(
                &mut answers.hidden,
                Side::Recipient,
                users,
                subject,
                what,
                &ClientSets::default(),
            );
        }
        add(&mut answers.interests, users, user_id, |other| {
            let is_in = |set: &_| sets::contains(set, subject, other);
            answer.user_ids.iter().any(|one| one == other)
                || answer.open_senders.as_ref().is_some_and(is_in)
        });
    }
    if !capabilities.is_empty() {
        answers.forget_hides_of_nobody();
    }
    (answers, destinations)
}

/// Notes a hide of an answer about a user.
pub(crate) fn note(
    hidden: &mut [Hidden; 2],
    side: Side,
    users: &[String],
    subject: Subject<'_>,
    what: &Hide,
    sets: &ClientSets,
) {
    let said = (what.fields.clone(), what.unless_presence.clone());
    let set = what.users.as_ref().expect("users of a hide");
    let is_in = |other: &str| sets.evaluate_if(set, subject, other) != Some(false);
    hide(hidden, side, users, subject.user, said, is_in);
}

/// What a stream says, sets reconstructed, all at one revision.
pub(crate) async fn stream<'a>(
    stream: &mut Stream,
    sets: &mut ClientSets,
    homeserver: impl Into<Homeserver<'a>>,
    users: &[String],
    revision: &str,
) -> Answers {
    let homeserver = homeserver.into();
    let at_least = revision.to_owned();
    stream.send(Request::Batch(StateBatch { batch_id: 7, at_least, states: states(users) }));
    for (query_id, user_id) in (0..).zip(users.iter().cloned()) {
        stream.send(Request::Interest(InterestQuery { query_id, user_id, ..Default::default() }));
    }
    let mut answers = Answers::default();
    let mut asked = users.iter().enumerate();
    let mut delivered = false;
    while !delivered || asked.len() > 0 {
        match stream.next().await.unwrap().expect("the stream goes on") {
            Response::SetPart(part) => sets.define(part),
            Response::Deliveries(answer) => {
                assert!(!delivered, "each request is answered once");
                delivered = true;
                assert_eq!((answer.batch_id, answer.revision.as_str()), (7, revision));
                for (index, sender) in (0u32..).zip(users) {
                    let subject = Subject { homeserver, user: sender };
                    let mut of =
                        answer.deliveries.iter().filter(|d| d.state_indexes.contains(&index));
                    let delivery = of.next();
                    for what in delivery.iter().flat_map(|delivery| &delivery.hides) {
                        note(&mut answers.hidden, Side::Sender, users, subject, what, sets);
                    }
                    let set = delivery.map(|delivery| delivery.recipients_set_id);
                    assert!(of.next().is_none(), "no index is in two entries");
                    add(&mut answers.audiences, users, sender, |other| {
                        set.is_some_and(|id| sets.contains_if(id, subject, other) == Some(true))
                    });
                }
            }
            Response::InterestAnswer(answer) => {
                assert!(delivered, "requests are answered in order");
                let (place, user) = asked.next().unwrap();
                assert_eq!(usize::try_from(answer.query_id), Ok(place));
                assert_eq!(answer.revision, revision);
                let subject = Subject { homeserver, user };
                for what in &answer.hides {
                    note(&mut answers.hidden, Side::Recipient, users, subject, what, sets);
                }
                let id = answer.senders_set_id;
                add(&mut answers.interests, users, user, |other| {
                    id != 0 && sets.contains_if(id, subject, other) == Some(true)
                });
            }
            Response::SetEdit(edit) => sets.edit(edit),
            Response::SetRetired(retired) => sets.retire(retired.id),
            Response::Changed(_) if !delivered => sets.changed(),
            other => panic!("not expected: {other:?}"),
        }
    }
    if !homeserver.capabilities.is_empty() {
        answers.forget_hides_of_nobody();
    }
    answers
}

/// What a router of the Rust client says to a homeserver: over unary calls, over a stream, or
/// in this process. `revision`: all at this one; `None`: all at one.
pub(crate) async fn router<'a>(
    router: &dyn PresenceRouter,
    homeserver: impl Into<Homeserver<'a>>,
    users: &[String],
    revision: Option<&str>,
) -> Answers {
    let homeserver = homeserver.into();
    let mut answers = Answers::default();
    let routed = router.users_for_states(users.to_vec()).await.unwrap();
    let revision = revision.unwrap_or(&routed.revision).to_owned();
    assert_eq!(routed.revision, revision);
    for (index, sender) in users.iter().enumerate() {
        let subject = Subject { homeserver, user: sender };
        let audience = routed.audience(index);
        assert!(!audience.contains(sender), "the user itself is left away");
        counterparts(&mut answers, Side::Sender, users, subject, audience);
        for other in users {
            let gets = routed.states_for(other).iter().any(|place| *place as usize == index);
            assert_eq!(gets, audience.contains(other), "{sender} {other}");
        }
    }
    for user in users {
        let subject = Subject { homeserver, user };
        let interest = router.interested_users(user.clone()).await.unwrap();
        assert_eq!(interest.revision, revision);
        let senders = interest.visible_senders();
        assert!(!senders.contains(user), "the user itself is left away");
        counterparts(&mut answers, Side::Recipient, users, subject, senders);
    }
    if !homeserver.capabilities.is_empty() {
        answers.forget_hides_of_nobody();
    }
    answers
}

/// Notes what a router says about a user's counterparts.
pub(crate) fn counterparts(
    to: &mut Answers,
    side: Side,
    users: &[String],
    Subject { homeserver, user }: Subject<'_>,
    others: Counterparts<'_>,
) {
    let share_room = |other: &str, conditions: &RoomConditions| {
        homeserver.rooms.share_room(user, other, conditions)
    };
    let is_in = |other: &str| {
        others.contains_if(other, |conditions| share_room(other, conditions)) == Some(true)
    };
    let lists = match side {
        Side::Sender => &mut to.audiences,
        Side::Recipient => &mut to.interests,
    };
    add(lists, users, user, is_in);
    let [listed, candidates] = [others.listed_users(), others.listed_candidates()];
    assert!(listed.is_sorted() && listed.iter().all(|other| others.contains(other)));
    for other in users {
        assert!(!others.contains(other) || is_in(other), "whatever rooms there are: {other}");
        let is_listed = |list: &[&str]| list.contains(&other.as_str());
        assert!(others.is_open() || !others.contains(other) || is_listed(&listed), "{other}");
        assert!(others.is_open() || !is_in(other) || is_listed(&candidates), "{other}");
    }
    for what in others.hides() {
        let client::Fields { presence, status_msg, last_active_ts, currently_active, .. } =
            what.fields;
        let all = [(1, presence), (2, status_msg), (3, last_active_ts), (4, currently_active)];
        let fields = all.iter().filter(|(_, is)| *is).map(|(field, _)| *field).collect();
        let said = (fields, what.unless_presence.clone());
        hide(&mut to.hidden, side, users, user, said, |other| {
            let share_room = |conditions: &RoomConditions| share_room(other, conditions);
            what.users.contains_if(other, share_room) != Some(false)
        });
    }
}
