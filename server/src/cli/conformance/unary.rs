//! Runs a scenario by unary calls.

use presence_router_proto::v1::{
    GetInterestedUsersRequest, GetInterestedUsersResponse, GetUsersForStatesRequest,
    GetUsersForStatesResponse,
};
use tonic::{Response, Status};

use super::batch::{
    PerState, add_to_state, batch_states, merge_by_user, merge_hides_by_user, named_states,
};
use super::caller::Caller;
use super::difference::{Difference, wait_for};
use super::expectation::Answers;
use super::hides::{HiddenFields, add_hidden_senders, find_hidden_fields};
use super::sets::DefinedSets;
use super::target_server::TargetServer;

/// Returns the server's answers to a caller about the users of a scenario.
pub(super) async fn ask_by_calls(
    server: &TargetServer,
    users: &[String],
    caller: &Caller,
) -> Result<Answers, Difference> {
    let mut client = server.client();
    let request = GetUsersForStatesRequest {
        server_names: caller.server_names.clone(),
        states: batch_states(users),
        at_least: String::new(),
        capabilities: caller.stated_capabilities().collect(),
    };
    let call = client.get_users_for_states(request);
    let answer = expect_answer("GetUsersForStates", wait_for("GetUsersForStates", call).await?)?;
    let at_least = answer.revision.clone();
    if at_least.is_empty() {
        return Err(Difference("an answer has no revision".into()));
    }
    let sets = DefinedSets::new(caller);
    let mut answers = read_audiences(users, &answer, &sets)?;
    for user in users {
        let request = GetInterestedUsersRequest {
            server_names: caller.server_names.clone(),
            user_id: user.clone(),
            at_least: at_least.clone(),
            capabilities: caller.stated_capabilities().collect(),
        };
        let call = client.get_interested_users(request);
        let answer =
            expect_answer("GetInterestedUsers", wait_for("GetInterestedUsers", call).await?)?;
        if answer.revision != at_least {
            return Err(Difference("the revision changed, but the policy did not".into()));
        }
        read_interest(users, user, answer, &sets, &mut answers)?;
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
    answer: &GetUsersForStatesResponse,
    sets: &DefinedSets,
) -> Result<Answers, Difference> {
    if !answer.recipients.is_sorted_by(|one, next| one.user_id < next.user_id) {
        return Err(Difference("recipients are not sorted, or one is repeated".into()));
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
        sets.check_expression(&set)?;
        if !open.destinations.is_sorted_by(|one, next| one < next) {
            return Err(Difference("destinations are not sorted, or one is repeated".into()));
        }
        for (state, sender) in named_states(users, &open.state_indexes)? {
            let is_in = |user: &&String| {
                *user != sender && sets.expression_contains(&set, user, sender) == Some(true)
            };
            add_to_state(&mut recipients, state, users.iter().filter(is_in));
            add_to_state(&mut destinations, state, &open.destinations);
        }
    }
    let audience_hides = read_hides(users, answer, &recipients, sets)?;
    Ok(Answers {
        audiences: merge_by_user(users, recipients)?,
        destinations: Some(merge_by_user(users, destinations)?),
        audience_hides,
        ..Answers::default()
    })
}

/// Returns the hidden fields of each sender.
fn read_hides(
    users: &[String],
    answer: &GetUsersForStatesResponse,
    recipients: &PerState,
    sets: &DefinedSets,
) -> Result<HiddenFields, Difference> {
    for hide in &answer.hides {
        named_states(users, &hide.state_indexes)?;
    }
    let states = (0u32..).zip(users.iter().chain(users)).zip(recipients);
    let hidden = states.map(|((state, sender), recipients)| {
        let hides = answer.hides.iter().filter(|hide| hide.state_indexes.contains(&state));
        let hides = hides.filter_map(|hide| hide.hide.as_ref());
        find_hidden_fields(hides, sets, sender, recipients)
    });
    merge_hides_by_user(users, hidden.collect::<Result<_, _>>()?)
}

fn read_interest(
    users: &[String],
    recipient: &String,
    answer: GetInterestedUsersResponse,
    sets: &DefinedSets,
    answers: &mut Answers,
) -> Result<(), Difference> {
    let GetInterestedUsersResponse { user_ids, open_senders, hides, .. } = answer;
    if !user_ids.is_sorted_by(|one, next| one < next) {
        return Err(Difference("senders are not sorted, or one is repeated".into()));
    }
    if user_ids.contains(recipient) {
        return Err(Difference(format!("{recipient} is listed as its own sender")));
    }
    let senders = answers.interests.entry(recipient.clone()).or_default();
    senders.extend(user_ids.into_iter().filter(|user| users.contains(user)));
    if let Some(set) = open_senders {
        sets.check_expression(&set)?;
        let is_in = |user: &&String| {
            *user != recipient && sets.expression_contains(&set, user, recipient) == Some(true)
        };
        senders.extend(users.iter().filter(is_in).cloned());
    }
    let hidden = find_hidden_fields(&hides, sets, recipient, senders)?;
    add_hidden_senders(&mut answers.interest_hides, recipient, hidden);
    Ok(())
}
