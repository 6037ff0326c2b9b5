//! The rules of the stream that random worlds and scenarios do not reach: what
//! is sent once, what a reload, a slow reader and a shutdown do.

use std::time::Duration;

use presence_router_engine::Edit;
use presence_router_ids::UserId;
use presence_router_proto::v1::route_states_request::Message as Request;
use presence_router_proto::v1::route_states_response::Message as Response;
use presence_router_proto::v1::{Changed, InterestQuery, StateBatch};
use presence_router_server::live::Loaded;
use presence_router_server::rpc::limits::Limits;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::harness::sets::ClientSets;
use crate::harness::{Client, Daemon, Stream, limits, states};

pub(crate) const TEAMS: &str = r#"
groups:
  team/a: ["@ann:example.org", "@joe:example.org", "@ola:example.org"]
  team/b: ["@joe:example.org", "@sam:example.org"]
rules:
  - name: teams see each other
    allow: { within: "team/*" }
"#;
pub(crate) const NOBODY: &str = "rules: []";

/// Asks for a batch and takes its answer: how many sets came with it, and the
/// ids of the audiences.
async fn route(stream: &mut Stream, sets: &mut ClientSets, users: &[&str]) -> (usize, Vec<u64>) {
    stream.send(Request::Batch(StateBatch { states: states(users), ..Default::default() }));
    let mut parts = 0;
    loop {
        match stream.next().await.unwrap().expect("the stream goes on") {
            Response::SetPart(part) => {
                parts += 1;
                sets.define(part);
            }
            Response::Deliveries(answer) => {
                return (parts, answer.deliveries.iter().map(|d| d.recipients_set_id).collect());
            }
            other => panic!("not expected: {other:?}"),
        }
    }
}

/// Reloads, and takes all that comes before the change and itself.
async fn follow(
    daemon: &Daemon,
    policy: &str,
    stream: &mut Stream,
    sets: &mut ClientSets,
) -> Changed {
    daemon.reload(policy).unwrap();
    loop {
        match stream.next().await.unwrap().unwrap() {
            Response::SetPart(part) => sets.define(part),
            // `ClientSets` would object to one that another refers to.
            Response::SetRetired(retired) => sets.retire(retired.id),
            Response::Changed(changed) => {
                assert_eq!(changed.revision, daemon.revision());
                return changed;
            }
            other => panic!("not expected: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_set_is_sent_once_and_a_group_is_one_set() {
    let daemon = Daemon::serving(TEAMS).await;
    let mut stream = Stream::open(daemon.client(), &["example.org"]).await;
    let mut sets = ClientSets::default();
    let (parts, _) = route(&mut stream, &mut sets, &["@ann:example.org", "@ola:example.org"]).await;
    assert_eq!(parts, 2, "team-mates share one list, and one answer that refers to it");
    let (parts, _) = route(&mut stream, &mut sets, &["@joe:example.org"]).await;
    assert_eq!(parts, 2, "the other team, and the union of two teams");
    assert_eq!(sets.lists(), (2, 5), "no user is listed twice for one group");
    let both = ["@joe:example.org", "@sam:example.org"];
    let (parts, _) = route(&mut stream, &mut sets, &both).await;
    assert_eq!((parts, sets.lists()), (1, (2, 5)), "another answer, and no list");
    let (parts, again) = route(&mut stream, &mut sets, &both).await;
    assert_eq!((parts, again.len()), (0, 2), "nothing is sent twice");
    let (parts, none) = route(&mut stream, &mut sets, &["@stranger:example.org"]).await;
    assert_eq!((parts, none.len()), (0, 0));

    // A team is one set for interests as well.
    let user_id = "@ola:example.org".to_owned();
    stream.send(Request::Interest(InterestQuery { user_id, ..Default::default() }));
    let told = stream.next().await.unwrap();
    assert!(matches!(told, Some(Response::InterestAnswer(_))), "{told:?}");
}

/// More exceptions than fit a message that clients take.
#[tokio::test]
async fn many_exceptions_come_in_parts() {
    let users: Vec<String> = (0..20_000).map(|i| format!("@user{i:05}:example.org")).collect();
    let policy = format!(
        "groups: {{ hidden: {users:?} }}\nrules:\n  - name: all but the hidden\n    allow: {{ from: everyone, to: {{ any: everyone, except: {{ group: hidden }} }} }}"
    );
    let daemon = Daemon::serving(&policy).await;
    let client = Client::new(daemon.channel()).max_decoding_message_size(256 * 1024);
    let mut stream = Stream::open(client, &["example.org"]).await;
    let mut sets = ClientSets::default();
    let (_, ids) = route(&mut stream, &mut sets, &["@ann:example.org"]).await;
    assert!(users.iter().step_by(97).all(|user| !sets.contains(ids[0], user)));
    assert!(sets.contains(ids[0], "@joe:example.org"));
}

#[tokio::test]
async fn a_large_set_comes_in_parts() {
    let users: Vec<String> = (0..20_000).map(|i| format!("@user{i:05}:example.org")).collect();
    let policy =
        format!("groups: {{ all: {users:?} }}\nrules: [{{ name: all, allow: {{ within: all }} }}]");
    let daemon = Daemon::serving(&policy).await;
    // The smallest limit that clients have by default is 4 MiB; this is less.
    let client = Client::new(daemon.channel()).max_decoding_message_size(256 * 1024);
    let mut stream = Stream::open(client, &["example.org"]).await;
    let mut sets = ClientSets::default();
    let (parts, ids) = route(&mut stream, &mut sets, &["@user00000:example.org"]).await;
    assert!(parts > 2, "{parts}");
    assert!(users.iter().all(|user| sets.contains(ids[0], user)), "nothing is cut off");
}

#[tokio::test]
async fn a_reload_retires_and_ids_are_never_used_again() {
    let daemon = Daemon::serving(TEAMS).await;
    let mut stream = Stream::open(daemon.client(), &["example.org"]).await;
    let mut sets = ClientSets::default();
    route(&mut stream, &mut sets, &["@joe:example.org"]).await;

    assert!(matches!(daemon.reload(TEAMS), Ok(Loaded::Unchanged(_))));
    let (parts, _) = route(&mut stream, &mut sets, &["@joe:example.org"]).await;
    assert_eq!(parts, 0, "a text that did not change changes nothing");

    assert!(daemon.reload("rules: [nonsense").is_err());
    let (parts, _) = route(&mut stream, &mut sets, &["@joe:example.org"]).await;
    assert_eq!(parts, 0, "nor does a policy with problems");

    for policy in [NOBODY, TEAMS] {
        let changed = follow(&daemon, policy, &mut stream, &mut sets).await;
        assert!(!changed.gained.is_empty() || !changed.lost.is_empty());
        assert_eq!(sets.bytes(), 0, "nobody is in a set of both");
    }
    // `ClientSets` would object to an id that was used before.
    let (parts, _) = route(&mut stream, &mut sets, &["@joe:example.org"]).await;
    assert_eq!(parts, 3);
}

#[tokio::test]
async fn a_list_that_the_next_policy_has_too_is_not_sent_again() {
    let daemon = Daemon::serving(TEAMS).await;
    let mut stream = Stream::open(daemon.client(), &["example.org"]).await;
    let mut sets = ClientSets::default();
    let (_, before) = route(&mut stream, &mut sets, &["@joe:example.org"]).await;
    // The groups have other numbers then.
    let more = "  - { name: more, allow: { from: { group: eve }, to: \"@ann:example.org\" } }";
    let policy = format!("{TEAMS}{more}").replace("groups:", "groups:\n  eve: [\"@eve:x.org\"]");
    follow(&daemon, &policy, &mut stream, &mut sets).await;
    assert_eq!(sets.lists(), (2, 5), "lists stay");
    let (parts, after) = route(&mut stream, &mut sets, &["@joe:example.org"]).await;
    assert_eq!((parts, sets.lists()), (1, (2, 5)), "what is made of them is said again");
    assert_ne!(before, after);
    assert!(sets.contains(after[0], "@sam:example.org"));

    // A list that nothing refers to is kept over one change of policy.
    follow(&daemon, TEAMS, &mut stream, &mut sets).await;
    assert_eq!(sets.lists(), (2, 5));
    follow(&daemon, &policy, &mut stream, &mut sets).await;
    assert_eq!(sets.lists(), (0, 0));
    let (parts, _) = route(&mut stream, &mut sets, &["@joe:example.org"]).await;
    assert_eq!(parts, 3);
}

/// A list that is kept for whoever asks next is no way to hear of strangers.
#[tokio::test]
async fn a_list_that_no_answer_refers_to_names_nobody_new() {
    let policy = "groups: { team/a: { directory: true } }\n\
                  rules: [{ name: teams, allow: { within: 'team/*' } }]";
    let daemon = Daemon::serving(policy).await;
    let group = "team/a";
    let join = |user| Edit::Join { group, user: UserId::parse(user).unwrap() };
    let ann = "@ann:example.org";
    daemon.live.edit_directory(&[join(ann), join("@joe:far.example")]).unwrap();

    let mut stream = Stream::open(daemon.client(), &["example.org"]).await;
    let mut sets = ClientSets::default();
    route(&mut stream, &mut sets, &[ann]).await;
    let leave = Edit::Leave { group, user: UserId::parse(ann).unwrap() };
    for edit in [leave, join("@sam:far.example"), join(ann), join("@sue:far.example")] {
        daemon.live.edit_directory(&[edit]).unwrap();
        let mut added = Vec::new();
        while let told = stream.next().await.unwrap().unwrap()
            && !matches!(told, Response::Changed(_))
        {
            match told {
                Response::SetEdit(edit) => {
                    added.extend(edit.added.clone());
                    sets.edit(edit);
                }
                Response::SetRetired(retired) => sets.retire(retired.id),
                other => panic!("not expected: {other:?}"),
            }
        }
        sets.changed();
        assert!(added.iter().all(|user| user == ann), "strangers: {added:?}");
    }
    let (_, audience) = route(&mut stream, &mut sets, &[ann]).await;
    for user in ["@joe:far.example", "@sam:far.example", "@sue:far.example"] {
        assert!(sets.contains(audience[0], user), "{user}");
    }
}

#[tokio::test]
async fn a_silent_stream_is_kept_alive() {
    let limits = Limits { heartbeat: Duration::from_millis(20), ..limits() };
    let daemon = Daemon::limited(TEAMS, limits).await;
    let mut stream = Stream::open(daemon.client(), &["example.org"]).await;
    for _ in 0..3 {
        let told = stream.next().await.unwrap();
        let Some(Response::Heartbeat(heartbeat)) = told else {
            panic!("not a heartbeat: {told:?}")
        };
        assert_eq!(heartbeat.revision, daemon.revision());
    }
}

/// With windows this small the daemon must wait for the slow one early on.
#[tokio::test]
async fn a_client_that_does_not_read_slows_only_itself() {
    let daemon = Daemon::serving(TEAMS).await;
    let endpoint = daemon.endpoint().initial_stream_window_size(65_535);
    let channel = endpoint.initial_connection_window_size(65_535).connect_lazy();
    let mut slow = Stream::open(Client::new(channel), &["example.org"]).await;
    let users = vec!["@joe:example.org"; 1000];
    for batch_id in 0..500 {
        slow.send(Request::Batch(StateBatch {
            batch_id,
            states: states(&users),
            ..Default::default()
        }));
    }
    let mut quick = Stream::open(daemon.client(), &["example.org"]).await;
    let mut sets = ClientSets::default();
    for _ in 0..20 {
        route(&mut quick, &mut sets, &["@joe:example.org"]).await;
    }
    // Nothing was lost of what waited, and the order is kept.
    let mut next = 0;
    while next < 500 {
        match slow.next().await.unwrap().unwrap() {
            Response::Deliveries(answer) => {
                assert_eq!(answer.batch_id, next);
                next += 1;
            }
            Response::SetPart(_) => {}
            other => panic!("not expected: {other:?}"),
        }
    }
}

#[tokio::test]
async fn shutdown_ends_everything_with_a_reason() {
    let daemon = Daemon::serving(TEAMS).await;
    let mut stream = Stream::open(daemon.client(), &["example.org"]).await;
    let mut silent = Stream::start(daemon.client()).await;
    let mut health = HealthClient::new(daemon.channel());
    let service = "presence_router.v1.PresenceRouterService".to_owned();
    let mut watch = health.watch(HealthCheckRequest { service }).await.unwrap().into_inner();
    let status =
        |response: Option<tonic_health::pb::HealthCheckResponse>| response.unwrap().status();
    assert_eq!(status(watch.message().await.unwrap()), ServingStatus::Serving);

    daemon.shutdown.cancel();

    let ended = stream.refusal().await;
    assert_eq!(ended.code(), Code::Unavailable);
    assert!(ended.message().contains("shutting down"), "{ended:?}");
    assert_eq!(silent.refusal().await.code(), Code::Unavailable);
    assert_eq!(status(watch.message().await.unwrap()), ServingStatus::NotServing);
    assert_eq!(watch.message().await.unwrap_err().code(), Code::Unavailable);
    let mut daemon = daemon;
    (&mut daemon.serving).await.unwrap().expect("the end was in order");
}

#[tokio::test]
async fn health_tells_of_the_process_and_of_the_service() {
    let daemon = Daemon::serving(TEAMS).await;
    let mut health = HealthClient::new(daemon.channel());
    for name in ["", "presence_router.v1.PresenceRouterService"] {
        let request = HealthCheckRequest { service: name.to_owned() };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{name:?}");
    }
    let request = HealthCheckRequest { service: "another".to_owned() };
    assert_eq!(health.check(request).await.unwrap_err().code(), Code::NotFound);
}
