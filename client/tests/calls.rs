//! Calls against a small daemon of our own: answers, refusals, deadlines, and a
//! daemon that goes away and comes back.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy allows these in test functions, but not in what they call"
)]

use std::{path::Path, sync::Arc, time::Duration};

use presence_router_client::{
    Backoff, Client, Code, Error, Options, RoomCapabilities, RoomCapability, v1,
};
use presence_router_proto::v1::presence_router_service_server as server;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{Semaphore, mpsc},
    task::JoinHandle,
    time::timeout,
};
use tokio_stream::{
    Stream,
    wrappers::{TcpListenerStream, UnixListenerStream},
};
use tonic::{Request, Response, Status, transport::Server};
use tonic_types::{ErrorDetails, StatusExt};

/// Far more than anything here takes.
const LONG: Duration = Duration::from_secs(20);

/// Answers that everybody sees everything, with a permit for each answer, and
/// tells the `grpc-timeout` of each question. The revision of an answer and the text of a
/// refusal are the capabilities of the request.
#[derive(Clone)]
struct Daemon {
    permits: Arc<Semaphore>,
    timeouts: mpsc::UnboundedSender<String>,
}

type Streamed<T> = Result<Response<tokio_stream::Empty<Result<T, Status>>>, Status>;

#[tonic::async_trait]
impl server::PresenceRouterService for Daemon {
    type RouteStatesStream = tokio_stream::Empty<Result<v1::RouteStatesResponse, Status>>;
    type WatchChangesStream = tokio_stream::Empty<Result<v1::WatchChangesResponse, Status>>;

    async fn get_users_for_states(
        &self,
        request: Request<v1::GetUsersForStatesRequest>,
    ) -> Result<Response<v1::GetUsersForStatesResponse>, Status> {
        let header = request.metadata().get("grpc-timeout").unwrap().to_str().unwrap().to_owned();
        let _ = self.timeouts.send(header);
        self.permits.acquire().await.unwrap().forget();
        let request = request.into_inner();
        let state_indexes = (0..).take(request.states.len()).collect();
        let recipient = v1::RecipientStates {
            user_id: format!("@all:{}", request.server_names[0]),
            state_indexes,
        };
        Ok(Response::new(v1::GetUsersForStatesResponse {
            recipients: vec![recipient],
            revision: format!("{:?}", request.capabilities),
            ..Default::default()
        }))
    }

    async fn get_interested_users(
        &self,
        request: Request<v1::GetInterestedUsersRequest>,
    ) -> Result<Response<v1::GetInterestedUsersResponse>, Status> {
        let stated = format!("{:?}", request.into_inner().capabilities);
        let info = ErrorDetails::with_error_info("USER_ID_INVALID", "presence-router", []);
        Err(Status::with_error_details(Code::InvalidArgument, stated, info))
    }

    async fn route_states(
        &self,
        _: Request<tonic::Streaming<v1::RouteStatesRequest>>,
    ) -> Streamed<v1::RouteStatesResponse> {
        Err(Status::unimplemented(""))
    }

    async fn watch_changes(
        &self,
        _: Request<v1::WatchChangesRequest>,
    ) -> Streamed<v1::WatchChangesResponse> {
        Err(Status::unimplemented(""))
    }
}

/// What a test holds of a running daemon.
struct Running {
    permits: Arc<Semaphore>,
    timeouts: mpsc::UnboundedReceiver<String>,
    task: JoinHandle<()>,
}

fn serve<I, S>(incoming: I, permits: usize) -> Running
where
    I: Stream<Item = std::io::Result<S>> + Send + 'static,
    S: tokio::io::AsyncRead
        + tokio::io::AsyncWrite
        + tonic::transport::server::Connected
        + Unpin
        + Send
        + 'static,
{
    let permits = Arc::new(Semaphore::new(permits));
    let (sender, timeouts) = mpsc::unbounded_channel();
    let daemon = Daemon { permits: permits.clone(), timeouts: sender };
    let service = server::PresenceRouterServiceServer::new(daemon);
    let served = Server::builder().add_service(service).serve_with_incoming(incoming);
    Running { permits, timeouts, task: tokio::spawn(async { served.await.unwrap() }) }
}

fn serve_unix(path: &Path, permits: usize) -> Running {
    serve(UnixListenerStream::new(UnixListener::bind(path).unwrap()), permits)
}

fn client(address: &str, deadline: Duration) -> Client {
    let mut options = Options::new(["example.org"]);
    options.deadline = deadline;
    // Pauses too short to wait for in a test, yet each call still asks the circuit breaker.
    let (first, most) = (Duration::from_millis(1), Duration::from_millis(2));
    options.backoff = Backoff { failure_threshold: 5, initial_delay: first, max_delay: most };
    Client::connect(address, options).unwrap()
}

fn state(user_id: &str) -> v1::PresenceState {
    v1::PresenceState { user_id: user_id.into(), ..Default::default() }
}

async fn ask(client: &Client) -> Result<v1::GetUsersForStatesResponse, Error> {
    client.get_users_for_states(vec![state("@ann:example.org")]).await
}

/// Asks until there is an answer.
async fn answered(client: &Client) {
    timeout(LONG, async {
        while ask(client).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn answers_over_tcp_with_its_names_and_a_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let mut daemon = serve(TcpListenerStream::new(listener), 1);
    let client = client(&address, LONG);
    let answer = client.get_users_for_states(vec![state("@a:x"), state("@b:x")]).await.unwrap();
    assert_eq!(answer.recipients[0].user_id, "@all:example.org");
    assert_eq!(answer.recipients[0].state_indexes, [0, 1]);
    assert_eq!(daemon.timeouts.recv().await.unwrap(), format!("{}u", LONG.as_micros()));
}

#[tokio::test]
async fn a_refusal_is_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let _daemon = serve_unix(&path, 1);
    let client = client(&format!("unix:{}", path.display()), LONG);
    for _ in 0..20 {
        let Err(Error::Refused(refusal)) = client.get_interested_users("x").await else {
            panic!("not refused");
        };
        assert_eq!(refusal.code, Code::InvalidArgument);
        assert_eq!(refusal.reason.as_deref(), Some("USER_ID_INVALID"));
    }
    ask(&client).await.unwrap();
}

#[tokio::test]
async fn every_call_states_the_room_capabilities() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let _daemon = serve_unix(&path, 2);
    let mates = RoomCapabilities::from(RoomCapability::RoomMates);
    for (rooms, stated) in
        [(RoomCapabilities::NONE, vec![]), (mates, vec![v1::Capability::RoomMates])]
    {
        let mut options = Options::new(["example.org"]);
        options.deadline = LONG;
        options.room_capabilities = rooms;
        let client = Client::connect(&format!("unix:{}", path.display()), options).unwrap();
        let stated = format!("{:?}", stated.into_iter().map(i32::from).collect::<Vec<_>>());
        assert_eq!(ask(&client).await.unwrap().revision, stated);
        let Err(Error::Refused(refusal)) = client.get_interested_users("x").await else {
            panic!("not refused");
        };
        assert_eq!(refusal.message, stated);
    }
}

#[tokio::test]
async fn a_daemon_that_hangs_costs_five_deadlines_and_then_one_for_each_probe() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut daemon = serve_unix(&path, 0);
    let deadline = Duration::from_millis(50);
    let mut options = Options::new(["example.org"]);
    options.deadline = deadline;
    options.backoff.initial_delay = LONG;
    options.backoff.max_delay = LONG;
    let client = Client::connect(&format!("unix:{}", path.display()), options).unwrap();
    for _ in 0..5 {
        assert_eq!(ask(&client).await, Err(Error::Deadline(deadline)));
    }
    // No time at all is no call, and says nothing about the daemon.
    let hurried = client.with_deadline(Duration::ZERO);
    assert_eq!(ask(&hurried).await, Err(Error::Deadline(Duration::ZERO)));
    // The pause is random; were it none at all, a call would be a probe.
    let mut tried = 0;
    for _ in 0..1000 {
        match ask(&client).await {
            Err(Error::Unreachable { reason, retry_in: Some(_) }) => {
                assert_eq!(reason, "no answer in time");
            }
            other => {
                assert_eq!(other, Err(Error::Deadline(deadline)));
                tried += 1;
            }
        }
    }
    assert!(tried <= 2, "{tried} of 1000 calls waited");
    drop(client);
    let mut seen = 0;
    while daemon.timeouts.try_recv().is_ok() {
        seen += 1;
    }
    assert!((5..=7).contains(&seen), "{seen} calls reached the daemon");
}

#[tokio::test]
async fn comes_back_by_itself_after_a_hang() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let daemon = serve_unix(&path, 0);
    let client = client(&format!("unix:{}", path.display()), Duration::from_millis(50));
    for _ in 0..5 {
        ask(&client).await.unwrap_err();
    }
    daemon.permits.add_permits(1000);
    answered(&client).await;
}

#[tokio::test]
async fn connects_when_there_is_a_daemon_and_again_after_it_died() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let client = client(&format!("unix:{}", path.display()), LONG);
    for _ in 0..2 {
        let refused = timeout(LONG / 2, ask(&client)).await.unwrap().unwrap_err();
        assert!(matches!(refused, Error::Unreachable { .. }), "{refused}");
        // A runtime of its own, so that its connections die with it.
        let life = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let daemon = {
            let _within = life.enter();
            serve_unix(&path, Semaphore::MAX_PERMITS)
        };
        answered(&client).await;
        assert!(!daemon.task.is_finished());
        std::fs::remove_file(&path).unwrap();
        life.shutdown_background();
        timeout(LONG, async { while ask(&client).await.is_ok() {} }).await.unwrap();
    }
}

#[tokio::test]
async fn says_why_it_cannot_connect() {
    let dir = tempfile::tempdir().unwrap();
    let client = client(&format!("unix:{}/s", dir.path().display()), LONG);
    let error = ask(&client).await.unwrap_err().to_string();
    assert!(error.contains("No such file or directory"), "{error}");
}

/// Durations beyond the range of clocks, and of the timeouts that gRPC can send.
#[tokio::test]
async fn durations_without_end_count_as_a_year() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = format!("unix:{}", dir.path().join("nobody").display());
    let connect = || {
        let mut options = Options::new(["example.org"]);
        options.deadline = Duration::MAX;
        options.backoff.initial_delay = Duration::MAX;
        options.backoff.max_delay = Duration::MAX;
        Client::connect(&nobody, options).unwrap().with_deadline(Duration::MAX)
    };
    assert!(matches!(ask(&connect()).await, Err(Error::Unreachable { .. })));
    let stream = connect().route_states().with_deadline(Duration::MAX);
    let asked = stream.query_interest("@ann:example.org").await;
    assert!(matches!(asked, Err(Error::Unreachable { .. })), "{asked:?}");
}
