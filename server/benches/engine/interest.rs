//! Interest of one user, next to the bare copy of the ids: told for the first
//! time on a stream, told before, and spelled out by a unary call.

use std::time::Duration;

use presence_router_engine::unstable::routing::model::ruleset::{Ids, Product, Rule, Set};
use presence_router_engine::unstable::routing::query::visibility::CallerView;
use presence_router_engine::{Caller, Effect};
use presence_router_ids::UserId;
use presence_router_proto::server::{
    RouteStatesResponse, route_states_response::Message as Response,
};
use presence_router_proto::v1::{self, InterestQuery, UserList, set_part::Content};
use presence_router_server::live::Current;
use presence_router_server::rpc::stream::SetUpdate;
use presence_router_server::rpc::stream::route::Route;
use presence_router_server::rpc::unary::Interest;
use prost::Message;

use crate::worlds::{self, CLASSES_GROUPS, Random, World};
use crate::{current_of, turns};

/// Users who may see so many others each, and no two of them the same.
const RECIPIENTS: usize = 200;
const ENTRIES: usize = 300;

/// A question, and the users of its answer.
struct Case {
    query: InterestQuery,
    ids: UserList,
    numbers: Vec<u32>,
}

/// Prints the times, next to what copies the same ids.
pub(crate) fn interest(world: &World) {
    let (current, cases) = cases(world);
    let new = || Route::new(Caller::new(["example.org"]).unwrap(), 0);
    let mut copy = |case: &Case| {
        let ids = &case.ids.user_ids;
        let mut bytes = Vec::with_capacity(ids.iter().map(String::len).sum());
        ids.iter().for_each(|id| bytes.extend_from_slice(id.as_bytes()));
        bytes
    };

    // A stream for each round: nothing is told in the beginning.
    let (mut route, mut asked) = (new(), 0);
    let mut first = |case: &Case| {
        if asked == cases.len() {
            (route, asked) = (new(), 0);
        }
        asked += 1;
        answer(&mut route, &current, case)
    };
    cases.iter().for_each(|case| check(case, &first(case)));
    let (took, copied, ratio) = turns(&cases, &mut first, &mut copy);
    let line = |what, took: Duration, copied: Duration, ratio: f64| {
        println!(
            "  interest, {what} {took:?}, bare copy of {ENTRIES} ids {copied:?}: {ratio:.2} x"
        );
    };
    line("told first", took, copied, ratio);
    let mut encode = |case: &Case| case.ids.encode_to_vec();
    let (_, encoded, ratio) = turns(&cases, &mut first, &mut encode);
    println!("    prost's encoding of them as a list {encoded:?}: {ratio:.2} x");
    let user_table = current.snapshot.users();
    let mut collect = |case: &Case| {
        let mut bytes = Vec::with_capacity(16 * 1024);
        for number in &case.numbers {
            let (name, server) = user_table.id(*number).parts();
            [name, ":", server].iter().for_each(|part| bytes.extend_from_slice(part.as_bytes()));
        }
        bytes
    };
    let (_, collected, ratio) = turns(&cases, &mut first, &mut collect);
    println!("    copy of them from among all users {collected:?}: {ratio:.2} x");

    // The answer refers to its set.
    let mut route = new();
    let mut told = |case: &Case| answer(&mut route, &current, case);
    cases.iter().for_each(|case| drop(told(case)));
    let (took, copied, ratio) = turns(&cases, &mut told, &mut copy);
    line("told before", took, copied, ratio);

    let scope = || CallerView::new(Caller::new(["example.org"]).unwrap());
    let mut unary = |case: &Case| {
        let recipient = UserId::parse(&case.query.user_id).unwrap();
        let interest = Interest::compute(&current, &scope(), recipient);
        interest.to_response(&current, usize::MAX).unwrap().encode_to_vec()
    };
    for case in &cases {
        let answer = v1::GetInterestedUsersResponse::decode(&*unary(case)).unwrap();
        assert_eq!(answer.user_ids, case.ids.user_ids);
    }
    let (took, copied, ratio) = turns(&cases, &mut unary, &mut copy);
    line("unary", took, copied, ratio);
    let (_, encoded, ratio) = turns(&cases, &mut unary, &mut encode);
    println!("    prost's encoding of them as a list {encoded:?}: {ratio:.2} x");
    let (_, collected, ratio) = turns(&cases, &mut unary, &mut collect);
    println!("    copy of them from among all users {collected:?}: {ratio:.2} x");
}

/// All messages of an answer, encoded one after another as a stream sends them.
fn answer(route: &mut Route, current: &Current, case: &Case) -> Vec<u8> {
    let mut updates = Vec::new();
    let answer = route.answer_interest(current, &case.query, &mut updates).unwrap();
    let updates = updates.into_iter().map(|update| match update {
        SetUpdate::Part(part) => Response::SetPart(part),
        SetUpdate::Edit(edit) => Response::SetEdit(edit),
        SetUpdate::Retired(retired) => Response::SetRetired(retired),
    });
    let mut bytes = Vec::with_capacity(16 * 1024);
    for message in updates.chain([Response::InterestAnswer(answer)]) {
        let message = RouteStatesResponse { message: Some(message) };
        message.encode_length_delimited(&mut bytes).unwrap();
    }
    bytes
}

/// Fails unless what was told is the ids, once.
fn check(case: &Case, mut messages: &[u8]) {
    let mut told = Vec::new();
    while !messages.is_empty() {
        let message =
            v1::RouteStatesResponse::decode_length_delimited(&mut messages).unwrap().message;
        if let Some(v1::route_states_response::Message::SetPart(part)) = message
            && let Some(Content::Users(users)) = part.content
        {
            told.extend(users.user_ids);
        }
    }
    assert_eq!(told, case.ids.user_ids);
}

/// Some users more, each of whom sees random users of the world.
fn cases(world: &World) -> (Current, Vec<Case>) {
    let mut random = Random(5);
    let signatures = worlds::signatures();
    // The others would not be seen.
    let is_open = |user: &usize| {
        let groups = &signatures[user % signatures.len()];
        !groups.contains(&(CLASSES_GROUPS - 1))
    };
    let mut ruleset = world.ruleset.clone();
    let mut cases = Vec::new();
    for recipient in 0..RECIPIENTS {
        let mut senders = std::collections::BTreeSet::new();
        while senders.len() < ENTRIES {
            senders.extend(Some(random.below(world.users.len())).filter(is_open));
        }
        let user_ids: Vec<String> =
            senders.into_iter().map(|user| world.users[user].clone()).collect();
        let user_id = format!("@wallboard{recipient}:example.org");
        let product = Product {
            senders: Set::Users(Ids::new(user_ids.iter().map(String::as_str)).unwrap()),
            recipients: Set::Users(Ids::new([user_id.as_str()]).unwrap()),
        };
        ruleset.rules.push(Rule {
            effect: Effect::Allow,
            shadow: false,
            products: vec![product],
            relation: None,
        });
        let query = InterestQuery { user_id, ..InterestQuery::default() };
        cases.push(Case { query, ids: UserList { user_ids }, numbers: Vec::new() });
    }
    let snapshot = world.engine.with_ruleset(&ruleset).unwrap().snapshot();
    for Case { ids, numbers, .. } in &mut cases {
        numbers.extend(ids.user_ids.iter().map(|id| snapshot.users().number(id).unwrap()));
    }
    (current_of(snapshot), cases)
}
