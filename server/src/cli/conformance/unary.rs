//! Runs a scenario by unary calls.

use presence_router_proto::v1::{
    GetInterestedUsersRequest, GetInterestedUsersResponse, GetUsersForStatesRequest,
    GetUsersForStatesResponse,
};
use tonic::{Response, Status};

use super::batch::{PerState, add_to_state, batch_states, merge_by_user, named_states};
use super::difference::{Difference, wait_for};
use super::expectation::{Answers, Expectation, UserLists};
use super::scenario::Scenario;
use super::sets::DefinedSets;
use super::target_server::TargetServer;

/// Returns the server's answers to a caller about the users of a scenario.
pub(super) async fn ask_by_calls(
    server: &TargetServer,
    Scenario { users, .. }: &Scenario,
    Expectation { server_names, .. }: &Expectation,
) -> Result<Answers, Difference> {
    let mut client = server.client();
    let request = GetUsersForStatesRequest {
        server_names: server_names.clone(),
        states: batch_states(users),
        at_least: String::new(),
        capabilities: Vec::new(),
    };
    let call = client.get_users_for_states(request);
    let answer = expect_answer("GetUsersForStates", wait_for("GetUsersForStates", call).await?)?;
    let at_least = answer.revision.clone();
    if at_least.is_empty() {
        return Err(Difference("an answer has no revision".into()));
    }
    let mut answers = read_audiences(users, answer)?;
    for user in users {
        let request = GetInterestedUsersRequest {
            server_names: server_names.clone(),
            user_id: user.clone(),
            at_least: at_least.clone(),
            capabilities: Vec::new(),
        };
        let call = client.get_interested_users(request);
        let answer =
            expect_answer("GetInterestedUsers", wait_for("GetInterestedUsers", call).await?)?;
        if answer.revision != at_least {
            return Err(Difference("the revision changed, but the policy did not".into()));
        }
        read_interest(users, user, answer, &mut answers.interests)?;
    }
    Ok(answers)
}

fn expect_answer<T>(call: &str, answer: Result<Response<T>, Status>) -> Result<T, Difference> {
    match answer {
        Ok(answer) => Ok(answer.into_inner()),
        Err(status) => {
            Err(Difference(format!("{call} failed with {:?}: {}", status.code(), status.message())))
        }
    }
}

fn read_audiences(
    users: &[String],
    answer: GetUsersForStatesResponse,
) -> Result<Answers, Difference> {
    if !answer.recipients.is_sorted_by(|one, next| one.user_id < next.user_id) {
        return Err(Difference("recipients are not sorted, or one is repeated".into()));
    }
    if !answer.hides.is_empty() {
        return Err(Difference("the answer hides a field that the policy does not hide".into()));
    }
    let mut recipients: PerState = vec![Default::default(); 2 * users.len()];
    let mut destinations = recipients.clone();
    for entry in &answer.recipients {
        for (state, sender) in named_states(users, &entry.state_indexes)? {
            if entry.user_id == *sender {
                return Err(Difference(format!("{sender} is listed as its own recipient")));
            }
            add_to_state(
                &mut recipients,
                state,
                users.iter().filter(|user| **user == entry.user_id),
            );
        }
    }
    for open in &answer.open_recipients {
        let set = open.recipients.clone().unwrap_or_default();
        DefinedSets::default().check_expression(&set)?;
        if !open.destinations.is_sorted_by(|one, next| one < next) {
            return Err(Difference("destinations are not sorted, or one is repeated".into()));
        }
        for (state, sender) in named_states(users, &open.state_indexes)? {
            let is_in = |user: &&String| {
                *user != sender && DefinedSets::default().expression_contains(&set, user)
            };
            add_to_state(&mut recipients, state, users.iter().filter(is_in));
            add_to_state(&mut destinations, state, &open.destinations);
        }
    }
    Ok(Answers {
        audiences: merge_by_user(users, recipients)?,
        destinations: Some(merge_by_user(users, destinations)?),
        interests: UserLists::new(),
    })
}

fn read_interest(
    users: &[String],
    recipient: &String,
    answer: GetInterestedUsersResponse,
    interests: &mut UserLists,
) -> Result<(), Difference> {
    let GetInterestedUsersResponse { user_ids, open_senders, hides, .. } = answer;
    if !user_ids.is_sorted_by(|one, next| one < next) {
        return Err(Difference("senders are not sorted, or one is repeated".into()));
    }
    if user_ids.contains(recipient) {
        return Err(Difference(format!("{recipient} is listed as its own sender")));
    }
    if !hides.is_empty() {
        return Err(Difference("the answer hides a field that the policy does not hide".into()));
    }
    let senders = interests.entry(recipient.clone()).or_default();
    senders.extend(user_ids.into_iter().filter(|user| users.contains(user)));
    if let Some(set) = open_senders {
        DefinedSets::default().check_expression(&set)?;
        let is_in = |user: &&String| {
            *user != recipient && DefinedSets::default().expression_contains(&set, user)
        };
        senders.extend(users.iter().filter(is_in).cloned());
    }
    Ok(())
}
