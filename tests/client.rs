//! The Rust client's streams against the real daemon: bad input, limits, and a
//! daemon that ends and comes back as another one.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use presence_router_client::{
    ChangeEvent, Client, Code, Error, Interest, Options, PresenceRouter, Refusal, RouteStates,
};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::transport::Channel;

use crate::harness::{Daemon, limits};

const ANN: &str = "@ann:example.org";
const STAFF: &str = "
groups:
  staff: ['@ann:example.org', '@joe:example.org']
rules:
  - name: staff see each other
    allow: { within: staff }
";
const LONG: Duration = Duration::from_secs(30);

/// A channel to whichever daemon is there now.
#[derive(Clone)]
struct Switch(Arc<Mutex<Channel>>);

impl Service<http::Request<Body>> for Switch {
    type Response = http::Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut channel = self.0.lock().unwrap().clone();
        Box::pin(async move {
            let error = |error: tonic::transport::Error| Status::from_error(error.into());
            std::future::poll_fn(|cx| channel.poll_ready(cx)).await.map_err(error)?;
            channel.call(request).await.map_err(error)
        })
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Error>) -> Refusal {
    match answer {
        Err(Error::Refused(refused)) => *refused,
        other => panic!("not refused: {other:?}"),
    }
}

/// Asks until there is an answer.
async fn answered(router: &RouteStates) -> Interest {
    let answer = tokio::time::timeout(LONG, async {
        loop {
            if let Ok(answer) = router.query_interest(ANN).await {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    });
    answer.await.expect("the daemon answers in the end")
}

#[tokio::test]
async fn bad_server_names_are_refused_whichever_way() {
    let daemon = Daemon::serving(STAFF).await;
    let many: Vec<_> = (0..101).map(|n| format!("s{n}.example")).collect();
    for (server_names, reason) in [
        (names(&[]), "SERVER_NAMES_MISSING"),
        (names(&["a b"]), "SERVER_NAME_INVALID"),
        (names(&["example.org", ""]), "SERVER_NAME_INVALID"),
        (many, "SERVER_NAMES_TOO_MANY"),
    ] {
        let client = daemon.rust_client(&server_names);
        let ways: [&dyn PresenceRouter; 2] = [&client, &client.route_states()];
        for router in ways {
            for _ in 0..3 {
                let refused = refused(router.interested_users(ANN.into()).await);
                assert_eq!(refused.code, Code::InvalidArgument);
                assert_eq!(refused.reason.as_deref(), Some(reason), "{server_names:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_refused_batch_leaves_the_stream_to_the_others() {
    let limits = presence_router_server::rpc::limits::Limits {
        batch_states: 3,
        request_bytes: 64 * 1024,
        ..limits()
    };
    let daemon = Daemon::limited(STAFF, limits).await;
    let client = daemon.rust_client(&names(&["example.org"]));
    let router = client.route_states();
    let bad = refused(router.route_batch(names(&[ANN, "", "@x"])).await);
    assert_eq!(bad.reason.as_deref(), Some("USER_ID_INVALID"));
    let fields: Vec<_> = bad.violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["states[1].user_id", "states[2].user_id"]);
    let many = refused(router.route_batch(vec![ANN.to_owned(); 4]).await);
    assert_eq!(many.reason.as_deref(), Some("BATCH_TOO_LARGE"));
    let user = refused(router.query_interest("ann").await);
    assert_eq!(user.reason.as_deref(), Some("USER_ID_INVALID"));

    // One that is over the limit for messages ends the stream, and no request
    // but itself.
    let asked: Vec<_> = (0..20)
        .map(|n| {
            let router = router.clone();
            let senders =
                if n == 7 { vec!["x".repeat(1000); 100] } else { vec![ANN.to_owned(); 3] };
            tokio::spawn(async move { router.route_batch(senders).await })
        })
        .collect();
    for (n, asked) in asked.into_iter().enumerate() {
        let answer = asked.await.unwrap();
        if n == 7 {
            assert_eq!(refused(answer).reason.as_deref(), Some("MESSAGE_TOO_LARGE"));
        } else {
            let routed = answer.unwrap();
            assert_eq!(routed.audience(2).listed_users(), ["@joe:example.org"]);
        }
    }
}

#[tokio::test]
async fn a_daemon_that_ends_and_another_in_its_place() {
    let first = Daemon::serving(STAFF).await;
    let switch = Switch(Arc::new(Mutex::new(first.channel())));
    let mut options = Options::new(["example.org"]);
    options.deadline = LONG;
    options.backoff.initial_delay = Duration::from_millis(1);
    options.backoff.max_delay = Duration::from_millis(5);
    let client = Client::from_channel(switch.clone(), options);
    assert_eq!(client.address(), None);
    let router = client.route_states();
    let before = answered(&router).await;
    assert_eq!(before.visible_senders().listed_users(), ["@joe:example.org"]);

    first.shutdown.cancel();
    // It tells its streams that it ends; whoever asks then is told so, soon.
    let failing = tokio::time::timeout(LONG, async {
        while router.query_interest(ANN).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    failing.await.expect("requests fail");
    let error = router.query_interest(ANN).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");

    let nobody = Daemon::serving("rules: []").await;
    *switch.0.lock().unwrap() = nobody.channel();
    let after = answered(&router).await;
    assert_ne!(after.revision, before.revision);
    assert!(after.visible_senders().listed_users().is_empty());
    assert_eq!(
        before.visible_senders().listed_users(),
        ["@joe:example.org"],
        "an answer stays what it was"
    );
}

#[tokio::test]
async fn changes_are_told_from_the_current_revision_on() {
    let daemon = Daemon::serving(STAFF).await;
    let mut changes = daemon.rust_client(&names(&["example.org"])).watch_changes();
    let mut next =
        async || tokio::time::timeout(LONG, changes.next()).await.expect("an event comes");
    let connected = ChangeEvent::Connected { revision: daemon.revision() };
    assert_eq!(next().await, Some(connected));
    daemon.reload("rules: []").unwrap();
    let told = next().await;
    let Some(ChangeEvent::Changed(changed)) = told else { panic!("not a change: {told:?}") };
    assert_eq!(changed.revision, daemon.revision());
    assert!(changed.gained.is_empty());
    let lost =
        |sender, recipient| changed.lost.iter().any(|product| product.contains(sender, recipient));
    assert!(lost(ANN, "@joe:example.org") && lost("@joe:example.org", ANN));
    assert!(!lost(ANN, "@stranger:example.org"));
}
