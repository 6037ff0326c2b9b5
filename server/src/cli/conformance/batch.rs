//! The batch that is asked about: each user of a scenario, twice.

use std::collections::BTreeSet;

use presence_router_proto::v1::PresenceState;

use super::difference::Difference;
use super::expectation::UserLists;

/// What is said of each state of a batch: users, or servers.
pub(super) type PerState = Vec<BTreeSet<String>>;

/// A state for each user, and then the same once more: an update that comes
/// again is routed again.
pub(super) fn batch_states(users: &[String]) -> Vec<PresenceState> {
    let state = |user: &String| PresenceState { user_id: user.clone(), ..PresenceState::default() };
    users.iter().chain(users).map(state).collect()
}

/// The states of a batch that an answer names, each with its sender.
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

/// Adds what is said of a state.
pub(super) fn add_to_state<'a>(
    states: &mut PerState,
    state: usize,
    found: impl IntoIterator<Item = &'a String>,
) {
    if let Some(all) = states.get_mut(state) {
        all.extend(found.into_iter().cloned());
    }
}

/// What is said of each user: the same of both of its states.
pub(super) fn merge_by_user(users: &[String], states: PerState) -> Result<UserLists, Difference> {
    let mut lists = UserLists::new();
    for (state, (user, found)) in users.iter().chain(users).zip(states).enumerate() {
        if state < users.len() {
            lists.insert(user.clone(), found);
        } else if lists.get(user) != Some(&found) {
            return Err(Difference(format!("two states of {user} in one batch go different ways")));
        }
    }
    Ok(lists)
}
