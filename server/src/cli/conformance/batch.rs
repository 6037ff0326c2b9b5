//! The batch of states in the requests: each user of a scenario, twice.

use std::collections::BTreeSet;

use presence_router_proto::v1::PresenceState;

use super::difference::Difference;
use super::expectation::UserLists;
use super::hides::{FieldsByUser, HiddenFields};

/// The answer for each state of a batch: its users, or its servers.
pub(super) type PerState = Vec<BTreeSet<String>>;

/// A state for each user, and then all of them once more: the server must route a repeated
/// update again.
pub(super) fn batch_states(users: &[String]) -> Vec<PresenceState> {
    let state = |user: &String| PresenceState { user_id: user.clone(), ..PresenceState::default() };
    users.iter().chain(users).map(state).collect()
}

/// The states of a batch with these indexes, each with its sender.
pub(super) fn named_states<'a>(
    users: &'a [String],
    indexes: &[u32],
) -> Result<Vec<(usize, &'a String)>, Difference> {
    if indexes.is_empty() || !indexes.is_sorted_by(|one, next| one < next) {
        return Err(Difference(format!("state indexes are not ascending: {indexes:?}")));
    }
    let state = |index: &u32| {
        let index = usize::try_from(*index).ok()?;
        Some((index, users.iter().chain(users).nth(index)?))
    };
    let states = indexes.iter().map(|index| {
        state(index).ok_or_else(|| Difference(format!("there is no state {index} in the batch")))
    });
    states.collect()
}

/// Adds users or servers to the answer for a state.
pub(super) fn add_to_state<'a>(
    states: &mut PerState,
    state: usize,
    found: impl IntoIterator<Item = &'a String>,
) {
    if let Some(all) = states.get_mut(state) {
        all.extend(found.into_iter().cloned());
    }
}

/// The answer for each user, which must be equal for both states of the user.
pub(super) fn merge_by_user(users: &[String], states: PerState) -> Result<UserLists, Difference> {
    let mut lists = UserLists::new();
    for (state, (user, found)) in users.iter().chain(users).zip(states).enumerate() {
        if state < users.len() {
            lists.insert(user.clone(), found);
        } else if lists.get(user) != Some(&found) {
            return Err(Difference(format!(
                "two states of {user} in one batch have different answers"
            )));
        }
    }
    Ok(lists)
}

/// The hidden fields of each sender, which must be equal for both states of the sender.
pub(super) fn merge_hides_by_user(
    users: &[String],
    states: Vec<FieldsByUser>,
) -> Result<HiddenFields, Difference> {
    let mut hidden = HiddenFields::new();
    for (state, (user, found)) in users.iter().chain(users).zip(states).enumerate() {
        if state < users.len() {
            hidden.insert(user.clone(), found);
        } else if hidden.get(user) != Some(&found) {
            return Err(Difference(format!(
                "two states of {user} in one batch have different hides"
            )));
        }
    }
    Ok(hidden)
}
