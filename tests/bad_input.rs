//! Bad input: a clear refusal with a stable reason, and nothing else disturbed.

use presence_router_engine::MAX_POLICY_BYTES;
use presence_router_proto::ERROR_DOMAIN;
use presence_router_proto::v1::route_states_request::Message as Request;
use presence_router_proto::v1::route_states_response::Message as Response;
use presence_router_proto::v1::{
    ErrorReason, GetInterestedUsersRequest, GetUsersForStatesRequest, GetUsersForStatesResponse,
    InterestQuery, Open, PresenceState, RequestError, RouteStatesRequest, StateBatch,
    WatchChangesRequest, request_error,
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::harness::raw::{self, RawStream};
use crate::harness::{Client, Daemon, Stream, limits, states};

const POLICY: &str = r#"
rules:
  - name: joe sees all
    allow: { from: everyone, to: "@joe:example.org" }
"#;
const ANN: &str = "@ann:example.org";

/// The stable reason of a refusal. Its message must say something, too.
fn reason(status: &Status) -> String {
    let info = status.get_details_error_info().expect("every refusal has an ErrorInfo");
    assert_eq!(info.domain, ERROR_DOMAIN);
    assert!(status.message().len() > 20, "{status:?}");
    info.reason
}

/// The fields that a refusal names.
fn fields(status: &Status) -> Vec<String> {
    let bad = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    bad.into_iter().map(|violation| violation.field).collect()
}

async fn ask(
    client: &mut Client,
    server_names: &[&str],
    states: Vec<PresenceState>,
    at_least: &str,
) -> Result<GetUsersForStatesResponse, Status> {
    let server_names = server_names.iter().map(|name| (*name).to_owned()).collect();
    let at_least = at_least.to_owned();
    let request =
        GetUsersForStatesRequest { server_names, states, at_least, capabilities: Vec::new() };
    client.get_users_for_states(request).await.map(tonic::Response::into_inner)
}

/// The next answer of a stream, past the sets that it needs.
async fn answer(stream: &mut Stream) -> Response {
    loop {
        match stream.next().await.unwrap().expect("the stream goes on") {
            Response::SetPart(_) => {}
            told => return told,
        }
    }
}

/// The stream still routes.
async fn goes_on(stream: &mut Stream) {
    stream.send(Request::Batch(StateBatch { states: states(&[ANN]), ..Default::default() }));
    let Response::Deliveries(answer) = answer(stream).await else { panic!("not routed") };
    assert_eq!(answer.deliveries.len(), 1);
}

/// Ids that are no user ids, with a word of what is said about each.
fn bad_ids() -> Vec<(String, &'static str)> {
    vec![
        (String::new(), "empty"),
        ("ann".to_owned(), "the first character is not `@`"),
        ("@ann".to_owned(), "the `:` and the server name after the localpart are missing"),
        (format!("@{}:example.org", "a".repeat(243)), "256 bytes"),
        ("@a\0nn:example.org".to_owned(), "NUL"),
        ("@ann:exam\u{7}ple.org".to_owned(), "`\\u{7}` is not valid in a host name"),
    ]
}

#[tokio::test]
async fn malformed_user_ids_are_named_and_nothing_is_routed() {
    let daemon = Daemon::serving(POLICY).await;
    let mut client = daemon.client();
    let mut stream = Stream::open(daemon.client(), &["example.org"]).await;
    for (id, want) in bad_ids() {
        let batch = states(&[ANN, ANN, &id]);
        let refused = ask(&mut client, &["example.org"], batch.clone(), "").await.unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (Code::InvalidArgument, "USER_ID_INVALID")
        );
        assert_eq!(fields(&refused), ["states[2].user_id"]);
        assert!(refused.message().contains(want), "{refused:?}");

        stream.send(Request::Batch(StateBatch {
            batch_id: 3,
            states: batch,
            ..Default::default()
        }));
        let Response::RequestError(error) = answer(&mut stream).await else {
            panic!("not refused")
        };
        let RequestError { request, code, reason: why, message, violations } = error;
        assert_eq!(request, Some(request_error::Request::BatchId(3)));
        assert_eq!((code, why), (Code::InvalidArgument.into(), ErrorReason::UserIdInvalid.into()));
        assert!(message.contains(want), "{message}");
        assert_eq!(violations[0].field, "states[2].user_id");
        goes_on(&mut stream).await;
    }
}

#[tokio::test]
async fn interest_of_a_malformed_id_is_refused() {
    let daemon = Daemon::serving(POLICY).await;
    let mut client = daemon.client();
    let mut stream = Stream::open(daemon.client(), &["example.org"]).await;
    for (user_id, want) in bad_ids() {
        let request = GetInterestedUsersRequest {
            server_names: vec!["example.org".to_owned()],
            user_id: user_id.clone(),
            ..Default::default()
        };
        let refused = client.get_interested_users(request).await.unwrap_err();
        assert_eq!(reason(&refused), "USER_ID_INVALID");
        assert_eq!(fields(&refused), ["user_id"]);
        assert!(refused.message().contains(want), "{refused:?}");

        stream.send(Request::Interest(InterestQuery {
            query_id: 9,
            user_id,
            ..Default::default()
        }));
        let Response::RequestError(error) = answer(&mut stream).await else {
            panic!("not refused")
        };
        assert_eq!(error.request, Some(request_error::Request::QueryId(9)));
        assert_eq!(error.reason(), ErrorReason::UserIdInvalid);
        goes_on(&mut stream).await;
    }
}

#[tokio::test]
async fn at_most_sixteen_bad_fields_are_listed() {
    let daemon = Daemon::serving(POLICY).await;
    let refused =
        ask(&mut daemon.client(), &["example.org"], states(&["x"; 50]), "").await.unwrap_err();
    assert_eq!(fields(&refused).len(), 16);
}

/// Historical localparts are valid in Matrix, control characters included.
#[tokio::test]
async fn odd_but_valid_states_are_routed() {
    let daemon = Daemon::serving(POLICY).await;
    let mut batch = states(&["@a\u{7}\n\u{202e}:example.org", "@:example.org", ANN, ANN]);
    batch[2].presence = "on holiday".to_owned();
    let answer = ask(&mut daemon.client(), &["example.org"], batch, "").await.unwrap();
    assert_eq!(answer.recipients.len(), 1);
    assert_eq!(answer.recipients[0].state_indexes, [0, 1, 2, 3], "of one user, both states");
}

#[tokio::test]
async fn an_empty_batch_is_answered() {
    let daemon = Daemon::serving(POLICY).await;
    let answer_ = ask(&mut daemon.client(), &["example.org"], vec![], "").await.unwrap();
    assert_eq!(answer_.recipients, []);
    let mut stream = Stream::open(daemon.client(), &["example.org"]).await;
    stream.send(Request::Batch(StateBatch { batch_id: 4, ..Default::default() }));
    let Response::Deliveries(told) = answer(&mut stream).await else { panic!("not answered") };
    assert_eq!((told.batch_id, told.deliveries.len()), (4, 0));
}

#[tokio::test]
async fn a_batch_over_the_limit_is_refused_whole() {
    let limits = presence_router_server::rpc::limits::Limits { batch_states: 3, ..limits() };
    let daemon = Daemon::limited(POLICY, limits).await;
    let refused =
        ask(&mut daemon.client(), &["example.org"], states(&[ANN; 4]), "").await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::InvalidArgument, "BATCH_TOO_LARGE")
    );
    assert!(refused.message().contains("`limits.batch_states`, 3"), "{refused:?}");

    let mut stream = Stream::open(daemon.client(), &["example.org"]).await;
    stream.send(Request::Batch(StateBatch { states: states(&[ANN; 4]), ..Default::default() }));
    let Response::RequestError(error) = answer(&mut stream).await else { panic!("not refused") };
    assert_eq!(error.reason(), ErrorReason::BatchTooLarge);
    goes_on(&mut stream).await;
}

#[tokio::test]
async fn a_message_over_the_limit_ends_its_stream_and_nothing_else() {
    let limits = presence_router_server::rpc::limits::Limits { request_bytes: 4096, ..limits() };
    let daemon = Daemon::limited(POLICY, limits).await;
    let client = daemon.client();
    let mut other = Stream::open(client.clone(), &["example.org"]).await;
    let mut stream = Stream::open(client.clone(), &["example.org"]).await;
    stream.send(Request::Batch(StateBatch { states: states(&[ANN; 1000]), ..Default::default() }));
    let refused = stream.refusal().await;
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::OutOfRange, "MESSAGE_TOO_LARGE")
    );
    let why = "`limits.request_bytes`, 4096: send smaller batches";
    assert!(refused.message().contains(why), "{refused:?}");

    let refused =
        ask(&mut client.clone(), &["example.org"], states(&[ANN; 1000]), "").await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::OutOfRange, "MESSAGE_TOO_LARGE")
    );
    goes_on(&mut other).await;
}

/// Every client with compression switched on sends such messages.
#[tokio::test]
async fn compressed_messages_are_refused_with_a_reason() {
    let daemon = Daemon::serving(POLICY).await;
    let channel = daemon.channel();
    for method in ["GetUsersForStates", "GetInterestedUsers", "RouteStates", "WatchChanges"] {
        for encoding in ["gzip", "deflate", "zstd"] {
            let message = "\u{1}\0\0\0\u{2}xx";
            let refused = raw::encoded_ended_with(&channel, method, encoding, message).await;
            assert_eq!(
                (refused.code(), reason(&refused).as_str()),
                (Code::Unimplemented, "NOT_IMPLEMENTED"),
                "{method} {encoding}"
            );
            assert!(refused.message().contains("`grpc-encoding`"), "{refused:?}");
            let accepted = refused.metadata().get("grpc-accept-encoding");
            assert_eq!(accepted.map(|value| value.to_str().unwrap()), Some("identity"));
        }
    }
    // Of a call that there is not, gRPC itself says so, without a reason of ours.
    let unknown = raw::ended_with(&channel, "NoSuchCall", "").await;
    assert_eq!(unknown.code(), Code::Unimplemented);
    assert!(unknown.get_details_error_info().is_none(), "{unknown:?}");
    goes_on(&mut Stream::open(daemon.client(), &["example.org"]).await).await;
}

/// Advice depends on the call.
#[tokio::test]
async fn a_message_over_the_limit_says_what_helps_with_its_call() {
    let limits = presence_router_server::rpc::limits::Limits { request_bytes: 1024, ..limits() };
    let daemon = Daemon::limited(POLICY, limits).await;
    let channel = daemon.channel();
    let router = "presence_router.v1.PresenceRouterService";
    for (service, method, instead) in [
        (router, "GetUsersForStates", "1024: send smaller batches"),
        (router, "GetInterestedUsers", "1024: send less, or raise the limit"),
        (
            "presence_router.v1.RoomService",
            "OnCreateRoom",
            "1024: send fewer invites and less initial state",
        ),
        ("grpc.health.v1.Health", "Check", "1024: send less, or raise the limit"),
    ] {
        let path = format!("/{service}/{method}");
        let refused = raw::unary_at(&channel, &path, vec![0; 2000]).await.unwrap_err();
        let found = (refused.code(), reason(&refused));
        assert_eq!(found, (Code::OutOfRange, "MESSAGE_TOO_LARGE".to_owned()), "{path}");
        assert!(refused.message().contains(instead), "{path}: {refused:?}");
    }
    // A policy has a bound of its own. Nothing as large as the frame says is ever sent.
    let length = u32::try_from(MAX_POLICY_BYTES + 5000).unwrap();
    let [a, b, c, d] = length.to_be_bytes();
    let frame = [0, a, b, c, d];
    for method in ["CheckPolicy", "PlanPolicy"] {
        let path = format!("/presence_router.v1.PolicyService/{method}");
        let refused = raw::frames_ended_with(&channel, &path, frame.to_vec()).await;
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (Code::OutOfRange, "MESSAGE_TOO_LARGE")
        );
        assert!(refused.message().contains("more than any policy may have"), "{refused:?}");
    }
}

#[tokio::test]
async fn undecodable_messages_end_their_stream_and_nothing_else() {
    let daemon = Daemon::serving(POLICY).await;
    let channel = daemon.channel();
    let mut other = Stream::open(Client::new(channel.clone()), &["example.org"]).await;
    // A field that says it has more bytes than there are; one of a wrong type;
    // text that is not UTF-8; nesting without end.
    let deep = [b"\x52\x7f".repeat(200), vec![0x0a]].concat();
    for bytes in [
        b"\x0a\xff\xff\xff\xff\x0f".to_vec(),
        b"\x08\x01".to_vec(),
        b"\x0a\x03\x0a\x01\xff".to_vec(),
        deep,
    ] {
        let refused = raw::unary(&channel, "GetUsersForStates", bytes.clone()).await.unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (Code::InvalidArgument, "MESSAGE_UNDECODABLE"),
            "{bytes:?}"
        );

        let mut stream = RawStream::start(&channel, "RouteStates").await;
        stream.send(bytes.clone());
        let refused = stream.refusal().await;
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (Code::InvalidArgument, "MESSAGE_UNDECODABLE"),
            "{bytes:?}"
        );
        goes_on(&mut other).await;
    }
}

/// A broken frame is no orderly end either, or answers would be missed in
/// silence: flags that nobody agreed on, and a message that is cut short.
#[tokio::test]
async fn broken_frames_end_their_stream_with_a_reason() {
    let daemon = Daemon::serving(POLICY).await;
    let channel = daemon.channel();
    let mut other = Stream::open(Client::new(channel.clone()), &["example.org"]).await;
    for frame in ["\x02\0\0\0\0", "\x01\0\0\0\0", "\0\0\0\0\x09ab", "\0\0"] {
        for method in ["GetUsersForStates", "RouteStates"] {
            let refused = raw::ended_with(&channel, method, frame).await;
            assert_eq!(
                (refused.code(), reason(&refused).as_str()),
                (Code::InvalidArgument, "MESSAGE_UNDECODABLE"),
                "{method} {frame:?} {refused:?}",
            );
        }
        goes_on(&mut other).await;
    }
}

#[tokio::test]
async fn a_stream_begins_with_open_and_once() {
    let daemon = Daemon::serving(POLICY).await;
    let open =
        Request::Open(Open { server_names: vec!["example.org".to_owned()], ..Default::default() });
    let batch = Request::Batch(StateBatch { states: states(&[ANN]), ..Default::default() });
    let empty = RouteStatesRequest { message: None };

    let mut stream = Stream::start(daemon.client()).await;
    stream.send(batch);
    let refused = stream.refusal().await;
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::FailedPrecondition, "OPEN_MISSING")
    );

    let mut stream = Stream::start(daemon.client()).await;
    stream.send(open.clone());
    stream.send(open);
    let refused = stream.refusal().await;
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::FailedPrecondition, "OPEN_REPEATED")
    );

    let mut stream = Stream::open(daemon.client(), &["example.org"]).await;
    stream.send_raw(empty);
    let refused = stream.refusal().await;
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::InvalidArgument, "MESSAGE_EMPTY")
    );
}

#[tokio::test]
async fn callers_say_who_they_are() {
    let daemon = Daemon::serving(POLICY).await;
    let many: Vec<String> = (0..101).map(|i| format!("s{i}.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (names, want) in [
        (&[][..], "SERVER_NAMES_MISSING"),
        (&["example.org", "exam ple.org"], "SERVER_NAME_INVALID"),
        (&[""], "SERVER_NAME_INVALID"),
        (&many, "SERVER_NAMES_TOO_MANY"),
    ] {
        let refused = ask(&mut daemon.client(), names, states(&[ANN]), "").await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, want));
        if want == "SERVER_NAME_INVALID" {
            assert_eq!(fields(&refused), [format!("server_names[{}]", names.len() - 1)]);
        }

        let mut stream = Stream::start(daemon.client()).await;
        let server_names = names.iter().map(|name| (*name).to_owned()).collect();
        stream.send(Request::Open(Open { server_names, ..Default::default() }));
        assert_eq!(reason(&stream.refusal().await), want);
    }
}

/// Beyond what is spelled out where other calls wait for it.
#[tokio::test]
async fn a_long_interest_is_told_whole() {
    let users: Vec<String> = (0..12_000).map(|i| format!("@user{i:05}:example.org")).collect();
    let policy =
        format!("groups: {{ all: {users:?} }}\nrules: [{{ name: all, allow: {{ within: all }} }}]");
    let daemon = Daemon::serving(&policy).await;
    let request = GetInterestedUsersRequest {
        server_names: vec!["example.org".to_owned()],
        user_id: users[0].clone(),
        ..Default::default()
    };
    let answer = daemon.client().get_interested_users(request).await.unwrap().into_inner();
    assert_eq!(answer.user_ids, users[1..]);
}

#[tokio::test]
async fn an_answer_too_large_for_a_unary_call_comes_by_stream() {
    let users: Vec<String> = (0..500).map(|i| format!("@user{i:03}:example.org")).collect();
    let policy =
        format!("groups: {{ all: {users:?} }}\nrules: [{{ name: all, allow: {{ within: all }} }}]");
    let limits = presence_router_server::rpc::limits::Limits { response_bytes: 2000, ..limits() };
    let daemon = Daemon::limited(&policy, limits).await;
    let mut client = daemon.client();
    let refused = ask(&mut client, &["example.org"], states(&users[..1]), "").await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::ResourceExhausted, "ANSWER_TOO_LARGE")
    );
    assert!(
        refused.message().contains("fewer states, or use the stream `RouteStates`"),
        "{refused:?}"
    );
    let request = GetInterestedUsersRequest {
        server_names: vec!["example.org".to_owned()],
        user_id: users[0].clone(),
        ..Default::default()
    };
    let refused = client.get_interested_users(request).await.unwrap_err();
    assert_eq!(reason(&refused), "ANSWER_TOO_LARGE");
    // It is one user, whatever is asked.
    assert!(refused.message().contains(": use the stream `RouteStates`"), "{refused:?}");

    let mut stream = Stream::open(client, &["example.org"]).await;
    stream.send(Request::Batch(StateBatch { states: states(&users[..1]), ..Default::default() }));
    assert!(matches!(answer(&mut stream).await, Response::Deliveries(_)));
}

#[tokio::test]
async fn revisions_that_cannot_be_served_are_refused_at_once() {
    let daemon = Daemon::serving(POLICY).await;
    let mut client = daemon.client();
    let now = daemon.revision();
    let (epoch, _) = now.split_once(':').unwrap();
    let later = format!("{epoch}:99");
    let mut stream = Stream::open(daemon.client(), &["example.org"]).await;
    for (at_least, code, want) in [
        ("yesterday", Code::InvalidArgument, ErrorReason::RevisionMalformed),
        (&*later, Code::FailedPrecondition, ErrorReason::RevisionNotReached),
        ("0000000000000000:1", Code::FailedPrecondition, ErrorReason::RevisionOfOtherHistory),
    ] {
        let refused =
            ask(&mut client, &["example.org"], states(&[ANN]), at_least).await.unwrap_err();
        assert_eq!(refused.code(), code);
        assert_eq!(format!("ERROR_REASON_{}", reason(&refused)), want.as_str_name());

        let at_least = at_least.to_owned();
        stream.send(Request::Batch(StateBatch {
            at_least,
            states: states(&[ANN]),
            ..Default::default()
        }));
        let Response::RequestError(error) = answer(&mut stream).await else {
            panic!("not refused")
        };
        assert_eq!((error.code, error.reason()), (code.into(), want));
    }
    ask(&mut client, &["example.org"], states(&[ANN]), &now).await.unwrap();
    goes_on(&mut stream).await;
}

#[tokio::test]
async fn a_watch_is_refused_with_a_reason() {
    let daemon = Daemon::serving(POLICY).await;
    let example = || vec!["example.org".to_owned()];
    for (server_names, resume_revision, code, why) in [
        (Vec::new(), "", Code::InvalidArgument, "SERVER_NAMES_MISSING"),
        (vec!["exa mple".to_owned()], "", Code::InvalidArgument, "SERVER_NAME_INVALID"),
        (example(), "what?", Code::InvalidArgument, "REVISION_MALFORMED"),
    ] {
        let resume_revision = resume_revision.to_owned();
        let request =
            WatchChangesRequest { server_names, resume_revision, ..WatchChangesRequest::default() };
        let mut watch = daemon.client().watch_changes(request).await.unwrap().into_inner();
        let refused = watch.message().await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (code, why));
    }
    let mut next: Vec<_> = daemon.revision().split(':').map(str::to_owned).collect();
    next[1] = "99".to_owned();
    let request = WatchChangesRequest {
        server_names: example(),
        resume_revision: next.join(":"),
        ..WatchChangesRequest::default()
    };
    let mut watch = daemon.client().watch_changes(request).await.unwrap().into_inner();
    let refused = watch.message().await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::FailedPrecondition, "REVISION_NOT_REACHED")
    );
}
