//! The whole decision of a homeserver, by a near-cache and by other routers.

use std::{sync::Arc, time::Duration};

use presence_router_client::{
    Answer, Basis, Changes, Interest, RoomConditions, RoomMates, Routed, Verdict, Visibility,
    WhenAway,
};
use tonic::Status;

use super::rooms::{connected_with_rooms, hide_status, remember_interest, small_room};
use super::*;
use crate::fake::{refusal, room_mates};

/// Much less than `stale_for`, and not waited for: the clock stands still.
const DEADLINE: Duration = Duration::from_millis(200);
const STALE_FOR: Duration = Duration::from_secs(60);

/// Users share a small room if both are one of these.
fn share_a_room_of<'r>(
    members: &'r [&'r str],
) -> impl Fn(&str, &str, &RoomConditions) -> Option<bool> + 'r {
    |one, other, _| Some(members.contains(&one) && members.contains(&other))
}

fn shares_nothing(_: &str, _: &str, _: &RoomConditions) -> Option<bool> {
    Some(false)
}

async fn sees(
    visibility: &Visibility,
    recipient: &str,
    share_room: impl Fn(&str, &str, &RoomConditions) -> Option<bool>,
) -> Result<(bool, Basis), Error> {
    let question = visibility.sees(recipient, ANN, "online").await?;
    let Verdict { visible, basis, .. } = question.decide(share_room);
    Ok((visible, basis))
}

/// A near-cache that remembers that joe sees his room-mates, and the rest of its world.
async fn remembering(options: NearCacheOptions) -> (Fake, Route, NearCache) {
    let (fake, mut stream, cache) = connected_with_rooms(options).await;
    stream.tell(ResponseMessage::SetPart(expression(1, room_mates(&small_room())))).await;
    remember_interest(&mut stream, &cache, JOE, 1, vec![hide_status(users(&[SUE]))]).await;
    (fake, stream, cache.with_deadline(DEADLINE))
}

/// Waits until the near-cache noticed that it has no connection.
async fn disconnected(cache: &NearCache) {
    while cache.cached_interest(JOE).is_some_and(|answer| !answer.is_stale()) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_verdict_is_about_the_daemons_answer_and_the_rooms_of_the_homeserver() {
    let (_fake, mut stream, cache) = remembering(options()).await;
    let visibility = Visibility::new(cache.clone(), WhenAway::Nobody);
    let small = small_room();

    let question = visibility.sees(JOE, SUE, "online").await.unwrap();
    let facts = question.needed_facts().unwrap();
    assert_eq!((facts.one, facts.other, facts.conditions), (JOE, SUE, vec![&small]));
    let verdict = question.decide(share_a_room_of(&[JOE, SUE]));
    assert!(verdict.visible && verdict.hidden.status_msg && !verdict.hidden.presence);
    assert_eq!(verdict.basis, Basis::Current);
    let verdict = question.decide(shares_nothing);
    assert!(!verdict.visible && verdict.hidden.presence, "nothing to show by mistake");

    let senders = [(ANN, "online"), (SUE, "online"), (TOM, "online"), (JOE, "online")];
    let question = visibility.filter(JOE, &senders).await.unwrap();
    assert!(question.depends_on_rooms());
    let needed: Vec<_> = question.needed_facts().map(|facts| facts.other).collect();
    assert_eq!(needed, [ANN, SUE, TOM], "all but the recipient");
    let filtered = question.decide(share_a_room_of(&[JOE, ANN, SUE]));
    let said = |one: &VisibleSender| (one.index, one.hidden.status_msg);
    assert_eq!(filtered.visible.iter().map(said).collect::<Vec<_>>(), [(0, false), (1, true)]);
    assert_eq!(filtered.basis, Basis::Current);

    // The set of the same room-mates, as ann's audience.
    remember(&mut stream, &cache, ANN, "r1", 1).await;
    let question = visibility.server_sees("b.example", ANN, "online").await.unwrap();
    assert_eq!(question.needed_conditions(), [&small]);
    let room_mates = [JOE, "@bob:b.example"];
    let to_bob =
        question.decide(RoomMates::complete(room_mates), share_a_room_of(&[ANN, "@bob:b.example"]));
    assert!(to_bob.visible && to_bob.hidden.is_empty());
    assert!(
        !question.decide(RoomMates::complete(room_mates), share_a_room_of(&[ANN, JOE])).visible,
        "not joe's server"
    );
    assert!(!question.decide(RoomMates::complete([]), share_a_room_of(&[ANN, JOE])).visible);
}

/// The clock stands still, and moves only for those who wait for it.
#[tokio::test]
async fn while_the_daemon_is_away_memory_decides_and_then_the_homeservers_choice() {
    for when_away in [WhenAway::Nobody, WhenAway::Rooms] {
        let (mut fake, stream, cache) = remembering(options()).await;
        let visibility = Visibility::new(cache.clone(), when_away);
        let rooms = share_a_room_of(&[ANN, JOE, TOM]);
        assert_eq!(sees(&visibility, JOE, &rooms).await, Ok((true, Basis::Current)));
        stream.end(Status::unavailable("away")).await;
        disconnected(&cache).await;
        tokio::time::pause();
        assert_eq!(sees(&visibility, JOE, &rooms).await, Ok((true, Basis::Stale)));
        assert_eq!(sees(&visibility, JOE, shares_nothing).await, Ok((false, Basis::Stale)));
        // Memory does not know tom. One question that fails decides nothing by rooms.
        assert_eq!(sees(&visibility, TOM, &rooms).await, Ok((false, Basis::Nobody)));
        assert!(!cache.is_away());

        tokio::time::advance(STALE_FOR).await;
        assert!(cache.is_away());
        let by_rooms = when_away == WhenAway::Rooms;
        let expected = (by_rooms, if by_rooms { Basis::Rooms } else { Basis::Nobody });
        for recipient in [JOE, TOM] {
            assert_eq!(sees(&visibility, recipient, &rooms).await, Ok(expected), "{recipient}");
            let apart = sees(&visibility, recipient, shares_nothing).await.unwrap();
            assert_eq!(apart, (false, expected.1), "{recipient}");
            assert!(expected.1.is_without_answer());
        }
        let question = visibility.sees(JOE, ANN, "online").await.unwrap();
        let any_room = RoomConditions::default();
        let conditions = question.needed_facts().map(|facts| facts.conditions);
        assert_eq!(conditions, by_rooms.then(|| vec![&any_room]));
        let question = visibility.server_sees("example.org", ANN, "online").await.unwrap();
        assert_eq!(question.decide(RoomMates::complete([JOE]), &rooms).visible, expected.0);

        // The same history goes on, and so do its answers.
        tokio::time::resume();
        let returned = async {
            // The client has given up some of these streams.
            let mut streams = Vec::new();
            while sees(&visibility, JOE, &rooms).await != Ok((true, Basis::Current)) {
                tokio::select! {
                    stream = fake.route() => {
                        stream.tell(ResponseMessage::Opened(opened("r1", None))).await;
                        streams.push(stream);
                    }
                    () = tokio::task::yield_now() => {}
                }
            }
        };
        tokio::time::timeout(crate::fake::LONG, returned).await.unwrap();
    }
}

#[tokio::test]
async fn a_daemon_that_answers_late_is_not_away() {
    let (_fake, _stream, cache) = remembering(options()).await;
    tokio::time::pause();
    let visibility = Visibility::new(cache.clone(), WhenAway::Rooms);
    let rooms = share_a_room_of(&[ANN, TOM]);
    for _ in 0..10 {
        assert_eq!(sees(&visibility, TOM, &rooms).await, Ok((false, Basis::Nobody)));
    }
    assert!(!cache.is_away());
}

#[tokio::test]
async fn a_refusal_is_an_error_and_never_decided_by_rooms() {
    for when_away in [WhenAway::Nobody, WhenAway::Rooms] {
        // Away as soon as there is no connection.
        let mut options = options();
        options.stale_for = Duration::ZERO;
        let (mut fake, mut stream, cache) = remembering(options).await;
        let visibility = Visibility::new(cache.with_deadline(crate::fake::LONG), when_away);
        let asked = tokio::spawn({
            let visibility = visibility.clone();
            async move { sees(&visibility, "joe", |_, _, _| Some(true)).await }
        });
        let Some(RequestMessage::Interest(query)) = stream.next().await else { panic!("a query") };
        let error = v1::RequestError {
            request: Some(v1::request_error::Request::QueryId(query.query_id)),
            code: Code::InvalidArgument.into(),
            reason: v1::ErrorReason::UserIdInvalid.into(),
            ..Default::default()
        };
        stream.tell(ResponseMessage::RequestError(error)).await;
        assert!(asked.await.unwrap().is_err_and(|error| error.is_refusal()), "{when_away:?}");

        // A daemon that does not serve this homeserver is there, for however long.
        stream.end(refusal(Code::PermissionDenied, "SERVER_NAME_NOT_YOURS")).await;
        for _ in 0..2 {
            let asked = tokio::spawn({
                let visibility = visibility.clone();
                async move { sees(&visibility, TOM, |_, _, _| Some(true)).await }
            });
            while !asked.is_finished() {
                let refused = refusal(Code::PermissionDenied, "SERVER_NAME_NOT_YOURS");
                tokio::select! {
                    stream = fake.route() => stream.end(refused).await,
                    () = tokio::task::yield_now() => {}
                }
            }
            assert!(asked.await.unwrap().is_err_and(|error| error.is_refusal()), "{when_away:?}");
            assert!(!cache.is_away());
        }
    }
}

/// A question whose deadline passes between two refusals is no refusal itself.
#[tokio::test]
async fn a_daemon_that_refuses_for_long_is_not_away() {
    let (_fake, stream, cache) = remembering(options()).await;
    let visibility = Visibility::new(cache.clone(), WhenAway::Rooms);
    let rooms = share_a_room_of(&[ANN, TOM]);
    stream.end(refusal(Code::PermissionDenied, "SERVER_NAME_NOT_YOURS")).await;
    disconnected(&cache).await;
    tokio::time::pause();
    tokio::time::advance(STALE_FOR).await;
    // No later attempt is answered: the daemon is silent for less than a second.
    for _ in 0..3 {
        assert!(!cache.is_away());
        assert_eq!(sees(&visibility, TOM, &rooms).await, Ok((false, Basis::Nobody)));
    }
    while !cache.is_away() {
        tokio::time::advance(STALE_FOR).await;
    }
    assert_eq!(sees(&visibility, TOM, &rooms).await, Ok((true, Basis::Rooms)));
}

#[tokio::test]
async fn an_older_daemon_needs_no_facts() {
    let mut fake = Fake::start().await;
    let mut of_client = Fake::options();
    of_client.room_capabilities = presence_router_client::RoomCapabilities::ALL;
    let cache = fake.client(of_client).near_cache(options());
    let mut stream = fake.route().await;
    stream.open().await;
    let older = v1::Opened { capabilities: Vec::new(), ..opened("r1", None) };
    stream.tell(ResponseMessage::Opened(older)).await;
    define(&stream, 1, &[ANN]).await;
    remember_interest(&mut stream, &cache, JOE, 1, Vec::new()).await;
    remember(&mut stream, &cache, ANN, "r1", 1).await;

    let visibility = Visibility::new(cache, WhenAway::Nobody);
    let question = visibility.filter(JOE, &[(ANN, "online")]).await.unwrap();
    assert!(!question.depends_on_rooms() && question.needed_facts().next().is_none());
    assert_eq!(question.decide(|_, _, _| unreachable!()).visible.len(), 1);
    let question = visibility.server_sees("example.org", ANN, "online").await.unwrap();
    assert!(!question.depends_on_rooms() && question.needed_conditions().is_empty());
    let verdict = question.decide(RoomMates::complete([JOE]), |_, _, _| unreachable!());
    assert!(!verdict.visible, "her set contains only herself");
}

/// A router that fails.
#[derive(Debug)]
struct Failing(Error);

impl PresenceRouter for Failing {
    fn users_for_states(&self, _: Vec<String>) -> Answer<'_, Routed> {
        Box::pin(async { Err(self.0.clone()) })
    }

    fn interested_users(&self, _: String) -> Answer<'_, Interest> {
        Box::pin(async { Err(self.0.clone()) })
    }

    fn watch_changes(&self) -> Changes {
        Changes::new(tokio_stream::empty())
    }
}

#[tokio::test]
async fn nobody_sees_anybody_by_a_router_that_fails() {
    let visibility = Visibility::from_router(Arc::new(Failing(Error::Deadline(DEADLINE))));
    let everywhere = |_: &str, _: &str, _: &RoomConditions| Some(true);
    assert_eq!(sees(&visibility, JOE, everywhere).await, Ok((false, Basis::Nobody)));
    let question = visibility.server_sees("example.org", ANN, "online").await.unwrap();
    assert_eq!(question.decide(RoomMates::complete([JOE]), everywhere).basis, Basis::Nobody);

    let refused = Failing(Error::Unsupported("RouteStates"));
    let visibility = Visibility::from_router(Arc::new(refused));
    assert!(sees(&visibility, JOE, everywhere).await.is_err());
    assert!(visibility.server_sees("example.org", ANN, "online").await.is_err());
}
