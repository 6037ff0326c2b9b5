//! What a daemon must not do. Each ends the stream with an error that says what
//! it was, after the request was tried once more; nothing panics, and the next
//! stream works.

use presence_router_client::{Client, Error, ProtocolViolation, RoomConditions, SetError, v1};
use presence_router_proto::v1::{
    route_states_response::Message as ResponseMessage, set_expression::Expression,
};
use tonic::codegen::http;

use crate::fake::{Fake, deliveries, edit, expression, list, of, opened, room_mates, set, union};

/// More bytes of user ids than the budget of these tests.
const BUDGET: u64 = 100_000;

fn messages(messages: Vec<ResponseMessage>) -> Vec<Option<ResponseMessage>> {
    messages.into_iter().map(Some).collect()
}

fn part(part: v1::SetPart) -> ResponseMessage {
    ResponseMessage::SetPart(part)
}

/// What is sent in answer to a batch of two states, and what that breaks.
fn scripts() -> Vec<(ProtocolViolation, Vec<Option<ResponseMessage>>)> {
    let a = ["@a:x"];
    let unset = v1::SetExpression::default();
    let except = |any, except| {
        let (any, except) = (Some(Box::new(any)), Some(Box::new(except)));
        of(Expression::Difference(Box::new(v1::SetDifference { any, except })))
    };
    let unknown_condition = of(Expression::RoomMates(v1::RoomMates {
        all_of: vec![v1::RoomCondition { condition: None }],
    }));
    let nested = |depth| {
        let mut all = vec![part(list(1, &a, true))];
        all.extend((2..depth).map(|id| part(expression(id, union(&[set(id - 1)])))));
        messages(all)
    };
    // Each level doubles the work.
    let doubling = |levels| {
        let mut all = vec![part(list(1, &a, true))];
        all.extend((2..levels).map(|id| part(expression(id, union(&[set(id - 1), set(id - 1)])))));
        messages(all)
    };
    let many: Vec<String> = (0..1000).map(|n| format!("@user{n}:example.org")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    vec![
        (ProtocolViolation::UnknownMessage, vec![None]),
        (
            ProtocolViolation::OpenedTwice,
            messages(vec![ResponseMessage::Opened(opened("r1", None))]),
        ),
        (ProtocolViolation::IdReused(0), messages(vec![part(list(0, &a, true))])),
        (
            ProtocolViolation::IdReused(2),
            messages(vec![part(list(2, &a, true)), part(list(2, &a, true))]),
        ),
        (
            ProtocolViolation::IdReused(1),
            messages(vec![part(list(2, &a, true)), part(list(1, &a, true))]),
        ),
        (
            ProtocolViolation::IdReused(1),
            messages(vec![
                part(list(1, &a, true)),
                ResponseMessage::Reset(v1::Reset::default()),
                part(list(1, &a, true)),
            ]),
        ),
        (
            ProtocolViolation::SetIncomplete(1),
            messages(vec![part(list(1, &a, false)), part(list(2, &a, true))]),
        ),
        (
            ProtocolViolation::SetIncomplete(1),
            messages(vec![part(list(1, &a, false)), part(expression(1, union(&[])))]),
        ),
        (
            ProtocolViolation::SetIncomplete(1),
            messages(vec![
                part(list(1, &a, false)),
                ResponseMessage::Changed(v1::Changed::default()),
            ]),
        ),
        (
            ProtocolViolation::SetIncomplete(1),
            messages(vec![part(v1::SetPart { last: false, ..expression(1, union(&[])) })]),
        ),
        (
            ProtocolViolation::SetEmpty(1),
            messages(vec![part(v1::SetPart { id: 1, content: None, last: true })]),
        ),
        (
            ProtocolViolation::Set(SetError::UnstatedCapability),
            messages(vec![part(expression(1, room_mates(&RoomConditions::default())))]),
        ),
        (
            ProtocolViolation::Set(SetError::UnknownCondition),
            messages(vec![part(expression(1, unknown_condition))]),
        ),
        (ProtocolViolation::SetUndefined(7), messages(vec![part(expression(1, union(&[set(7)])))])),
        (ProtocolViolation::SetUndefined(1), messages(vec![part(expression(1, union(&[set(1)])))])),
        (
            ProtocolViolation::EditOfNonList(9),
            messages(vec![ResponseMessage::SetEdit(edit(9, &a, &[]))]),
        ),
        (
            ProtocolViolation::EditOfNonList(1),
            messages(vec![
                part(expression(1, union(&[]))),
                ResponseMessage::SetEdit(edit(1, &a, &[])),
            ]),
        ),
        (
            ProtocolViolation::RetiredUnknown(3),
            messages(vec![ResponseMessage::SetRetired(v1::SetRetired { id: 3 })]),
        ),
        (
            ProtocolViolation::RetiredInUse(1),
            messages(vec![
                part(list(1, &a, true)),
                part(expression(2, union(&[set(1)]))),
                ResponseMessage::SetRetired(v1::SetRetired { id: 1 }),
            ]),
        ),
        (ProtocolViolation::UserId(1), messages(vec![part(list(1, &["nonsense"], true))])),
        (ProtocolViolation::UserId(1), messages(vec![part(list(1, &[""], false))])),
        (
            ProtocolViolation::UserId(1),
            messages(vec![part(list(1, &a, true)), ResponseMessage::SetEdit(edit(1, &["x"], &[]))]),
        ),
        (ProtocolViolation::SetTooDeep(130), nested(300)),
        (ProtocolViolation::SetTooDeep(22), doubling(40)),
        (ProtocolViolation::OverBudget(BUDGET), vec![Some(part(list(1, &many, false))); 50]),
        (
            ProtocolViolation::OverBudget(BUDGET),
            messages((1..50).map(|id| part(list(id, &many, true))).collect()),
        ),
        (
            // Sets without a byte are not free either.
            ProtocolViolation::OverBudget(BUDGET),
            messages((1..20_000).map(|id| part(list(id, &[], true))).collect()),
        ),
        (ProtocolViolation::UnexpectedAnswer, messages(vec![deliveries(999, "r1", 1, &[])])),
        (
            ProtocolViolation::UnexpectedAnswer,
            messages(vec![ResponseMessage::InterestAnswer(v1::InterestAnswer::default())]),
        ),
        (
            ProtocolViolation::UnexpectedAnswer,
            messages(vec![ResponseMessage::RequestError(v1::RequestError::default())]),
        ),
        (
            ProtocolViolation::Set(SetError::UnknownKind),
            messages(vec![part(expression(1, unset.clone()))]),
        ),
        (
            ProtocolViolation::Set(SetError::UnknownKind),
            messages(vec![part(expression(1, union(std::slice::from_ref(&unset))))]),
        ),
        (
            ProtocolViolation::Set(SetError::UnknownException),
            messages(vec![part(expression(
                1,
                except(of(Expression::Everyone(v1::Everyone {})), unset),
            ))]),
        ),
        (
            ProtocolViolation::Set(SetError::Pattern),
            messages(vec![part(expression(1, of(Expression::Match("nocolon".into()))))]),
        ),
        (
            ProtocolViolation::Set(SetError::EmptyIntersection),
            messages(vec![part(expression(1, of(Expression::AllOf(v1::SetList::default()))))]),
        ),
    ]
}

#[tokio::test]
async fn each_ends_the_stream_and_fails_the_request_with_its_name() {
    let mut fake = Fake::start().await;
    for (breach, script) in scripts() {
        let mut options = Fake::options();
        options.set_budget_bytes = BUDGET;
        let router = fake.client(options).route_states();
        let senders = vec!["@a:x".to_owned(), "@b:x".to_owned()];
        let asked = tokio::spawn({
            let router = router.clone();
            async move { router.route_batch(senders).await }
        });
        for _ in 0..2 {
            let (mut stream, _) = fake.opened("r1").await;
            stream.batch().await;
            for message in &script {
                stream.tell_raw(v1::RouteStatesResponse { message: message.clone() }).await;
            }
            assert_eq!(stream.next().await, None, "{breach}: the client ends the stream");
        }
        assert_eq!(asked.await.unwrap(), Err(Error::Protocol(breach)));
        works(&mut fake, &router).await;
    }
}

/// Answers that name the right request, but wrongly.
#[tokio::test]
async fn bad_answers_are_no_answers() {
    let mut fake = Fake::start().await;
    for (breach, set_id, indexes, retire) in [
        (ProtocolViolation::SetUndefined(5), 5, &[0u32][..], None),
        (ProtocolViolation::SetUndefined(0), 0, &[0], None),
        (ProtocolViolation::SetUndefined(1), 1, &[0], Some(1)),
        (ProtocolViolation::StateIndex, 1, &[2], None),
        (ProtocolViolation::StateIndex, 1, &[0, 0], None),
        (ProtocolViolation::StateIndex, 1, &[u32::MAX], None),
    ] {
        let router = fake.client(Fake::options()).route_states();
        let asked = tokio::spawn({
            let router = router.clone();
            async move { router.route_batch(vec!["@a:x".to_owned(), "@b:x".to_owned()]).await }
        });
        for _ in 0..2 {
            let (mut stream, _) = fake.opened("r1").await;
            let id = stream.batch().await;
            stream.tell(part(list(1, &["@c:x"], true))).await;
            if let Some(id) = retire {
                stream.tell(ResponseMessage::SetRetired(v1::SetRetired { id })).await;
            }
            stream.deliver(id, "r1", set_id, indexes).await;
            assert_eq!(stream.next().await, None, "{breach}: the client ends the stream");
        }
        assert_eq!(asked.await.unwrap(), Err(Error::Protocol(breach)));
        works(&mut fake, &router).await;
    }
}

#[tokio::test]
async fn a_stream_that_begins_with_something_else_is_none() {
    let mut fake = Fake::start().await;
    for (breach, first) in [
        (ProtocolViolation::NotOpened, Some(ResponseMessage::Heartbeat(v1::Heartbeat::default()))),
        (ProtocolViolation::UnknownMessage, None),
    ] {
        let router = fake.client(Fake::options()).route_states();
        let asked = tokio::spawn(async move { router.query_interest("@a:x").await });
        while !asked.is_finished() {
            tokio::select! {
                mut stream = fake.route() => {
                    stream.open().await;
                    let message = first.clone();
                    stream.tell_raw(v1::RouteStatesResponse { message }).await;
                }
                () = tokio::time::sleep(std::time::Duration::from_millis(1)) => {}
            }
        }
        assert_eq!(asked.await.unwrap(), Err(Error::Protocol(breach)));
    }
}

/// Over a channel that is none of tonic's: bytes that are no message.
#[tokio::test]
async fn bytes_that_are_no_message_are_undecodable() {
    let garbage = tower::service_fn(|_: http::Request<tonic::body::Body>| async {
        // A frame of four bytes, which are a field that goes on behind them.
        let body = "\0\0\0\0\u{4}\u{a}\u{7f}xx".to_owned();
        let response = http::Response::builder().header("content-type", "application/grpc");
        response.body(body)
    });
    let router = Client::from_channel(garbage, Fake::options()).route_states();
    let error = router.query_interest("@a:x").await.unwrap_err();
    assert_eq!(error, Error::Protocol(ProtocolViolation::Undecodable));
}

/// The next stream serves the handle.
async fn works(fake: &mut Fake, router: &presence_router_client::RouteStates) {
    let (mut stream, _) = fake.opened("r2").await;
    let router = router.clone();
    let asked = tokio::spawn(async move { router.route_batch(vec!["@a:x".to_owned()]).await });
    let id = stream.batch().await;
    stream.tell(part(list(1, &["@c:x"], true))).await;
    stream.deliver(id, "r2", 1, &[0]).await;
    assert!(asked.await.unwrap().unwrap().audience(0).contains("@c:x"));
}
