//! Answers that depend on rooms, and the capabilities that a client states for them.

use presence_router_client::{
    MemberCount, RoomCapabilities, RoomCapability, RoomCondition, RoomConditions,
};
use presence_router_proto::rooms::room_capabilities;

use super::*;
use crate::fake::{all_of, room_mates};

fn any_room() -> RoomConditions {
    RoomConditions::default()
}

pub(super) fn small_room() -> RoomConditions {
    RoomConditions::new([RoomCondition::AtMost(MemberCount::new(10, []))])
}

/// A near-cache of a homeserver that evaluates everything, connected at `r1`.
pub(super) async fn connected_with_rooms(options: NearCacheOptions) -> (Fake, Route, NearCache) {
    let mut fake = Fake::start().await;
    let mut of_client = Fake::options();
    of_client.room_capabilities = RoomCapabilities::ALL;
    let cache = fake.client(of_client).near_cache(options);
    let (stream, _) = fake.opened("r1").await;
    (fake, stream, cache)
}

/// Makes the near-cache remember that a recipient sees this set, with these hides.
pub(super) async fn remember_interest(
    stream: &mut Route,
    cache: &NearCache,
    recipient: &str,
    senders_set_id: u64,
    hides: Vec<v1::Hide>,
) {
    let asked = {
        let (cache, recipient) = (cache.clone(), recipient.to_owned());
        tokio::spawn(async move { cache.interest(&recipient).await.map(|_| ()) })
    };
    let Some(RequestMessage::Interest(v1::InterestQuery { query_id, .. })) = stream.next().await
    else {
        panic!("a query")
    };
    let revision = "r1".to_owned();
    let answer = v1::InterestAnswer { query_id, revision, senders_set_id, hides };
    stream.tell(ResponseMessage::InterestAnswer(answer)).await;
    asked.await.unwrap().unwrap();
}

pub(super) fn hide_status(users: v1::SetExpression) -> v1::Hide {
    let fields = vec![v1::PresenceField::StatusMsg.into()];
    v1::Hide { users: Some(users), fields, unless_presence: Vec::new() }
}

#[tokio::test]
async fn every_stream_states_the_room_capabilities() {
    let some = RoomCapabilities::from(RoomCapability::RoomMates).with(RoomCapability::AtMost);
    for rooms in [RoomCapabilities::NONE, some, RoomCapabilities::ALL] {
        let stated = |capabilities: &[i32]| {
            let known = capabilities.iter().map(|one| v1::Capability::try_from(*one).unwrap());
            (room_capabilities(known), capabilities.len() - rooms.iter().count())
        };
        let mut fake = Fake::start().await;
        let mut of_client = Fake::options();
        of_client.room_capabilities = rooms;
        let client = fake.client(of_client);
        let _cache = client.near_cache(options());
        let (_cached, open) = fake.opened("r1").await;
        assert_eq!(stated(&open.capabilities), (rooms, 1), "and the named servers");
        let _routes = client.route_states();
        let (_routed, open) = fake.opened("r1").await;
        assert_eq!(stated(&open.capabilities), (rooms, 0));
        let _changes = client.watch_changes();
        assert_eq!(stated(&fake.watch().await.request.capabilities), (rooms, 0));
    }
}

#[tokio::test]
async fn an_answer_with_rooms_shows_by_itself_only_the_certain_part() {
    let (_fake, mut stream, cache) = connected_with_rooms(options()).await;
    define(&stream, 1, &[ANN, SUE]).await;
    define(&stream, 2, &[TOM]).await;
    let staff = all_of(&[set(1), room_mates(&any_room())]);
    stream.tell(ResponseMessage::SetPart(expression(3, union(&[set(2), staff])))).await;
    let hides = vec![hide_status(room_mates(&small_room()))];
    remember_interest(&mut stream, &cache, JOE, 3, hides).await;

    let senders = [(ANN, "online"), (TOM, "online")];
    let said = |one: &VisibleSender| (one.index, one.hidden.status_msg);
    let visible = cache.cached_filter(JOE, &senders).unwrap();
    assert_eq!(visible.iter().map(said).collect::<Vec<_>>(), [(1, true)], "a hide may apply");

    let answer = cache.cached_interest(JOE).unwrap();
    let counterparts = answer.counterparts();
    assert!(counterparts.depends_on_rooms() && counterparts.is_open());
    assert_eq!(counterparts.listed_users(), [TOM]);
    assert_eq!(counterparts.listed_candidates(), [ANN, SUE, TOM]);
    // Joe and ann share a large room.
    let visible = counterparts.filter_senders_if(senders, |sender, conditions| {
        Some(sender == ANN && conditions.is_any_room())
    });
    assert_eq!(visible.iter().map(said).collect::<Vec<_>>(), [(0, false), (1, false)]);
    assert_eq!(counterparts.contains_if(SUE, |_| None), None);
    assert_eq!(counterparts.contains_if(JOE, |_| Some(true)), Some(false), "not oneself");

    // The part about rooms keeps its list up to date.
    stream.tell(ResponseMessage::SetEdit(edit(1, &["@new:example.org"], &[ANN]))).await;
    stream.tell(ResponseMessage::Changed(changed("r2"))).await;
    settled(&mut stream, &cache, "r2").await;
    let answer = cache.cached_interest(JOE).unwrap();
    let contains = |user| answer.counterparts().contains_if(user, |_| Some(true));
    assert_eq!([ANN, "@new:example.org"].map(contains), [Some(false), Some(true)]);
}

/// A product of a change is a bound. If it depends on rooms, it names all whom it may contain.
#[tokio::test]
async fn a_change_that_depends_on_rooms_ends_the_answers_of_all_whom_it_may_name() {
    let (_fake, mut stream, cache) = connected_with_rooms(options()).await;
    for sender in [ANN, SUE] {
        remember(&mut stream, &cache, sender, "r1", 0).await;
    }
    let senders = all_of(&[users(&[ANN]), room_mates(&any_room())]);
    let product = v1::PairProduct { senders: Some(senders), recipients: Some(users(&[JOE])) };
    let named = v1::Changed { gained: vec![product], ..changed("r2") };
    stream.tell(ResponseMessage::Changed(named)).await;
    settled(&mut stream, &cache, "r2").await;
    assert_eq!(remembered(&cache, ANN), None);
    assert!(remembered(&cache, SUE).is_some());
}
