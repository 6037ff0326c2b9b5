//! Routes a batch on a stream, from its users to the bytes of the answer, with the same few
//! allocations for ten states or ten thousand.
//!
//! It works in steps, so that the stream can send each set as soon as it is defined, and other
//! streams get their turn.

use presence_router_proto::wire::{Deliveries, Users};

use super::index::Index;
use super::set_table::SetId;
use super::sets::{Answer, BatchGroup, Definer, OverBudget, SentSets};
use crate::rpc::error::RpcError;
use crate::rpc::validate::Violations;
use presence_router_engine::Side;
use presence_router_engine::unstable::routing::snapshot::keys::ClassId;
use presence_router_engine::unstable::routing::snapshot::user_table::UserTable;
use presence_router_ids::UserId;

/// The working memory of a batch, reused for the next one.
#[derive(Debug, Default)]
pub(super) struct Batcher {
    /// The sender of each state.
    senders: Vec<Sender>,
    /// The groups of states with one answer, in the order of first use. The first group is
    /// for states that nobody may see.
    groups: Vec<Group>,
    /// The last answer of the sender, for each state of the current step.
    known: Vec<Option<Index<Answer>>>,
    /// The group of each state that was grouped so far.
    group_of_state: Vec<Index<BatchGroup>>,
    /// State indexes, in the order of their groups.
    indexes: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
enum Sender {
    /// A listed user of this class.
    Class(ClassId),
    /// A valid id that is not listed.
    Unlisted,
}

#[derive(Clone, Copy, Debug, Default)]
struct Group {
    /// `None` for the states that nobody may see.
    answer: Option<Index<Answer>>,
    /// The number of states; `write_deliveries` turns it into the end of the group's indexes.
    end: usize,
}

/// The group of the states that nobody may see.
const NOBODY: Index<BatchGroup> = Index::FIRST;

// === impl Batcher ===

impl Batcher {
    /// Begins a batch: finds all senders before it routes a state, so that no state of
    /// an invalid batch is routed.
    ///
    /// Fails if a user id is invalid.
    pub(super) fn begin_batch(
        &mut self,
        users: &Users,
        user_table: &UserTable,
    ) -> Result<(), RpcError> {
        self.senders.clear();
        self.groups.clear();
        self.groups.push(Group::default());
        self.group_of_state.clear();
        let mut violations = Violations::default();
        let mut refused = Ok(());
        let senders = &mut self.senders;
        user_table.classes_of(users.bytes(), |class| {
            // The id of a listed user is valid.
            if class.is_none()
                && refused.is_ok()
                && let Err(error) = UserId::parse(users.get(senders.len()))
            {
                refused = violations.add_state(senders.len(), error);
            }
            senders.push(class.map_or(Sender::Unlisted, Sender::Class));
        });
        refused?;
        violations.into_result()
    }

    /// Groups the next states by their answer. Stops after the first state that defines a set,
    /// or after `most` states, and returns true if states are left.
    ///
    /// Fails if the client's budget has no room for the sets of the batch.
    pub(super) fn group_next_states(
        &mut self,
        users: &Users,
        most: usize,
        sets: &mut SentSets,
        definer: &mut Definer<'_>,
    ) -> Result<bool, OverBudget> {
        let first = self.group_of_state.len();
        // Look up all of them first, so that the processor can wait for many reads at once.
        self.known.clear();
        self.known.extend(self.senders.iter().skip(first).take(most).map(|sender| match sender {
            Sender::Class(class) => sets.last_of_class(*class, Side::Sender),
            Sender::Unlisted => None,
        }));
        let states = (first..).zip(self.senders.iter().skip(first));
        for ((state, sender), known) in states.zip(&self.known) {
            // An answer that this batch has used is valid; others may be void.
            let group = match known.and_then(|answer| sets.group_of_answer(answer)) {
                Some(group) => group,
                None => match known.filter(|answer| sets.mark_used(*answer)) {
                    Some(answer) => group_of(answer, &mut self.groups, sets),
                    None => match find_answer(*sender, (users, state), sets, definer)? {
                        Some(answer) => group_of(answer, &mut self.groups, sets),
                        None => NOBODY,
                    },
                },
            };
            if let Some(group) = self.groups.get_mut(group.get()) {
                group.end += 1;
            }
            self.group_of_state.push(group);
            if !definer.out.is_empty() {
                break;
            }
        }
        Ok(self.group_of_state.len() < self.senders.len())
    }

    /// The class of each state's sender, or `None` for an unlisted sender.
    pub(super) fn sender_classes(&self) -> impl Iterator<Item = Option<ClassId>> {
        self.senders.iter().map(|sender| match sender {
            Sender::Class(class) => Some(*class),
            Sender::Unlisted => None,
        })
    }

    /// Writes the deliveries of the states that were grouped.
    pub(super) fn write_deliveries(
        &mut self,
        mut deliveries: Deliveries,
        sets: &SentSets,
    ) -> Deliveries {
        // Counting sort: find the beginning of each group, then put every index in its place.
        let mut sum = 0;
        for group in &mut self.groups {
            let states = group.end;
            group.end = sum;
            sum += states;
        }
        self.indexes.clear();
        self.indexes.resize(sum, 0);
        for (index, group) in (0u32..).zip(&self.group_of_state) {
            let Some(group) = self.groups.get_mut(group.get()) else { continue };
            if let Some(slot) = self.indexes.get_mut(group.end) {
                *slot = index;
            }
            group.end += 1;
        }
        let unseen = self.groups.first().map_or(0, |nobody| nobody.end);
        deliveries.reserve(self.groups.len().saturating_sub(1), sum - unseen);
        let mut start = 0;
        for Group { answer, end } in &self.groups {
            let indexes = self.indexes.get(start..*end).unwrap_or_default();
            start = *end;
            if let Some(answer) = answer {
                let (set_id, hides) = sets.set_and_hides(*answer);
                deliveries.push(SetId::or_nobody(set_id), indexes, hides);
            }
        }
        deliveries
    }
}

/// The answer for a sender that has none yet, or a void one. `None` is not reached:
/// `begin_batch` has rejected invalid ids.
fn find_answer(
    sender: Sender,
    (users, state): (&Users, usize),
    sets: &mut SentSets,
    definer: &mut Definer<'_>,
) -> Result<Option<Index<Answer>>, OverBudget> {
    match sender {
        Sender::Class(class) => sets.answer_for_class(class, Side::Sender, definer).map(Some),
        Sender::Unlisted => {
            let Ok(user) = UserId::parse(users.get(state)) else { return Ok(None) };
            let Definer { snapshot, view, .. } = *definer;
            let signature = snapshot.signature(user, Side::Sender, view.caller());
            sets.answer_for_signature(signature, definer).map(Some)
        }
    }
}

/// The group of an answer. Adds a group at the first use of the answer in the batch.
fn group_of(
    answer: Index<Answer>,
    groups: &mut Vec<Group>,
    sets: &mut SentSets,
) -> Index<BatchGroup> {
    // Another user of the batch may have the same answer.
    if let Some(group) = sets.group_of_answer(answer) {
        return group;
    }
    let (set_id, _) = sets.set_and_hides(answer);
    let group = match set_id {
        None => NOBODY,
        Some(_) => {
            groups.push(Group { answer: Some(answer), end: 0 });
            Index::new(groups.len() - 1)
        }
    };
    sets.set_group(answer, group);
    group
}
