//! What a daemon must not do. Each ends the stream with an error that says what
//! it was, after the request was tried once more; nothing panics, and the next
//! stream works.

use presence_router_client::{Breach, Client, Error, SetError, v1};
use presence_router_proto::v1::{
    route_states_response::Message as Told, set_expression::Expression,
};
use tonic::codegen::http;

use crate::fake::{Fake, deliveries, edit, expression, list, of, opened, set, union};

/// More bytes of user ids than the budget of these tests.
const BUDGET: u64 = 100_000;

fn messages(messages: Vec<Told>) -> Vec<Option<Told>> {
    messages.into_iter().map(Some).collect()
}

fn part(part: v1::SetPart) -> Told {
    Told::SetPart(part)
}

/// What is sent in answer to a batch of two states, and what that breaks.
fn scripts() -> Vec<(Breach, Vec<Option<Told>>)> {
    let a = ["@a:x"];
    let unset = v1::SetExpression::default();
    let except = |any, except| {
        let (any, except) = (Some(Box::new(any)), Some(Box::new(except)));
        of(Expression::Difference(Box::new(v1::SetDifference { any, except })))
    };
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
        (Breach::UnknownMessage, vec![None]),
        (Breach::OpenedTwice, messages(vec![Told::Opened(opened("r1", None))])),
        (Breach::IdReused(0), messages(vec![part(list(0, &a, true))])),
        (Breach::IdReused(2), messages(vec![part(list(2, &a, true)), part(list(2, &a, true))])),
        (Breach::IdReused(1), messages(vec![part(list(2, &a, true)), part(list(1, &a, true))])),
        (
            Breach::IdReused(1),
            messages(vec![
                part(list(1, &a, true)),
                Told::Reset(v1::Reset::default()),
                part(list(1, &a, true)),
            ]),
        ),
        (
            Breach::SetIncomplete(1),
            messages(vec![part(list(1, &a, false)), part(list(2, &a, true))]),
        ),
        (
            Breach::SetIncomplete(1),
            messages(vec![part(list(1, &a, false)), part(expression(1, union(&[])))]),
        ),
        (
            Breach::SetIncomplete(1),
            messages(vec![part(list(1, &a, false)), Told::Changed(v1::Changed::default())]),
        ),
        (
            Breach::SetIncomplete(1),
            messages(vec![part(v1::SetPart { last: false, ..expression(1, union(&[])) })]),
        ),
        (
            Breach::SetEmpty(1),
            messages(vec![part(v1::SetPart { id: 1, content: None, last: true })]),
        ),
        (Breach::SetUndefined(7), messages(vec![part(expression(1, union(&[set(7)])))])),
        (Breach::SetUndefined(1), messages(vec![part(expression(1, union(&[set(1)])))])),
        (Breach::EditOfNoList(9), messages(vec![Told::SetEdit(edit(9, &a, &[]))])),
        (
            Breach::EditOfNoList(1),
            messages(vec![part(expression(1, union(&[]))), Told::SetEdit(edit(1, &a, &[]))]),
        ),
        (Breach::RetiredUnknown(3), messages(vec![Told::SetRetired(v1::SetRetired { id: 3 })])),
        (
            Breach::RetiredInUse(1),
            messages(vec![
                part(list(1, &a, true)),
                part(expression(2, union(&[set(1)]))),
                Told::SetRetired(v1::SetRetired { id: 1 }),
            ]),
        ),
        (Breach::UserId(1), messages(vec![part(list(1, &["nonsense"], true))])),
        (Breach::UserId(1), messages(vec![part(list(1, &[""], false))])),
        (
            Breach::UserId(1),
            messages(vec![part(list(1, &a, true)), Told::SetEdit(edit(1, &["x"], &[]))]),
        ),
        (Breach::SetTooDeep(130), nested(300)),
        (Breach::SetTooDeep(22), doubling(40)),
        (Breach::OverBudget(BUDGET), vec![Some(part(list(1, &many, false))); 50]),
        (
            Breach::OverBudget(BUDGET),
            messages((1..50).map(|id| part(list(id, &many, true))).collect()),
        ),
        (
            // Sets without a byte are not free either.
            Breach::OverBudget(BUDGET),
            messages((1..20_000).map(|id| part(list(id, &[], true))).collect()),
        ),
        (Breach::AnswerToNothing, messages(vec![deliveries(999, "r1", 1, &[])])),
        (
            Breach::AnswerToNothing,
            messages(vec![Told::InterestAnswer(v1::InterestAnswer::default())]),
        ),
        (Breach::AnswerToNothing, messages(vec![Told::RequestError(v1::RequestError::default())])),
        (Breach::Set(SetError::UnknownKind), messages(vec![part(expression(1, unset.clone()))])),
        (
            Breach::Set(SetError::UnknownKind),
            messages(vec![part(expression(1, union(std::slice::from_ref(&unset))))]),
        ),
        (
            Breach::Set(SetError::UnknownException),
            messages(vec![part(expression(
                1,
                except(of(Expression::Everyone(v1::Everyone {})), unset),
            ))]),
        ),
        (
            Breach::Set(SetError::Pattern),
            messages(vec![part(expression(1, of(Expression::Match("nocolon".into()))))]),
        ),
        (
            Breach::Set(SetError::EmptyIntersection),
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
            async move { router.route(senders).await }
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
        (Breach::SetUndefined(5), 5, &[0u32][..], None),
        (Breach::SetUndefined(0), 0, &[0], None),
        (Breach::SetUndefined(1), 1, &[0], Some(1)),
        (Breach::StateIndex, 1, &[2], None),
        (Breach::StateIndex, 1, &[0, 0], None),
        (Breach::StateIndex, 1, &[u32::MAX], None),
    ] {
        let router = fake.client(Fake::options()).route_states();
        let asked = tokio::spawn({
            let router = router.clone();
            async move { router.route(vec!["@a:x".to_owned(), "@b:x".to_owned()]).await }
        });
        for _ in 0..2 {
            let (mut stream, _) = fake.opened("r1").await;
            let id = stream.batch().await;
            stream.tell(part(list(1, &["@c:x"], true))).await;
            if let Some(id) = retire {
                stream.tell(Told::SetRetired(v1::SetRetired { id })).await;
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
        (Breach::NotOpened, Some(Told::Heartbeat(v1::Heartbeat::default()))),
        (Breach::UnknownMessage, None),
    ] {
        let router = fake.client(Fake::options()).route_states();
        let asked = tokio::spawn(async move { router.interest("@a:x").await });
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
    let error = router.interest("@a:x").await.unwrap_err();
    assert_eq!(error, Error::Protocol(Breach::Undecodable));
}

/// The next stream serves the handle.
async fn works(fake: &mut Fake, router: &presence_router_client::RouteStates) {
    let (mut stream, _) = fake.opened("r2").await;
    let router = router.clone();
    let asked = tokio::spawn(async move { router.route(vec!["@a:x".to_owned()]).await });
    let id = stream.batch().await;
    stream.tell(part(list(1, &["@c:x"], true))).await;
    stream.deliver(id, "r2", 1, &[0]).await;
    assert!(asked.await.unwrap().unwrap().audience(0).contains("@c:x"));
}
