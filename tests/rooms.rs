//! `OnCreateRoom`: the policy's rules about rooms over gRPC, what is refused, and
//! that it follows reloads and the directory.

use presence_router_client::Error;
use presence_router_engine::Edit;
use presence_router_ids::UserId;
use presence_router_proto::v1::room_service_client::RoomServiceClient;
use presence_router_proto::v1::{OnCreateRoomRequest, OnCreateRoomResponse, StateKey};
use presence_router_server::rpc::limits::Limits;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

use crate::harness::{Daemon, limits};

const POLICY: &str = "
groups:
  sales: { directory: true }
rules: []
rooms:
  - name: hint
    when: { preset: private_chat }
    add:
      - { type: org.hint, content: { sharing: forbid, levels: [1, -2], none: null } }
      - { type: org.other, state_key: k, content: {} }
  - name: no sales
    when: { requester: { group: sales }, name: 'Sales*' }
    deny: { errcode: ORG.EXAMPLE_NO, message: not yet, status: 429 }
  - name: no strangers
    when: { invites: { any: everyone, except: { server: one.org } } }
    deny: { message: one.org only }
";

fn room(requester: &str) -> OnCreateRoomRequest {
    OnCreateRoomRequest {
        server_names: vec!["one.org".to_owned()],
        requester: requester.to_owned(),
        ..OnCreateRoomRequest::default()
    }
}

async fn ask(daemon: &Daemon, room: OnCreateRoomRequest) -> Result<OnCreateRoomResponse, Status> {
    let mut client: RoomServiceClient<Channel> = RoomServiceClient::new(daemon.channel());
    client.on_create_room(room).await.map(|answer| answer.into_inner())
}

/// Types of the events that are added, or the errcode of the denial.
fn verdict(answer: &OnCreateRoomResponse) -> Vec<&str> {
    match &answer.denial {
        Some(denial) => vec![&denial.errcode],
        None => answer.added_events.iter().map(|event| event.r#type.as_str()).collect(),
    }
}

#[tokio::test]
async fn rooms_get_events_or_are_denied() {
    let daemon = Daemon::serving(POLICY).await;
    let answer = ask(&daemon, room("@ann:one.org")).await.unwrap();
    assert_eq!((answer.revision.as_str(), &answer.denial), (daemon.revision().as_str(), &None));
    let [hint, other] = answer.added_events.as_slice() else { panic!("{answer:?}") };
    assert_eq!((&*hint.r#type, &*hint.state_key, &*hint.rule), ("org.hint", "", "hint"));
    let content: serde_json::Value = serde_json::from_str(&hint.content).unwrap();
    let want = serde_json::json!({ "sharing": "forbid", "levels": [1, -2], "none": null });
    assert_eq!(content, want);
    assert_eq!((&*other.r#type, &*other.state_key, &*other.content), ("org.other", "k", "{}"));

    let has = StateKey { r#type: "org.hint".to_owned(), state_key: String::new() };
    let answer =
        ask(&daemon, OnCreateRoomRequest { initial_state: vec![has], ..room("@ann:one.org") });
    assert_eq!(verdict(&answer.await.unwrap()), ["org.other"]);
    for (preset, visibility, want) in [
        (Some("public_chat"), None, &[][..]),
        (None, Some("public"), &[]),
        (Some("no_such_chat"), Some("no such"), &[]),
        (Some("private_chat"), Some("no such"), &["org.hint", "org.other"]),
    ] {
        let [preset, visibility] = [preset, visibility].map(|text| text.map(str::to_owned));
        let room = OnCreateRoomRequest { preset, visibility, ..room("@ann:one.org") };
        assert_eq!(verdict(&ask(&daemon, room).await.unwrap()), want);
    }

    let invites = ["@joe:one.org", "no id", "@x:far.org"].map(str::to_owned);
    let answer =
        ask(&daemon, OnCreateRoomRequest { invites: invites.into(), ..room("@ann:one.org") });
    let denial = answer.await.unwrap().denial.unwrap();
    assert_eq!((&*denial.errcode, denial.http_status), ("M_FORBIDDEN", 403));
    assert_eq!((&*denial.message, &*denial.rule), ("one.org only", "no strangers"));
    // What is no user id is in no set, everyone included.
    let invites = vec!["no id".to_owned(), "@joe:one.org".to_owned()];
    let answer = ask(&daemon, OnCreateRoomRequest { invites, ..room("@ann:one.org") });
    assert_eq!(verdict(&answer.await.unwrap()), ["org.hint", "org.other"]);
}

#[tokio::test]
async fn sets_are_those_of_the_directory_and_of_the_policy_in_force() {
    let daemon = Daemon::serving(POLICY).await;
    let sales = OnCreateRoomRequest { name: Some("Sales 2026".to_owned()), ..room("@sue:one.org") };
    assert_eq!(verdict(&ask(&daemon, sales.clone()).await.unwrap()), ["org.hint", "org.other"]);
    let sue = UserId::parse("@sue:one.org").unwrap();
    let revision = daemon.live.edit_directory(&[Edit::Join { group: "sales", user: sue }]).unwrap();
    let at_least = OnCreateRoomRequest { at_least: revision.to_string(), ..sales.clone() };
    let answer = ask(&daemon, at_least).await.unwrap();
    assert_eq!(verdict(&answer), ["ORG.EXAMPLE_NO"]);
    assert_eq!((answer.revision, answer.denial.unwrap().http_status), (revision.to_string(), 429));
    daemon.reload(&POLICY.replace("Sales*", "Nothing*").replace("org.hint", "org.new")).unwrap();
    assert_eq!(verdict(&ask(&daemon, sales.clone()).await.unwrap()), ["org.new", "org.other"]);
    daemon.reload(&POLICY.replace("private_chat", "secret_chat")).unwrap_err();
    assert_eq!(verdict(&ask(&daemon, sales).await.unwrap()), ["org.new", "org.other"]);
}

#[tokio::test]
async fn a_policy_without_rooms_changes_nothing() {
    let daemon = Daemon::serving("rules: []").await;
    let answer = ask(&daemon, room("@ann:one.org")).await.unwrap();
    assert!(verdict(&answer).is_empty() && answer.denial.is_none());
}

#[tokio::test]
async fn bad_rooms_are_refused_with_a_reason() {
    let daemon = Daemon::serving(POLICY).await;
    let ann = || room("@ann:one.org");
    let many = |n: usize| vec!["@x:one.org".to_owned(); n];
    let long = |n: usize| Some("x".repeat(n));
    for (room, reason, text) in [
        (room(""), "USER_ID_INVALID", "`requester`"),
        (room("@ann"), "USER_ID_INVALID", "`requester`"),
        (room("@ann:far.org"), "REQUESTER_NOT_YOURS", "`requester` lives on none"),
        (
            OnCreateRoomRequest { server_names: vec![], ..ann() },
            "SERVER_NAMES_MISSING",
            "server_names",
        ),
        (
            OnCreateRoomRequest { server_names: vec!["a b".to_owned()], ..ann() },
            "SERVER_NAME_INVALID",
            "server_names[0]",
        ),
        (
            OnCreateRoomRequest { at_least: "soon".to_owned(), ..ann() },
            "REVISION_MALFORMED",
            "at_least",
        ),
        (
            OnCreateRoomRequest { name: long(65_537), ..ann() },
            "ROOM_TOO_LARGE",
            "`name` has 65537 bytes",
        ),
        (
            OnCreateRoomRequest { invites: many(10_001), ..ann() },
            "ROOM_TOO_LARGE",
            "`invites` has 10001 entries",
        ),
        (
            OnCreateRoomRequest { initial_state: vec![StateKey::default(); 10_001], ..ann() },
            "ROOM_TOO_LARGE",
            "`initial_state` has 10001 entries",
        ),
    ] {
        let refused = ask(&daemon, room).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().contains(text), "{refused}");
        assert_eq!(refused.get_error_details().error_info().unwrap().reason, reason);
    }
    let full = OnCreateRoomRequest {
        name: long(65_536),
        invites: many(10_000),
        initial_state: vec![StateKey::default(); 10_000],
        ..ann()
    };
    assert_eq!(verdict(&ask(&daemon, full).await.unwrap()), ["org.hint", "org.other"]);

    let small = Limits { request_bytes: 1000, response_bytes: 100, ..limits() };
    let daemon = Daemon::limited(POLICY, small).await;
    let refused =
        ask(&daemon, OnCreateRoomRequest { name: long(2000), ..ann() }).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange);
    assert_eq!(refused.get_error_details().error_info().unwrap().reason, "MESSAGE_TOO_LARGE");
    let refused = ask(&daemon, ann()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.get_error_details().error_info().unwrap().reason, "ANSWER_TOO_LARGE");
}

#[tokio::test]
async fn the_rust_client_asks_too() {
    let daemon = Daemon::serving(POLICY).await;
    let client = daemon.rust_client(&["one.org".to_owned()]);
    // The client's own server names count.
    let room = OnCreateRoomRequest { server_names: Vec::new(), ..room("@ann:one.org") };
    let answer = client.on_create_room(room.clone()).await.unwrap();
    assert_eq!(verdict(&answer), ["org.hint", "org.other"]);
    let elsewhere = OnCreateRoomRequest { requester: "@ann:far.org".to_owned(), ..room };
    let Err(Error::Refused(refusal)) = client.on_create_room(elsewhere).await else { panic!() };
    assert_eq!(refusal.reason.as_deref(), Some("REQUESTER_NOT_YOURS"));
}

#[tokio::test]
async fn health_knows_the_service() {
    let daemon = Daemon::serving(POLICY).await;
    let service = "presence_router.v1.RoomService".to_owned();
    let mut health = HealthClient::new(daemon.channel());
    let answer = health.check(HealthCheckRequest { service }).await.unwrap().into_inner();
    assert_eq!(answer.status(), tonic_health::pb::health_check_response::ServingStatus::Serving);
}
