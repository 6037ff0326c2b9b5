//! `NamedServers`: a client that asks for them derives the same destinations from a stream as
//! unary answers name, through changes of the policy and the directory.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use presence_router_client::{Coverage, NearCache, NearCacheOptions, Set};
use presence_router_engine::Edit;
use presence_router_ids::UserId;
use presence_router_proto::v1::route_states_request::Message as Request;
use presence_router_proto::v1::route_states_response::Message as Response;
use presence_router_proto::v1::{Capability, NamedServers, Open, StateBatch};
use proptest::prelude::*;

use crate::agreement::{RUNTIME, cases};
use crate::harness::{Client, Daemon, Stream, states, ways};
use crate::worlds::{callers, everybody, policies};

/// Named in full: `c.org`. Named by users: `a.org` (the caller's own), `b.org`, and `d.org`, on
/// which no rule allows recipients but by name.
const POLICY: &str = r#"
groups:
  friends: ["@joe:a.org", "@sue:b.org", "@kim:d.org"]
  guests: { directory: true }
rules:
  - name: partners
    allow: { from: everyone, to: [{ server: c.org }, { server: "b.*" }, { server: "a.*" }] }
  - name: friends
    allow: { within: friends }
  - name: guests
    allow: { within: guests }
"#;

async fn start(client: Client, capabilities: &[Capability], resume_revision: &str) -> Stream {
    let mut stream = Stream::start(client).await;
    stream.send(Request::Open(Open {
        server_names: vec!["a.org".to_owned()],
        resume_revision: resume_revision.to_owned(),
        capabilities: capabilities.iter().map(|one| i32::from(*one)).collect(),
        ..Open::default()
    }));
    let opened = stream.next().await.unwrap();
    let Some(Response::Opened(opened)) = opened else { panic!("not opened: {opened:?}") };
    assert!(opened.capabilities().any(|one| one == Capability::NamedServers));
    stream
}

fn named(added: &[&str], removed: &[&str]) -> Response {
    let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let (added, removed) = (strings(added), strings(removed));
    Response::NamedServers(NamedServers { added, removed, last: true })
}

/// The messages up to the answer to a question, without sets.
async fn messages_up_to_answer(stream: &mut Stream) -> Vec<Response> {
    let question = StateBatch { states: states(&["@ann:a.org"]), ..StateBatch::default() };
    stream.send(Request::Batch(question));
    let mut messages = Vec::new();
    loop {
        match stream.next().await.unwrap().expect("the stream goes on") {
            Response::Deliveries(_) => return messages,
            Response::SetPart(_) | Response::SetEdit(_) | Response::SetRetired(_) => {}
            other => messages.push(other),
        }
    }
}

fn edit(daemon: &Daemon, user: &str, joins: bool) {
    let (group, user) = ("guests", UserId::parse(user).unwrap());
    let edit = if joins { Edit::Join { group, user } } else { Edit::Leave { group, user } };
    daemon.live.edit_directory(&[edit]).unwrap();
}

#[tokio::test]
async fn names_come_after_opened_and_before_each_change() {
    let daemon = Daemon::serving(POLICY).await;
    let mut stream = start(daemon.client(), &[Capability::NamedServers], "").await;
    let first = stream.next().await.unwrap();
    assert_eq!(first, Some(named(&["b.org", "c.org"], &[])), "unasked, and without `d.org`");
    assert_eq!(messages_up_to_answer(&mut stream).await, []);

    // The first user of a server, and the second; a server that no recipients match.
    edit(&daemon, "@new:b.net", true);
    let messages = messages_up_to_answer(&mut stream).await;
    assert_eq!(messages[0], named(&["b.net"], &[]));
    assert!(matches!(messages[1..], [Response::Changed(_)]), "{messages:?}");
    for user in ["@other:b.net", "@new:e.org", "@new:a.org"] {
        edit(&daemon, user, true);
        let messages = messages_up_to_answer(&mut stream).await;
        assert!(matches!(messages[..], [Response::Changed(_)]), "{user}: {messages:?}");
    }
    edit(&daemon, "@new:b.net", false);
    let messages = messages_up_to_answer(&mut stream).await;
    assert!(matches!(messages[..], [Response::Changed(_)]), "one is left: {messages:?}");
    edit(&daemon, "@other:b.net", false);
    let messages = messages_up_to_answer(&mut stream).await;
    assert_eq!(messages[0], named(&[], &["b.net"]), "{messages:?}");

    // Another policy names other servers, or the same ones.
    daemon.reload(&POLICY.replace("c.org", "c.net")).unwrap();
    let messages = messages_up_to_answer(&mut stream).await;
    assert_eq!(messages[0], named(&["c.net"], &["c.org"]), "{messages:?}");
    daemon
        .reload(&POLICY.replace("c.org", "c.net").replace("name: friends", "name: pals"))
        .unwrap();
    let messages = messages_up_to_answer(&mut stream).await;
    assert!(matches!(messages[..], [Response::Changed(_)]), "{messages:?}");
}

#[tokio::test]
async fn the_whole_list_comes_again_after_a_reconnect_and_before_missed_changes() {
    let daemon = Daemon::serving(POLICY).await;
    let old = daemon.revision();
    daemon.reload(&POLICY.replace("c.org", "c.net")).unwrap();
    for (resumed, changes) in [(old.as_str(), true), (&daemon.revision(), false), ("", false)] {
        let mut stream = start(daemon.client(), &[Capability::NamedServers], resumed).await;
        let messages = messages_up_to_answer(&mut stream).await;
        assert_eq!(messages[0], named(&["b.org", "c.net"], &[]), "{resumed}");
        assert_eq!(messages.len(), if changes { 2 } else { 1 }, "{resumed}: {messages:?}");
    }
    // A `Reset`, because the history is another one.
    let mut stream =
        start(daemon.client(), &[Capability::NamedServers], "0123456789abcdef:1").await;
    let messages = messages_up_to_answer(&mut stream).await;
    assert_eq!(messages[0], named(&["b.org", "c.net"], &[]));
    assert!(matches!(messages[1..], [Response::Reset(_)]), "{messages:?}");
}

#[tokio::test]
async fn an_empty_list_comes_once_and_no_list_without_the_capability() {
    let daemon = Daemon::serving("rules: []").await;
    let mut names = start(daemon.client(), &[Capability::NamedServers], "").await;
    let mut others = start(daemon.client(), &[Capability::Touch], "").await;
    assert_eq!(messages_up_to_answer(&mut names).await, [named(&[], &[])]);
    assert_eq!(messages_up_to_answer(&mut others).await, []);
    daemon.reload(POLICY).unwrap();
    let messages = messages_up_to_answer(&mut names).await;
    assert_eq!(messages[0], named(&["b.org", "c.org"], &[]));
    let messages = messages_up_to_answer(&mut others).await;
    assert!(matches!(messages[..], [Response::Changed(_)]), "{messages:?}");
}

#[tokio::test]
async fn a_long_list_comes_in_parts() {
    let servers: Vec<String> = (0..20_000).map(|i| format!("server{i:05}.example.org")).collect();
    let users: Vec<String> = servers.iter().map(|server| format!("@u:{server}")).collect();
    let policy = |users: &[String]| {
        format!(
            "groups: {{ all: {users:?} }}\nrules: [{{ name: all, allow: {{ from: everyone, to: everyone }} }}]"
        )
    };
    let daemon = Daemon::serving(&policy(&users)).await;
    let client = Client::new(daemon.channel()).max_decoding_message_size(256 * 1024);
    let mut stream = start(client, &[Capability::NamedServers], "").await;
    let mut list = BTreeSet::new();
    let mut read_list = async |list: &mut BTreeSet<String>| {
        let mut messages = 0;
        loop {
            let message = stream.next().await.unwrap();
            let Some(Response::NamedServers(message)) = message else { panic!("{message:?}") };
            messages += 1;
            assert!(message.added.is_sorted() && message.removed.is_sorted());
            assert!(message.removed.iter().all(|name| list.remove(name)));
            assert!(message.added.into_iter().all(|name| list.insert(name)));
            if message.last {
                return messages;
            }
        }
    };
    // 460,000 bytes of names.
    assert_eq!(read_list(&mut list).await, 4);
    assert!(list.iter().eq(&servers), "nothing is cut off");
    daemon.reload(&policy(&users[15_000..])).unwrap();
    assert_eq!(read_list(&mut list).await, 3);
    assert!(list.iter().eq(&servers[15_000..]));
}

#[tokio::test]
async fn snapshots_with_the_same_servers_share_the_list() {
    let daemon = Daemon::serving(POLICY).await;
    let list = || Arc::clone(daemon.live.current().snapshot.possible_destinations());
    let first = list();
    edit(&daemon, "@new:b.org", true);
    assert!(Arc::ptr_eq(&list(), &first), "a user on a server that is named already");
    daemon.reload(&POLICY.replace("name: friends", "name: pals")).unwrap();
    assert!(Arc::ptr_eq(&list(), &first), "another policy");
    edit(&daemon, "@new:b.net", true);
    assert!(!Arc::ptr_eq(&list(), &first), "a user on another server");
}

/// The named servers on which the audience of a user may have members, with the servers of its
/// listed users.
async fn destinations_of(cache: &NearCache, user: &str, revision: &str) -> BTreeSet<String> {
    let arrived = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let answer = cache.audience(user).await.unwrap();
            if answer.revision() == revision {
                return answer.into_shared();
            }
            tokio::task::yield_now().await;
        }
    });
    let answer = arrived.await.expect("the near-cache arrives at the revision");
    let named = cache.named_servers();
    assert_ne!(named.number(), 0);
    let Some(set) = answer.as_set() else { return BTreeSet::new() };
    let reached = named.names().filter(|name| set.coverage_on_server(name) != Coverage::Nobody);
    reached.map(str::to_owned).chain(servers_of_listed(set)).collect()
}

fn servers_of_listed(set: &Set) -> impl Iterator<Item = String> {
    let server = |user: &str| user.split_once(':').map(|(_, server)| server.to_owned());
    set.listed_users().into_iter().filter_map(server)
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn the_destinations_of_a_stream_are_those_of_unary_answers(
        (before, after) in (policies(), policies()),
        server_names in callers(),
    ) {
        RUNTIME.block_on(async {
            let daemon = Daemon::serving(&before).await;
            let cache = daemon.rust_client(&server_names).near_cache(NearCacheOptions::default());
            for policy in [&before, &after] {
                if *policy != before {
                    daemon.reload(policy).unwrap();
                }
                let (users, revision) = (everybody(), daemon.revision());
                let (_, destinations) =
                    ways::unary(daemon.client(), &server_names, &users, &revision).await;
                for user in users {
                    let found = destinations_of(&cache, &user, &revision).await;
                    let answer = cache.cached_audience(&user).unwrap().into_shared();
                    let mut expected = destinations.get(&user).cloned().unwrap_or_default();
                    expected.extend(answer.as_set().into_iter().flat_map(servers_of_listed));
                    assert_eq!(found, expected, "{user}");
                }
            }
        });
    }
}
