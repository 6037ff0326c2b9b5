//! Sets as deep as the engine takes them, in rules with rooms and without, through a client: its
//! decoder stops at a hundred nested messages.

use presence_router_ids::RoomCapabilities;
use presence_router_proto::rooms::capability_values;
use presence_router_proto::v1::route_states_request::Message as Request;
use presence_router_proto::v1::route_states_response::Message as Response;
use presence_router_proto::v1::set_expression::Expression;
use presence_router_proto::v1::{
    GetInterestedUsersRequest, GetUsersForStatesRequest, Open, SetExpression, StateBatch,
    set_part::Content,
};

use crate::harness::{Daemon, Stream, states};

/// A set of 32 levels that contains `@new:{letter}.org`. The servers of different letters differ, so
/// that nothing of their union or difference folds.
fn deep(letter: char) -> String {
    let (mut open, mut close) = (String::new(), String::new());
    for level in 0..15 {
        open +=
            &format!("{{ all_of: [{{ server: '{letter}*' }}, [{{ server: '{letter}{level}' }}, ");
        close += "]] }";
    }
    format!("{open}{{ all_of: [{{ server: '*.org' }}, {{ server: '{letter}*g' }}] }}{close}")
}

fn policy() -> String {
    let groups: String =
        ('a'..='f').map(|letter| format!("  {letter}: {}\n", deep(letter))).collect();
    format!(
        r#"
groups:
{groups}  named: ["@ann:a.org", "@ann:b.org", "@ann:c.org", "@ann:d.org", "@ann:e.org", "@ann:f.org"]
rules:
  - {{ name: a, allow: {{ from: everyone, to: [{{ group: a }}, "@joe:x.net"] }} }}
  - {{ name: b, allow: {{ from: everyone, to: {{ group: b }}, share_room: {{ at_most: 50 }} }} }}
  - {{ name: c, deny: {{ from: everyone, to: {{ group: c }} }} }}
  - {{ name: named, deny: {{ from: everyone, to: {{ group: named }} }} }}
  - {{ name: d, deny: {{ from: everyone, to: [{{ group: d }}, "@joe:x.net"], share_room: false }} }}
  - {{ name: e, deny: {{ from: everyone, to: {{ group: e }}, share_room: {{ encrypted: true }} }} }}
  - {{ name: f, hide: {{ from: everyone, to: {{ group: f }}, share_room: true, fields: [status_msg] }} }}
"#
    )
}

/// The number of messages inside one another, the expression included.
fn nested_messages(set: &SetExpression) -> usize {
    let list = |sets: &[SetExpression]| 1 + sets.iter().map(nested_messages).max().unwrap_or(0);
    1 + match set.expression.as_ref().unwrap() {
        Expression::Everyone(_) | Expression::Users(_) => 1,
        Expression::Server(_) | Expression::Match(_) | Expression::SetId(_) => 0,
        Expression::AnyOf(sets) | Expression::AllOf(sets) => list(&sets.sets),
        Expression::Difference(both) => {
            let sides = [&both.any, &both.except]
                .map(|set| set.as_ref().map_or(0, |set| nested_messages(set)));
            1 + sides.into_iter().max().unwrap_or(0)
        }
        // The conditions, and the count in one of them.
        Expression::RoomMates(_) => 3,
    }
}

#[tokio::test]
async fn the_deepest_sets_reach_a_client() {
    let daemon = Daemon::serving(&policy()).await;
    let capabilities: Vec<i32> = capability_values(RoomCapabilities::ALL).map(Into::into).collect();
    let server_names = vec!["x.net".to_owned()];
    let request = GetUsersForStatesRequest {
        server_names: server_names.clone(),
        states: states(&["@sender:x.net"]),
        at_least: String::new(),
        capabilities: capabilities.clone(),
    };
    let answer = daemon.client().get_users_for_states(request).await.unwrap().into_inner();
    let [open] = answer.open_recipients.as_slice() else { panic!("{answer:?}") };
    let deepest = nested_messages(open.recipients.as_ref().unwrap());
    assert!(deepest > 64, "{deepest}: the policy is as deep as it can be");
    // The answer, and the entry.
    assert!(deepest + 2 < 100, "{deepest}");

    let request = GetInterestedUsersRequest {
        server_names: server_names.clone(),
        user_id: "@ann:b.org".to_owned(),
        at_least: String::new(),
        capabilities: capabilities.clone(),
    };
    daemon.client().get_interested_users(request).await.unwrap();

    let mut stream = Stream::start(daemon.client()).await;
    stream.send(Request::Open(Open { server_names, capabilities, ..Open::default() }));
    let states = states(&["@sender:x.net", "@sender:b.org"]);
    stream.send(Request::Batch(StateBatch { batch_id: 1, states, ..StateBatch::default() }));
    let mut deepest = 0;
    loop {
        match stream.next().await.unwrap().unwrap() {
            Response::SetPart(part) => {
                if let Some(Content::Expression(set)) = part.content {
                    deepest = deepest.max(nested_messages(&set));
                }
            }
            Response::Deliveries(deliveries) => {
                assert_eq!(deliveries.deliveries.len(), 2);
                break;
            }
            other => assert!(matches!(other, Response::Opened(_)), "{other:?}"),
        }
    }
    // The response, and the part.
    assert!((65..98).contains(&deepest), "{deepest}");
}
