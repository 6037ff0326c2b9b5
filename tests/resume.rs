//! Streams of clients that come back with the answers of an earlier stream: what they missed,
//! and what they hear from then on of hidden fields, which no `Changed` names.

use presence_router_engine::Edit;
use presence_router_ids::UserId;
use presence_router_proto::v1::route_states_request::Message as Request;
use presence_router_proto::v1::route_states_response::Message as Response;
use presence_router_proto::v1::{Open, StateBatch};
use tonic::Code;

use crate::harness::{Daemon, Stream};
use crate::stream::{NOBODY, TEAMS};

/// Opens a stream as a client that kept answers of a revision. Returns the first message after
/// `Opened`: the answer to an empty batch if there is no other.
async fn come_back(daemon: &Daemon, revision: &str) -> Response {
    let mut stream = Stream::start(daemon.client()).await;
    stream.send(Request::Open(Open {
        server_names: vec!["example.org".to_owned()],
        resume_revision: revision.to_owned(),
        ..Default::default()
    }));
    stream.send(Request::Batch(StateBatch::default()));
    assert!(matches!(stream.next().await, Ok(Some(Response::Opened(_)))));
    stream.next().await.unwrap().unwrap()
}

#[tokio::test]
async fn a_client_that_comes_back_hears_whether_it_missed_something() {
    let daemon = Daemon::serving(TEAMS).await;
    let first = daemon.revision();
    let resume = async |revision: &str| come_back(&daemon, revision).await;
    assert!(matches!(resume(&first).await, Response::Deliveries(_)), "nothing was missed");
    daemon.reload(NOBODY).unwrap();
    let Response::Changed(changed) = resume(&first).await else { panic!("a change was missed") };
    assert_eq!(changed.revision, daemon.revision());
    assert!(!changed.lost.is_empty() && changed.gained.is_empty(), "{changed:?}");
    assert!(matches!(resume(&daemon.revision()).await, Response::Deliveries(_)));
    for policy in [TEAMS, NOBODY].repeat(10) {
        daemon.reload(policy).unwrap();
    }
    assert!(
        matches!(resume(&first).await, Response::Reset(_)),
        "what was then is not kept for ever"
    );
    assert!(
        matches!(resume("0000000000000000:7").await, Response::Reset(_)),
        "a restart was missed"
    );

    let mut stream = Stream::start(daemon.client()).await;
    let (server_names, resume_revision) = (vec!["example.org".to_owned()], "what?".to_owned());
    stream.send(Request::Open(Open { server_names, resume_revision, ..Default::default() }));
    assert_eq!(stream.refusal().await.code(), Code::InvalidArgument);
}

/// Hidden fields are not visibility, so `Changed` names no user whose kept answer hides other
/// fields by now.
#[tokio::test]
async fn a_client_that_comes_back_keeps_no_answer_that_hides_something_else() {
    let shy = |fields: &str| {
        let shy = "from: everyone, to: { group: shy }";
        let policy = TEAMS.replace("groups:", "groups:\n  shy: { directory: true }");
        format!("{policy}  - name: shy\n    hide: {{ {shy}, fields: [{fields}] }}\n")
    };
    let daemon = Daemon::serving(&shy("status_msg")).await;
    let join = |user| Edit::Join { group: "shy", user: UserId::parse(user).unwrap() };

    let first = daemon.revision();
    daemon.live.edit_directory(&[join("@ann:example.org")]).unwrap();
    assert!(matches!(come_back(&daemon, &first).await, Response::Reset(_)), "from others");

    let second = daemon.revision();
    daemon.reload(&shy("last_active_ts")).unwrap();
    assert!(matches!(come_back(&daemon, &second).await, Response::Reset(_)), "other fields");

    let third = daemon.revision();
    let mute = shy("last_active_ts")
        + "  - name: mute\n    deny: { from: \"@ola:example.org\", to: everyone }\n";
    daemon.reload(&mute).unwrap();
    let told = come_back(&daemon, &third).await;
    assert!(matches!(told, Response::Changed(_)), "the same is hidden: {told:?}");

    let fourth = daemon.revision();
    daemon.reload(TEAMS).unwrap();
    assert!(matches!(come_back(&daemon, &fourth).await, Response::Reset(_)), "nothing any more");
}

/// The sets of an earlier stream ended with it, so that none is left to retire: `Reset` ends
/// the answers. After it the client has none of them, and the next change is a `Changed`.
#[tokio::test]
async fn hides_that_change_after_a_client_came_back_end_its_earlier_answers() {
    let shy = "from: everyone, to: { group: shy }";
    let groups = "groups:\n  shy: { directory: true }\n  idle: { directory: true }";
    let policy = TEAMS.replace("groups:", groups)
        + &format!("  - name: shy\n    hide: {{ {shy}, fields: [status_msg] }}\n");
    let daemon = Daemon::serving(&policy).await;
    let edit = |group, user, joins: bool| {
        let user = UserId::parse(user).unwrap();
        let edit = if joins { Edit::Join { group, user } } else { Edit::Leave { group, user } };
        daemon.live.edit_directory(&[edit]).unwrap();
    };
    for resumes in [true, false] {
        let mut stream = Stream::start(daemon.client()).await;
        stream.send(Request::Open(Open {
            server_names: vec!["example.org".to_owned()],
            resume_revision: if resumes { daemon.revision() } else { String::new() },
            ..Open::default()
        }));
        assert!(matches!(stream.next().await, Ok(Some(Response::Opened(_)))));
        let mut hear = async || loop {
            match stream.next().await.unwrap() {
                Some(Response::Changed(_)) => return "changed",
                Some(Response::Reset(_)) => return "reset",
                other => assert!(matches!(other, Some(Response::Heartbeat(_))), "{other:?}"),
            }
        };
        // Nothing is hidden by this, and a user that no policy lists gets a number.
        edit("idle", "@new:far.example", true);
        assert_eq!(hear().await, "changed");
        edit("shy", "@ann:example.org", true);
        assert_eq!(hear().await, if resumes { "reset" } else { "changed" });
        edit("shy", "@ann:example.org", false);
        assert_eq!(hear().await, "changed", "the answers of the earlier stream are gone");
        edit("idle", "@new:far.example", false);
        assert_eq!(hear().await, "changed");
    }
}
