//! Examples by hand: requests that wait, EDUs for nobody, and copies for several recipients.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use presence_router_client::{
    Answer, Changes, InProcess, Interest, PresenceRouter, RoomCapabilities, Routed, Visibility,
};

use crate::homeserver::{Edu, Homeserver, Presence, Room};

const ANN: &str = "@ann:one.org";
const JOE: &str = "@joe:one.org";
const SUE: &str = "@sue:one.org";
const TOM: &str = "@tom:two.org";

/// As stock Matrix does.
const ROOM_MATES: &str = "rules: [{ name: room-mates, allow: { share_room: true } }]";

/// An engine whose answers come at the second poll.
#[derive(Debug)]
struct Waiting(InProcess);

// === impl Waiting ===

impl PresenceRouter for Waiting {
    fn users_for_states(&self, senders: Vec<String>) -> Answer<'_, Routed> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.0.users_for_states(senders).await
        })
    }

    fn interested_users(&self, user_id: String) -> Answer<'_, Interest> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.0.interested_users(user_id).await
        })
    }

    fn watch_changes(&self) -> Changes {
        self.0.watch_changes()
    }
}

fn engine(policy: &str) -> InProcess {
    let engine = InProcess::new(policy, ["one.org"]).unwrap();
    engine.with_room_capabilities(RoomCapabilities::ALL)
}

fn homeserver(policy: &str) -> Homeserver {
    homeserver_of(engine(policy))
}

fn homeserver_of(router: impl PresenceRouter + 'static) -> Homeserver {
    Homeserver::new(["one.org"], [ANN, JOE, SUE], Visibility::from_router(Arc::new(router)))
}

fn online(user: &str) -> Presence {
    Presence {
        user_id: user.to_owned(),
        presence: "online".to_owned(),
        status_msg: Some("at work".to_owned()),
        last_active_ts: Some(1),
        currently_active: Some(true),
    }
}

fn room(members: &[&str]) -> Room {
    Room { members: members.iter().map(|user| (*user).to_owned()).collect(), ..Room::default() }
}

/// Returns the result of a future that needs no more to happen.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[tokio::test]
async fn a_request_waits_for_a_state_that_its_user_sees() {
    let homeserver = homeserver(ROOM_MATES);
    homeserver.change_room("!a", room(&[ANN, JOE])).await;
    let since = homeserver.sync(JOE, None).await.next_batch;
    let mut request = pin!(homeserver.sync_with_news(JOE, since));
    assert_eq!(poll_once(request.as_mut()).await, None, "there is nothing to see");
    homeserver.set_presence(online(SUE)).await;
    assert_eq!(poll_once(request.as_mut()).await, None, "sue shares no room with joe");
    homeserver.set_presence(online(ANN)).await;
    assert_eq!(request.await.presence, [online(ANN)]);
}

#[tokio::test]
async fn a_state_for_nobody_is_kept_and_shown_after_a_join() {
    let homeserver = homeserver(ROOM_MATES);
    homeserver.change_room("!a", room(&[ANN])).await;
    let before = homeserver.sync(ANN, None).await.next_batch;
    let edu = Edu { origin: "two.org".to_owned(), push: vec![online(TOM)] };
    homeserver.receive(edu).await;
    let response = homeserver.sync(ANN, Some(before)).await;
    assert_eq!((response.presence, response.next_batch), (vec![], before), "nothing happened");
    homeserver.change_room("!a", room(&[ANN, TOM])).await;
    assert_eq!(homeserver.sync(ANN, Some(before)).await.presence, [online(TOM)]);
    assert_eq!(homeserver.sync(JOE, None).await.presence, []);
}

#[tokio::test]
async fn a_server_cannot_send_states_of_other_servers_users() {
    let homeserver = homeserver("rules: [{ name: all, allow: { from: everyone, to: everyone } }]");
    let push = vec![online(TOM), online(JOE), online("@eve:three.org")];
    homeserver.receive(Edu { origin: "three.org".to_owned(), push }).await;
    assert_eq!(homeserver.sync(ANN, None).await.presence, [online("@eve:three.org")]);
    homeserver.receive(Edu { origin: "one.org".to_owned(), push: vec![online(JOE)] }).await;
    assert_eq!(homeserver.get_status(ANN, JOE).await, None);
}

#[tokio::test]
async fn a_copy_lacks_what_is_hidden_from_anybody_on_its_server() {
    let policy = r#"
rules:
  - { name: room-mates, allow: { share_room: true } }
  - { name: text, hide: { from: everyone, to: "@tom:two.org", fields: [status_msg] } }
  - { name: big rooms, hide: { share_room: { at_least: 3 }, fields: [currently_active] } }
"#;
    let homeserver = homeserver(policy);
    homeserver.change_room("!a", room(&[ANN, TOM])).await;
    homeserver.change_room("!b", room(&[ANN, JOE, "@tim:two.org"])).await;
    homeserver.set_presence(online(ANN)).await;
    let copy = Presence { status_msg: None, currently_active: None, ..online(ANN) };
    let edu = Edu { origin: "one.org".to_owned(), push: vec![copy] };
    assert_eq!(homeserver.take_outbox(), [("two.org".to_owned(), edu)]);
    let shown = Presence { currently_active: None, ..online(ANN) };
    assert_eq!(homeserver.get_status(JOE, ANN).await, Some(shown));
    assert_eq!(homeserver.get_status(ANN, ANN).await, Some(online(ANN)));
    assert_eq!(homeserver.get_status(SUE, ANN).await, None);
}

#[tokio::test]
async fn no_state_follows_a_newer_one() {
    for polls in 1..16 {
        let homeserver = homeserver_of(Waiting(engine(ROOM_MATES)));
        homeserver.register_service("@joe:*");
        homeserver.change_room("!a", room(&[ANN, JOE])).await;
        homeserver.set_presence(online(ANN)).await;
        homeserver.take_outbox();
        homeserver.take_transaction(0);
        // A join passes ann's state on again, and ann sets another one in the meantime.
        let mut join = pin!(homeserver.change_room("!a", room(&[ANN, JOE, TOM])));
        let mut is_done = false;
        for _ in 0..polls {
            is_done = is_done || poll_once(join.as_mut()).await.is_some();
        }
        let offline = Presence { presence: "offline".to_owned(), ..online(ANN) };
        homeserver.set_presence(offline.clone()).await;
        if !is_done {
            join.await;
        }
        let sent: Vec<_> =
            homeserver.take_outbox().into_iter().flat_map(|(_, edu)| edu.push).collect();
        assert_eq!(sent.last(), Some(&offline), "sent, after {polls} polls");
        let pushed = homeserver.take_transaction(0);
        let pushed = pushed.iter().rfind(|shown| shown.state.user_id == ANN);
        assert_eq!(pushed.map(|shown| &shown.state), Some(&offline), "pushed, after {polls} polls");
        assert_eq!(homeserver.get_status(JOE, ANN).await, Some(offline));
    }
}

#[tokio::test]
async fn a_join_while_an_edu_waits_shows_its_state() {
    // With two names there are two decisions, and the join comes between them.
    let names = ["one.org", "uno.org"];
    let engine = InProcess::new(ROOM_MATES, names).unwrap();
    let router = Waiting(engine.with_room_capabilities(RoomCapabilities::ALL));
    let homeserver = Homeserver::new(names, [ANN], Visibility::from_router(Arc::new(router)));
    homeserver.change_room("!a", room(&[ANN])).await;
    let before = homeserver.sync(ANN, None).await.next_batch;
    let edu = Edu { origin: "two.org".to_owned(), push: vec![online(TOM)] };
    let mut edu = pin!(homeserver.receive(edu));
    for decision in names {
        assert_eq!(poll_once(edu.as_mut()).await, None, "the decision for {decision} waits");
    }
    homeserver.change_room("!a", room(&[ANN, TOM])).await;
    edu.await;
    assert_eq!(homeserver.sync(ANN, Some(before)).await.presence, [online(TOM)]);
}
