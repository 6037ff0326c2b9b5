//! The native half without Python: answers for Synapse, and known users.

#[path = "../src/error.rs"]
mod error;
#[path = "../src/hides.rs"]
mod hides;
#[path = "../src/known_users.rs"]
mod known_users;
#[path = "pure/redact.rs"]
mod redact;
#[path = "../src/synapse_answer.rs"]
mod synapse_answer;

use std::time::Duration;

use presence_router_client::{
    Set, SetError,
    v1::{
        Everyone, GetInterestedUsersResponse, GetUsersForStatesResponse, Hide, OpenRecipients,
        RecipientStates, SetDifference, SetExpression, SetList, StatesHide, UserList,
        set_expression::Expression,
    },
};

use error::AnswerError;
use hides::State;
use known_users::KnownUsers;
use synapse_answer::{AnswerCollector, Home, SynapseAnswer, everyone, interest};

fn of(expression: Expression) -> SetExpression {
    SetExpression { expression: Some(expression) }
}

fn everyone_but(except: Expression) -> SetExpression {
    let any = Some(Box::new(of(Expression::Everyone(Everyone {}))));
    of(Expression::Difference(Box::new(SetDifference { any, except: Some(Box::new(of(except))) })))
}

fn users(ids: &[&str]) -> Expression {
    Expression::Users(UserList { user_ids: ids.iter().map(|id| (*id).into()).collect() })
}

fn open(recipients: SetExpression, state_indexes: &[u32], destinations: &[&str]) -> OpenRecipients {
    OpenRecipients {
        recipients: Some(recipients),
        state_indexes: state_indexes.into(),
        destinations: destinations.iter().map(|name| (*name).into()).collect(),
    }
}

fn listed(user_id: &str, state_indexes: &[u32]) -> RecipientStates {
    RecipientStates { user_id: user_id.into(), state_indexes: state_indexes.into() }
}

fn state(user_id: &str, presence: &str) -> State {
    State { user_id: Some(user_id.into()), presence: Some(presence.into()) }
}

/// A key and the positions of its states.
type Key = (String, Vec<usize>);
/// The same, with what of which states is hidden.
type Less = (String, Vec<usize>, Vec<(usize, u8)>);

/// The keys of one answer, sorted. The homeserver is `x`, with destination `d`.
fn shown(
    known_users: &KnownUsers,
    states: &[State],
    answer: GetUsersForStatesResponse,
) -> Result<(Vec<Less>, usize), AnswerError> {
    let home = Home { server: "x".into(), destinations: vec!["d".into(), "x".into()] };
    let mut collector = AnswerCollector::new(&home, known_users, states);
    let all: Vec<_> = (0..states.len()).collect();
    collector.add_answer(answer, &all)?;
    let SynapseAnswer { groups, unsent } = collector.finish();
    let mut keys = Vec::new();
    for (of_group, shown) in groups {
        let less: Vec<_> = shown.less.iter().map(|(at, hidden)| (*at, hidden.0)).collect();
        keys.extend(of_group.into_iter().map(|key| (key, shown.whole.clone(), less.clone())));
    }
    keys.sort();
    Ok((keys, unsent))
}

/// The same, where nothing is hidden of what is shown.
fn keys(
    known_users: &KnownUsers,
    senders: &[&str],
    answer: GetUsersForStatesResponse,
) -> Result<(Vec<Key>, usize), AnswerError> {
    let states: Vec<_> = senders.iter().map(|id| state(id, "online")).collect();
    let (keys, unsent) = shown(known_users, &states, answer)?;
    assert!(keys.iter().all(|(_, _, less)| less.is_empty()), "{keys:?}");
    Ok((keys.into_iter().map(|(key, whole, _)| (key, whole)).collect(), unsent))
}

fn key(user_id: &str, positions: &[usize]) -> Key {
    (user_id.into(), positions.into())
}

fn answer(
    recipients: &[RecipientStates],
    open_recipients: &[OpenRecipients],
) -> GetUsersForStatesResponse {
    let (recipients, open_recipients) = (recipients.into(), open_recipients.into());
    GetUsersForStatesResponse { recipients, open_recipients, ..Default::default() }
}

#[tokio::test(start_paused = true)]
async fn listed_and_open_recipients_add_up_without_self() {
    let known_users = KnownUsers::new();
    ["@a:x", "@c:x", "@gone:x"].iter().for_each(|id| known_users.ask(id));
    let expression = everyone_but(users(&["@gone:x"]));
    let answer =
        answer(&[listed("@c:x", &[0]), listed("@r:y", &[1])], &[open(expression, &[1, 2], &["n"])]);
    let found = keys(&known_users, &["@a:x", "@b:x", "@a:x"], answer).unwrap();
    let expected = vec![
        key("@a:x", &[1]),
        key("@c:x", &[0, 1, 2]),
        key("@presence-router:d", &[1, 2]),
        key("@presence-router:n", &[1, 2]),
        key("@r:y", &[1]),
    ];
    assert_eq!(found, (expected, 2));
}

#[tokio::test(start_paused = true)]
async fn only_servers_that_may_hold_members_are_sent_to_and_only_local_states() {
    let known_users = KnownUsers::new();
    let expression = everyone_but(Expression::Server("d".into()));
    let found = keys(
        &known_users,
        &["@a:x", "@r:y"],
        answer(&[], &[open(expression, &[0, 1], &["n", "d"])]),
    );
    assert_eq!(found.unwrap(), (vec![key("@presence-router:n", &[0])], 1));
    // Nothing is left out where everything is named.
    let expression = of(Expression::Server("d".into()));
    let found = keys(&known_users, &["@a:x"], answer(&[], &[open(expression, &[0], &[])]));
    assert_eq!(found.unwrap(), (vec![key("@presence-router:d", &[0])], 0));
}

/// Or it would be sent whichever comes last in a Python set.
#[test]
fn of_one_sender_a_server_gets_the_last_state_only() {
    let all = [0, 1, 2, 3];
    let recipients = [listed("@r:x", &all), listed("@r:y", &all), listed("@s:y", &[0, 1])];
    let everyone = open(of(Expression::Everyone(Everyone {})), &all, &[]);
    let senders = ["@a:x", "@b:x", "@a:x", "@a:x"];
    let found = keys(&KnownUsers::new(), &senders, answer(&recipients, &[everyone])).unwrap();
    let expected = [
        key("@presence-router:d", &[1, 3]),
        key("@r:x", &[0, 1, 2, 3]),
        key("@r:y", &[1, 3]),
        key("@s:y", &[1]),
    ];
    assert_eq!(found.0, expected);
}

#[tokio::test(start_paused = true)]
async fn who_asked_over_an_hour_ago_is_not_woken() {
    let known_users = KnownUsers::new();
    let all = Set::new(Some(&of(Expression::Everyone(Everyone {})))).unwrap();
    known_users.ask("@a:x");
    tokio::time::advance(Duration::from_secs(1800)).await;
    known_users.ask("@b:x");
    tokio::time::advance(Duration::from_secs(1800)).await;
    let mut both = known_users.recent_in(&all);
    both.sort();
    assert_eq!(both, ["@a:x", "@b:x"]);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(known_users.recent_in(&all), ["@b:x"]);
}

#[tokio::test(start_paused = true)]
async fn an_interest_is_spelled_out_over_the_known_senders() {
    let known_users = KnownUsers::new();
    known_users.remember(["@me:x", "@a:x", "@b:y", "@hidden:x"].into_iter());
    let answer = GetInterestedUsersResponse {
        user_ids: vec!["@listed:z".into(), "@a:x".into()],
        open_senders: Some(everyone_but(users(&["@hidden:x"]))),
        ..Default::default()
    };
    let mut senders = interest(answer, "@me:x", &known_users).unwrap();
    senders.sort();
    senders.dedup();
    assert_eq!(senders, ["@a:x", "@b:y", "@listed:z"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_carried_out_is_no_verdict() {
    let known_users = KnownUsers::new();
    // Users that are not said may be anybody.
    let hide = GetUsersForStatesResponse {
        hides: vec![StatesHide::default()],
        ..answer(&[listed("@a:x", &[0])], &[])
    };
    assert_eq!(keys(&known_users, &["@b:x"], hide), Err(AnswerError::Hides));
    let index = answer(&[listed("@a:x", &[1])], &[]);
    assert_eq!(keys(&known_users, &["@b:x"], index), Err(AnswerError::Index));
    let hidden = GetInterestedUsersResponse { hides: vec![Hide::default()], ..Default::default() };
    let nobody_knows_whom = AnswerError::Set(SetError::UnknownKind);
    assert_eq!(interest(hidden, "@a:x", &known_users), Err(nobody_knows_whom));
    // Sets of a later contract, wherever they are.
    let unknown = || SetExpression::default();
    let list = || SetList { sets: vec![of(users(&["@a:x"])), unknown()] };
    let difference = SetDifference { any: Some(Box::new(unknown())), except: None };
    for set in [
        unknown(),
        of(Expression::AnyOf(list())),
        of(Expression::AllOf(list())),
        of(Expression::Difference(Box::new(difference))),
        everyone_but(Expression::AnyOf(list())),
    ] {
        let states = answer(&[listed("@a:x", &[0])], &[open(set.clone(), &[0], &[])]);
        let unknown = |why: &AnswerError| {
            matches!(why, AnswerError::Set(SetError::UnknownKind | SetError::UnknownException))
        };
        assert!(keys(&known_users, &["@b:x"], states).is_err_and(|why| unknown(&why)), "{set:?}");
        let senders = GetInterestedUsersResponse {
            user_ids: vec!["@b:x".into()],
            open_senders: Some(set),
            ..Default::default()
        };
        assert!(interest(senders, "@a:x", &known_users).is_err_and(|why| unknown(&why)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_carried_out_leaves_no_keys() {
    let known_users = KnownUsers::new();
    let home = Home { server: "x".into(), destinations: Vec::new() };
    let states = [state("@b:x", "online")];
    let mut collector = AnswerCollector::new(&home, &known_users, &states);
    let half_right = answer(&[listed("@a:x", &[0])], &[open(SetExpression::default(), &[7], &[])]);
    assert!(collector.add_answer(half_right, &[0]).is_err());
    assert_eq!(collector.finish(), SynapseAnswer::default());
}

#[tokio::test(start_paused = true)]
async fn what_is_no_user_id_is_never_known() {
    let known_users = KnownUsers::new();
    let all = Set::new(Some(&of(Expression::Everyone(Everyone {})))).unwrap();
    let long = format!("@{}:x", "a".repeat(253));
    known_users
        .remember(["@a:x", "", "a", "@a", "@a:", "@a\0:x", "@a:x y", "@a:[x]", &long].into_iter());
    assert_eq!(known_users.known_in(&all), ["@a:x"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_learns_that_the_known_senders_are_complete() {
    let known_users = KnownUsers::new();
    let wait = tokio::time::timeout(Duration::from_secs(9), known_users.seeded());
    assert!(wait.await.is_err());
    let ((), ()) = tokio::join!(known_users.seeded(), async { known_users.set_seeded() });
    known_users.seeded().await;
    known_users.copy_in_child().seeded().await;
}

#[test]
fn everyone_is_everyone_in_so_many_words() {
    let answer = |open_senders| GetInterestedUsersResponse {
        user_ids: vec!["@a:x".into()],
        open_senders,
        ..GetInterestedUsersResponse::default()
    };
    let all = || of(Expression::Everyone(Everyone {}));
    assert!(everyone(&answer(Some(all()))).unwrap().is_some());
    let list = || SetList { sets: vec![all(), all()] };
    for less in [
        None,
        Some(SetExpression::default()),
        Some(everyone_but(users(&["@b:x"]))),
        Some(everyone_but(users(&[]))),
        Some(of(Expression::Server("*".into()))),
        Some(of(Expression::Match("@*:*".into()))),
        Some(of(Expression::AnyOf(list()))),
        Some(of(Expression::AllOf(list()))),
    ] {
        assert!(everyone(&answer(less.clone())).unwrap().is_none(), "{less:?}");
    }
}

#[test]
fn users_are_counted_once() {
    let known = KnownUsers::new();
    known.remember(["@ann:test", "@bob:test", "@ann:test", "nobody"].into_iter());
    known.ask("@bob:test");
    known.ask("@bob:test");
    assert_eq!((known.known_len(), known.asked_len()), (2, 1));
}
