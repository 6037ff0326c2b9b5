//! `WatchChanges`, waiting for a revision, and a client's budget: what random
//! worlds do not pin down.

use std::time::Duration;

use presence_router_engine::Edit;
use presence_router_ids::UserId;
use presence_router_proto::v1::route_states_request::Message as Request;
use presence_router_proto::v1::route_states_response::Message as Response;
use presence_router_proto::v1::watch_changes_response::Message as WatchResponse;
use presence_router_proto::v1::{
    Changed, ErrorReason, GetInterestedUsersRequest, Open, StateBatch, WatchChangesRequest,
    WatchChangesResponse,
};
use presence_router_server::rpc::limits::Limits;
use tonic::{Code, Streaming};

use crate::harness::sets::ClientSets;
use crate::harness::{Daemon, Stream, limits, states};

const SALES: &str = r#"
groups:
  sales: { directory: true }
  helpdesk: ["@ann:example.org", "@joe:example.org"]
rules:
  - name: sales see each other
    allow: { within: sales }
  - name: the helpdesk see each other
    allow: { within: helpdesk }
"#;

/// A watch, read as its client does.
struct Watch {
    responses: Streaming<WatchChangesResponse>,
    sets: ClientSets,
}

impl Watch {
    async fn open(daemon: &Daemon, server: &str, resume_revision: &str, budget: u64) -> Self {
        let request = WatchChangesRequest {
            server_names: vec![server.to_owned()],
            resume_revision: resume_revision.to_owned(),
            set_budget_bytes: budget,
            ..WatchChangesRequest::default()
        };
        let responses = daemon.client().watch_changes(request).await.unwrap().into_inner();
        let mut watch = Self { responses, sets: ClientSets::default() };
        let opened = watch.next().await;
        let WatchResponse::Opened(opened) = opened else { panic!("not opened: {opened:?}") };
        assert_eq!(opened.revision, daemon.revision());
        watch
    }

    /// The next message that is not about sets.
    async fn next(&mut self) -> WatchResponse {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(30), self.responses.message());
            let told =
                next.await.expect("the daemon says something").unwrap().unwrap().message.unwrap();
            match told {
                WatchResponse::SetPart(part) => self.sets.define(part),
                WatchResponse::SetRetired(retired) => self.sets.retire(retired.id),
                told => return told,
            }
        }
    }

    async fn changed(&mut self) -> Changed {
        match self.next().await {
            WatchResponse::Changed(changed) => changed,
            told => panic!("not a change: {told:?}"),
        }
    }

    /// Whether a change's products hold a pair.
    fn holds(&self, products: &[presence_router_proto::v1::PairProduct], pair: [&str; 2]) -> bool {
        products.iter().any(|product| {
            let is_in = |set: &Option<_>, user| self.sets.evaluate(set.as_ref().unwrap(), user);
            is_in(&product.senders, pair[0]) && is_in(&product.recipients, pair[1])
        })
    }
}

fn join(daemon: &Daemon, users: &[&str]) -> String {
    let users = users.iter().map(|user| UserId::parse(user).unwrap());
    let edits: Vec<Edit<'_>> = users.map(|user| Edit::Join { group: "sales", user }).collect();
    daemon.live.edit_directory(&edits).unwrap().to_string()
}

#[tokio::test]
async fn a_watch_tells_who_gained_and_who_lost() {
    let daemon = Daemon::serving(SALES).await;
    let mut watch = Watch::open(&daemon, "example.org", "", 0).await;
    let mut stranger = Watch::open(&daemon, "elsewhere.example", "", 0).await;
    let revision = join(&daemon, &["@sam:example.org", "@sue:example.org"]);
    let changed = watch.changed().await;
    assert_eq!(changed.revision, revision);
    assert!(watch.holds(&changed.gained, ["@sam:example.org", "@sue:example.org"]));
    assert!(watch.holds(&changed.gained, ["@sue:example.org", "@sam:example.org"]));
    assert!(!watch.holds(&changed.gained, ["@ann:example.org", "@sam:example.org"]));
    assert!(changed.lost.is_empty());
    // Nothing that concerns this one, and the revision all the same.
    let nothing = Changed { revision, ..Changed::default() };
    assert_eq!(stranger.changed().await, nothing);

    daemon
        .reload(&SALES.replace("- name: the helpdesk", "- shadow: true\n    name: the helpdesk"))
        .unwrap();
    let changed = watch.changed().await;
    assert!(watch.holds(&changed.lost, ["@ann:example.org", "@joe:example.org"]));
    assert!(
        !watch.holds(&changed.lost, ["@sam:example.org", "@sue:example.org"]),
        "they are touched by nothing"
    );
    assert!(changed.gained.is_empty(), "{changed:?}");
}

/// A rule that is open on both sides is told as a whole, and yet names nobody whom
/// the client could not see before nor after.
#[tokio::test]
async fn a_change_names_nobody_who_is_in_no_pair() {
    let rule = r#"
  - name: all
    allow: { from: everyone, to: [{ server: "*.example" }, "@secret:elsewhere.org"] }"#;
    let policy = |rule: &str| {
        format!("rules:\n  - name: none\n    deny: {{ from: everyone, to: everyone }}{rule}\n")
    };
    let daemon = Daemon::serving(&policy(rule)).await;
    let mut watch = Watch::open(&daemon, "example.org", "", 0).await;
    for rule in ["", rule] {
        daemon.reload(&policy(rule)).unwrap();
        let changed = watch.changed().await;
        let told = if rule.is_empty() { &changed.lost } else { &changed.gained };
        assert!(watch.holds(told, ["@a:example.org", "@b:an.example"]), "{changed:?}");
        assert!(!format!("{changed:?}").contains("secret"), "{changed:?}");
    }
}

#[tokio::test]
async fn a_watch_resumes_where_it_was() {
    let daemon = Daemon::serving(SALES).await;
    let before = daemon.revision();
    join(&daemon, &["@sam:example.org"]);
    join(&daemon, &["@sue:example.org"]);
    let mut watch = Watch::open(&daemon, "example.org", &before, 0).await;
    let changed = watch.changed().await;
    assert_eq!(changed.revision, daemon.revision(), "one change, however many revisions");
    assert!(watch.holds(&changed.gained, ["@sam:example.org", "@sue:example.org"]));
    let mut watch = Watch::open(&daemon, "example.org", "0000000000000000:1", 0).await;
    assert!(
        matches!(watch.next().await, WatchResponse::Reset(reset) if reset.revision == daemon.revision())
    );
}

#[tokio::test]
async fn a_change_over_the_budget_is_a_reset() {
    let daemon = Daemon::serving(SALES).await;
    let users: Vec<String> = (0..500).map(|i| format!("@user{i:05}:example.org")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let mut watch = Watch::open(&daemon, "example.org", "", 1000).await;
    let mut rich = Watch::open(&daemon, "example.org", "", 0).await;
    let revision = join(&daemon, &users);
    assert!(
        matches!(watch.next().await, WatchResponse::Reset(reset) if reset.revision == revision)
    );
    let changed = rich.changed().await;
    assert!(rich.holds(&changed.gained, [users[0], users[499]]));
    assert_eq!(rich.next_is_quiet().await, 0, "sets that only a change names end with it");
}

impl Watch {
    /// What the client keeps once another change has been told.
    async fn next_is_quiet(&mut self) -> usize {
        while self.sets.bytes() > 0 {
            let message = self.responses.message().await.unwrap().unwrap().message.unwrap();
            let WatchResponse::SetRetired(retired) = message else {
                panic!("not expected: {message:?}")
            };
            self.sets.retire(retired.id);
        }
        self.sets.bytes()
    }
}

#[tokio::test]
async fn a_silent_watch_is_kept_alive_and_told_of_the_end() {
    let daemon =
        Daemon::limited(SALES, Limits { heartbeat: Duration::from_millis(20), ..limits() }).await;
    let mut watch = Watch::open(&daemon, "example.org", "", 0).await;
    assert!(
        matches!(watch.next().await, WatchResponse::Heartbeat(beat) if beat.revision == daemon.revision())
    );
    daemon.shutdown.cancel();
    let end = loop {
        if let Err(end) = watch.responses.message().await {
            break end;
        }
    };
    assert_eq!(end.code(), Code::Unavailable);
    assert!(end.message().contains("shutting down"), "{end:?}");
}

#[tokio::test]
async fn a_request_waits_for_its_revision() {
    let daemon =
        Daemon::limited(SALES, Limits { at_least: Duration::from_secs(60), ..limits() }).await;
    let mut stream = Stream::open(daemon.client(), &["example.org"]).await;
    let next = daemon.revision().replace(":1", ":2");
    let states = states(&["@sam:example.org"]);
    stream.send(Request::Batch(StateBatch { batch_id: 1, at_least: next.clone(), states }));
    let asking = tokio::spawn({
        let (mut client, at_least) = (daemon.client(), next.clone());
        let server_names = vec!["example.org".to_owned()];
        let user_id = "@sam:example.org".to_owned();
        async move {
            let request = GetInterestedUsersRequest {
                server_names,
                user_id,
                at_least,
                capabilities: Vec::new(),
            };
            client.get_interested_users(request).await.unwrap().into_inner()
        }
    });
    // Both have been asked by the time that this is answered, or soon after it:
    // either way they wait.
    daemon
        .client()
        .get_interested_users(GetInterestedUsersRequest {
            server_names: vec!["example.org".to_owned()],
            user_id: "@sam:example.org".to_owned(),
            at_least: String::new(),
            capabilities: Vec::new(),
        })
        .await
        .unwrap();
    assert_eq!(join(&daemon, &["@sam:example.org", "@sue:example.org"]), next);
    let answer = asking.await.unwrap();
    assert_eq!(
        (answer.revision, answer.user_ids),
        (next.clone(), vec!["@sue:example.org".to_owned()])
    );
    loop {
        match stream.next().await.unwrap().unwrap() {
            Response::Deliveries(answer) => {
                assert_eq!((answer.revision, answer.deliveries.len()), (next, 1));
                break;
            }
            Response::Changed(_) | Response::SetPart(_) | Response::SetRetired(_) => {}
            other => panic!("not expected: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_request_does_not_wait_for_ever() {
    let daemon =
        Daemon::limited(SALES, Limits { at_least: Duration::from_millis(20), ..limits() }).await;
    let mut stream = Stream::open(daemon.client(), &["example.org"]).await;
    let at_least = daemon.revision().replace(":1", ":2");
    stream.send(Request::Batch(StateBatch { at_least, ..Default::default() }));
    let told = stream.next().await.unwrap();
    let Some(Response::RequestError(error)) = told else { panic!("not refused: {told:?}") };
    assert_eq!(
        (error.code, error.reason()),
        (Code::FailedPrecondition.into(), ErrorReason::RevisionNotReached)
    );
}

/// One audience of two ids, and a budget for one: what was used for longest goes.
#[tokio::test]
async fn sets_are_retired_to_stay_within_the_budget() {
    let policy = r#"
groups:
  a: ["@ann:example.org", "@joe:example.org"]
  b: ["@sam:example.org", "@sue:example.org"]
  all: ["@u1:example.org", "@u2:example.org", "@u3:example.org", "@u4:example.org"]
rules: [{ name: teams, allow: { within: "?" } }, { name: all, allow: { within: all } }]
"#;
    let daemon = Daemon::serving(policy).await;
    let mut stream = Stream::start(daemon.client()).await;
    let server_names = vec!["example.org".to_owned()];
    stream.send(Request::Open(Open { server_names, set_budget_bytes: 45, ..Open::default() }));
    let (mut sets, mut retired) = (ClientSets::default(), 0);
    for (user, fits) in
        [("@ann", true), ("@sam", true), ("@ann", true), ("@u1", false), ("@sam", true)]
    {
        let states = states(&[format!("{user}:example.org")]);
        stream.send(Request::Batch(StateBatch { states, ..Default::default() }));
        loop {
            match stream.next().await.unwrap().unwrap() {
                Response::SetPart(part) => sets.define(part),
                Response::SetRetired(gone) => {
                    retired += 1;
                    sets.retire(gone.id);
                }
                Response::Deliveries(answer) => {
                    assert!(fits && sets.is_live(answer.deliveries[0].recipients_set_id));
                    break;
                }
                Response::RequestError(error) => {
                    assert!(!fits, "{error:?}");
                    assert_eq!(
                        (error.code, error.reason()),
                        (Code::ResourceExhausted.into(), ErrorReason::SetOverBudget)
                    );
                    assert!(
                        error.message.contains("`open.set_budget_bytes`, 45"),
                        "{}",
                        error.message
                    );
                    break;
                }
                Response::Opened(_) => {}
                other => panic!("not expected: {other:?}"),
            }
            assert!(sets.bytes() <= 45, "{}", sets.bytes());
        }
    }
    assert!(retired >= 4, "{retired}");
}
