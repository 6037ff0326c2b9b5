//! Requests over `RouteStates`: answers, edits, and what becomes of requests
//! when a stream breaks.

use std::time::Duration;

use presence_router_client::{
    Client, Code, Error, Interest, Options, PresenceRouter, RouteStates, Routed, v1,
};
use presence_router_proto::v1::{
    route_states_request::Message as RequestMessage,
    route_states_response::Message as ResponseMessage,
};
use tokio::task::JoinHandle;
use tonic::{Status, codegen::http};

use crate::fake::{Fake, LONG, changed, edit, expression, list, opened, refusal, set, union};

const ANN: &str = "@ann:example.org";
const JOE: &str = "@joe:example.org";
const SUE: &str = "@sue:example.org";

fn ask(router: &RouteStates, senders: &[&str]) -> JoinHandle<Result<Routed, Error>> {
    let router = router.clone();
    let senders = senders.iter().map(|sender| (*sender).to_owned()).collect();
    tokio::spawn(async move { router.route_batch(senders).await })
}

fn ask_interest(router: &RouteStates, user: &str) -> JoinHandle<Result<Interest, Error>> {
    let (router, user) = (router.clone(), user.to_owned());
    tokio::spawn(async move { router.query_interest(user).await })
}

#[test]
fn handles_go_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    fn sent<T: Send + 'static>() {}
    shared::<Client>();
    shared::<Options>();
    shared::<RouteStates>();
    shared::<Routed>();
    shared::<Interest>();
    shared::<presence_router_client::Set>();
    shared::<Error>();
    shared::<Box<dyn PresenceRouter>>();
    shared::<presence_router_client::ChangeEvent>();
    sent::<presence_router_client::Changes>();
    #[cfg(feature = "in-process")]
    shared::<presence_router_client::InProcess>();
}

#[tokio::test]
async fn many_requests_share_a_stream_and_each_gets_its_own_answer() {
    let mut fake = Fake::start().await;
    let router = fake.client(Fake::options()).route_states();
    let (mut stream, open) = fake.opened("r1").await;
    assert_eq!(open.server_names, ["example.org"]);
    assert_eq!(open.set_budget_bytes, 256 * 1024 * 1024);
    let asked: Vec<_> = (0..40).map(|_| ask(&router, &[ANN, JOE])).collect();
    // All come before any is answered.
    let mut ids = Vec::new();
    for _ in &asked {
        ids.push(stream.batch().await);
    }
    stream.tell(ResponseMessage::SetPart(list(1, &[ANN], false))).await;
    stream.tell(ResponseMessage::SetPart(list(1, &[JOE, SUE], true))).await;
    stream.tell(ResponseMessage::SetPart(list(2, &[SUE], true))).await;
    for (place, id) in ids.iter().enumerate() {
        stream.deliver(*id, &format!("r{place}"), 1 + place as u64 % 2, &[0, 1]).await;
    }
    let mut revisions = std::collections::BTreeSet::new();
    for asked in asked {
        let routed = asked.await.unwrap().unwrap();
        let place: usize = routed.revision[1..].parse().unwrap();
        let listed = [routed.audience(0).listed_users(), routed.audience(1).listed_users()];
        if place.is_multiple_of(2) {
            // Modulo self: each without itself.
            assert_eq!(listed, [[JOE, SUE], [ANN, SUE]]);
            assert_eq!(routed.states_for(JOE), [0]);
        } else {
            assert_eq!(listed, [[SUE], [SUE]]);
            assert!(routed.states_for(JOE).is_empty());
        }
        assert_eq!(routed.states_for(SUE), [0, 1]);
        assert!(!routed.audience(2).contains(SUE), "there is no third state");
        revisions.insert(place);
    }
    assert_eq!(revisions.len(), 40);
}

#[tokio::test]
async fn interest_and_refusals_travel_beside_batches() {
    let mut fake = Fake::start().await;
    let router = fake.client(Fake::options()).route_states();
    let (mut stream, _) = fake.opened("r1").await;

    let asked = ask_interest(&router, "nonsense");
    let Some(RequestMessage::Interest(query)) = stream.next().await else { panic!("a question") };
    stream
        .tell(ResponseMessage::RequestError(v1::RequestError {
            request: Some(v1::request_error::Request::QueryId(query.query_id)),
            code: Code::InvalidArgument.into(),
            reason: v1::ErrorReason::UserIdInvalid.into(),
            message: "bad".into(),
            violations: vec![v1::FieldViolation {
                field: "user_id".into(),
                description: "no sigil".into(),
            }],
        }))
        .await;
    let Err(Error::Refused(refused)) = asked.await.unwrap() else { panic!("refused") };
    assert_eq!(refused.code, Code::InvalidArgument);
    assert_eq!(refused.reason.as_deref(), Some("USER_ID_INVALID"));
    assert_eq!(refused.violations[0].field, "user_id");

    for set_id in [0, 1] {
        let asked = ask_interest(&router, ANN);
        let Some(RequestMessage::Interest(query)) = stream.next().await else {
            panic!("a question")
        };
        if set_id == 1 {
            stream.tell(ResponseMessage::SetPart(list(1, &[ANN, JOE, SUE], true))).await;
        }
        let hide = v1::Hide {
            users: Some(set(set_id)),
            fields: vec![v1::PresenceField::StatusMsg.into(), 99],
            unless_presence: vec!["offline".into()],
        };
        stream
            .tell(ResponseMessage::InterestAnswer(v1::InterestAnswer {
                query_id: query.query_id,
                revision: "r1".into(),
                senders_set_id: set_id,
                hides: if set_id == 1 { vec![hide] } else { Vec::new() },
            }))
            .await;
        let interest = asked.await.unwrap().unwrap();
        let senders = interest.visible_senders();
        assert_eq!(senders.listed_users(), if set_id == 1 { vec![JOE, SUE] } else { vec![] });
        let hidden = senders.hidden_fields(JOE, "online");
        assert_eq!(hidden.status_msg, set_id == 1);
        assert_eq!(hidden.presence, set_id == 1, "an unknown field hides everything");
        assert!(senders.hidden_fields(JOE, "offline").is_empty());
        assert!(senders.hidden_fields("@x:y", "online").is_empty());
    }
}

#[tokio::test]
async fn edits_follow_the_contract_and_answers_stay_what_they_were() {
    let mut fake = Fake::start().await;
    let router = fake.client(Fake::options()).route_states();
    let (mut stream, _) = fake.opened("r1").await;
    stream.tell(ResponseMessage::SetPart(list(1, &[ANN, JOE], true))).await;
    stream.tell(ResponseMessage::SetPart(expression(2, union(&[set(1)])))).await;
    stream.tell(ResponseMessage::SetPart(expression(3, union(&[set(2), set(1)])))).await;
    let mut answers = Vec::new();
    for step in 0..4 {
        match step {
            1 => stream.tell(ResponseMessage::SetEdit(edit(1, &[SUE], &[ANN]))).await,
            2 => stream.tell(ResponseMessage::Changed(changed("r2"))).await,
            3 => {
                stream.tell(ResponseMessage::Reset(v1::Reset { revision: "r3".into() })).await;
                stream.tell(ResponseMessage::SetPart(list(4, &["@x:y"], true))).await;
            }
            _ => {}
        }
        let asked = ask(&router, &["@s:example.org"]);
        let id = stream.batch().await;
        stream.deliver(id, "r", if step == 3 { 4 } else { 3 }, &[0]).await;
        answers.push(asked.await.unwrap().unwrap());
    }
    let expected = [vec![ANN, JOE], vec![JOE], vec![JOE, SUE], vec!["@x:y"]];
    for (answer, expected) in answers.iter().zip(expected) {
        assert_eq!(answer.audience(0).listed_users(), expected);
    }
}

#[tokio::test]
async fn what_was_under_way_when_a_stream_broke_is_asked_once_more() {
    let mut fake = Fake::start().await;
    let router = fake.client(Fake::options()).route_states();
    let (mut stream, open) = fake.opened("r1").await;
    assert_eq!(open.resume_revision, "");
    // Useful once, so that the next stream comes at once.
    let asked = ask(&router, &[ANN]);
    let id = stream.batch().await;
    stream.tell(ResponseMessage::SetPart(list(1, &[JOE], true))).await;
    stream.deliver(id, "r7", 1, &[0]).await;
    asked.await.unwrap().unwrap();

    let (first, second) = (ask(&router, &[ANN]), ask(&router, &[JOE]));
    stream.batch().await;
    stream.batch().await;
    drop(stream);
    let (mut stream, open) = fake.opened("r8").await;
    assert_eq!(open.resume_revision, "r7", "the revision of the last message");
    // One at a time: one of them may be why the stream broke.
    stream.batch().await;
    stream.end(Status::unavailable("away")).await;

    let (mut stream, _) = fake.opened("r8").await;
    let id = stream.batch().await;
    stream.tell(ResponseMessage::SetPart(list(1, &[SUE], true))).await;
    stream.deliver(id, "r8", 1, &[0]).await;
    let answers = [first.await.unwrap(), second.await.unwrap()];
    let failed = answers.iter().filter_map(|answer| answer.as_ref().err()).collect::<Vec<_>>();
    let away = Error::Unreachable { reason: "away".into(), retry_in: None };
    assert_eq!(failed, [&away], "tried twice, and no more");
    let routed = answers.iter().find_map(|answer| answer.as_ref().ok()).unwrap();
    assert_eq!(routed.audience(0).listed_users(), [SUE]);
}

#[tokio::test]
async fn an_answer_that_is_late_costs_its_request_only() {
    let mut fake = Fake::start().await;
    let router = fake.client(Fake::options()).route_states();
    let (mut stream, _) = fake.opened("r1").await;
    let given_up = ask(&router, &[ANN]);
    let id = stream.batch().await;
    given_up.abort();
    let _ = given_up.await;
    let asked = ask(&router, &[JOE]);
    let next = stream.batch().await;
    stream.tell(ResponseMessage::SetPart(list(1, &[SUE], true))).await;
    stream.deliver(id, "r1", 1, &[0]).await;
    stream.deliver(next, "r2", 1, &[0]).await;
    assert_eq!(asked.await.unwrap().unwrap().revision, "r2");

    for deadline in [Duration::ZERO, Duration::from_millis(20)] {
        let late = router.with_deadline(deadline).query_interest(ANN).await;
        assert_eq!(late, Err(Error::Deadline(deadline)));
    }
}

#[tokio::test]
async fn two_missed_heartbeats_mean_unreachable() {
    let mut fake = Fake::start().await;
    let router = fake.client(Fake::options()).route_states();
    let mut silent = fake.route().await;
    silent.open().await;
    silent.tell(ResponseMessage::Opened(opened("r1", Some(Duration::from_millis(20))))).await;
    let asked = ask(&router, &[ANN]);
    silent.batch().await;
    // The client lets go of it, and asks once more.
    assert_eq!(silent.next().await, None);
    let (mut stream, _) = fake.opened("r1").await;
    stream.batch().await;
    let heartbeat = v1::Heartbeat { revision: "r2".into() };
    stream.tell(ResponseMessage::Heartbeat(heartbeat)).await;
    drop(stream);
    let error = asked.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    let (_stream, open) = fake.opened("r2").await;
    assert_eq!(open.resume_revision, "r2");
}

#[tokio::test]
async fn a_refused_stream_fails_its_requests_with_the_reason() {
    let mut fake = Fake::start().await;
    let router = fake.client(Fake::options()).route_states();
    let mut stream = fake.route().await;
    stream.open().await;
    let asked = ask(&router, &[ANN]);
    tokio::task::yield_now().await;
    stream.end(refusal(Code::InvalidArgument, "SERVER_NAME_INVALID")).await;
    // It may have come after the refusal; then the next stream has it.
    let refused = loop {
        tokio::select! {
            mut next = fake.route() => {
                next.open().await;
                next.end(refusal(Code::InvalidArgument, "SERVER_NAME_INVALID")).await;
            }
            () = async { while !asked.is_finished() { tokio::task::yield_now().await } } => {
                break asked.await.unwrap();
            }
        }
    };
    let Err(Error::Refused(refused)) = refused else { panic!("not refused: {refused:?}") };
    assert_eq!(refused.reason.as_deref(), Some("SERVER_NAME_INVALID"));
}

#[tokio::test]
async fn a_daemon_without_budgets_is_asked_without_one() {
    let mut fake = Fake::start().await;
    let router = fake.client(Fake::options()).route_states();
    let mut stream = fake.route().await;
    assert_ne!(stream.open().await.set_budget_bytes, 0);
    let asked = ask(&router, &[ANN]);
    stream.end(refusal(Code::Unimplemented, "NOT_IMPLEMENTED")).await;
    let (mut stream, open) = fake.opened("r1").await;
    assert_eq!(open.set_budget_bytes, 0);
    let id = stream.batch().await;
    stream.tell(ResponseMessage::SetPart(list(1, &[SUE], true))).await;
    stream.deliver(id, "r1", 1, &[0]).await;
    asked.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_daemon_without_the_call_is_said_to_be_older() {
    let mut fake = Fake::start().await;
    let router = fake.client(Fake::options()).route_states();
    let answer = tokio::spawn(async move { router.query_interest(ANN).await });
    while !answer.is_finished() {
        tokio::select! {
            stream = fake.route() => stream.end(Status::unimplemented("")).await,
            () = tokio::time::sleep(Duration::from_millis(1)) => {}
        }
    }
    let error = answer.await.unwrap().unwrap_err();
    assert_eq!(error, Error::Unsupported("RouteStates"));
    assert!(error.to_string().contains("older"), "{error}");
}

#[tokio::test]
async fn nobody_there_fails_at_once_and_does_not_wait_for_the_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let address = format!("unix:{}/s", dir.path().display());
    let router = Client::connect(&address, Fake::options()).unwrap().route_states();
    for _ in 0..20 {
        let asked = tokio::time::timeout(LONG / 2, router.query_interest(ANN)).await.unwrap();
        let error = asked.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("No such file"), "{error}");
    }
}

#[tokio::test]
async fn the_stream_ends_with_its_last_handle() {
    let mut fake = Fake::start().await;
    let router = fake.client(Fake::options()).route_states();
    let clone = router.clone();
    let (mut stream, _) = fake.opened("r1").await;
    drop(router);
    let asked = ask(&clone, &[ANN]);
    stream.batch().await;
    asked.abort();
    let _ = asked.await;
    drop(clone);
    assert_eq!(stream.next().await, None);
}

#[test]
fn a_stream_without_a_runtime_fails_and_does_not_panic() {
    let nowhere = tower::service_fn(|_: http::Request<tonic::body::Body>| async {
        Err::<http::Response<String>, _>(std::io::Error::other("nowhere"))
    });
    let client = Client::from_channel(nowhere, Fake::options());
    let router = client.route_states();
    let mut changes = client.watch_changes();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let error = router.query_interest(ANN).await.unwrap_err();
        assert!(error.to_string().contains("no tokio runtime"), "{error}");
        assert_eq!(changes.next().await, None);
    });
}

/// Plays a daemon that answers each batch with a set made for it, and breaks
/// every so many messages, now before an answer and now between set and answer.
async fn breaks_now_and_then(mut fake: Fake) {
    let mut since = 0;
    loop {
        let (mut stream, _) = fake.opened("r").await;
        let mut set = 0;
        while let Some(RequestMessage::Batch(batch)) = stream.next().await {
            since += 1;
            if since % 17 == 0 {
                break;
            }
            set += 1;
            let recipient = format!("@for-{}", &batch.states[0].user_id[1..]);
            stream.tell(ResponseMessage::SetPart(list(set, &[&recipient], true))).await;
            if since % 29 == 0 {
                break;
            }
            stream.deliver(batch.batch_id, "r", set, &[0]).await;
            if since % 5 == 0 {
                stream.tell(ResponseMessage::SetRetired(v1::SetRetired { id: set })).await;
            }
        }
    }
}

#[tokio::test]
async fn whatever_breaks_each_request_gets_its_own_answer_or_an_error() {
    let fake = Fake::start().await;
    let mut options = Fake::options();
    options.backoff.failure_threshold = u32::MAX;
    let router = fake.client(options).route_states();
    let playing = tokio::spawn(breaks_now_and_then(fake));
    let (mut right, mut failed) = (0, 0);
    for round in 0..20 {
        let senders: Vec<_> = (0..50).map(|n| format!("@u{round}-{n}:example.org")).collect();
        let asked: Vec<_> = senders.iter().map(|sender| ask(&router, &[sender])).collect();
        for (sender, asked) in senders.iter().zip(asked) {
            match asked.await.unwrap() {
                Ok(routed) => {
                    let recipient = format!("@for-{}", &sender[1..]);
                    assert_eq!(routed.audience(0).listed_users(), [recipient]);
                    right += 1;
                }
                Err(Error::Unreachable { .. }) => failed += 1,
                Err(other) => panic!("{other}"),
            }
        }
    }
    // Each break costs at most the one request that was asked alone.
    assert!(right > 800 && right + failed == 1000, "{right} right, {failed} failed");
    playing.abort();
}
