//! Routes a batch on a stream: from its users to the bytes of the answer, with
//! the same few allocations for ten states or ten thousand.
//!
//! In steps, so that sets can be sent as they are defined, and other streams
//! get their turn.

use presence_router_proto::wire::{Deliveries, Users};

use super::sets::{Definer, NOBODY, OverBudget, SentSets};
use crate::rpc::error::RpcError;
use crate::rpc::validate::Violations;
use presence_router_engine::Side;
use presence_router_engine::unstable::routing::snapshot::user_table::UserTable;
use presence_router_ids::UserId;

/// Where the work of a batch is done; kept for the next one.
#[derive(Debug, Default)]
pub(super) struct Batcher {
    /// For each state, what is known of its sender.
    senders: Vec<Sender>,
    /// For each answer of the batch: its place in the stream's answers, and how
    /// many states have it. In the order of first use.
    groups: Vec<Group>,
    /// For each state that is looked at in one go, where the answer of its sender
    /// was found last.
    known: Vec<Option<u32>>,
    /// For each state that was looked at, its place in `groups`.
    group_of_state: Vec<u32>,
    /// State indexes, in the order of their groups.
    indexes: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
enum Sender {
    /// Of this class of named users.
    Class(u32),
    /// A valid id that nobody names.
    Unnamed,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    answer: u32,
    /// How many states, and in the end where its indexes end.
    end: usize,
}

/// A group for states that nobody may see.
const NO_GROUP: u32 = u32::MAX - 1;

impl Batcher {
    /// Begins a batch: finds all senders, before anything is made of one.
    ///
    /// Fails if one user is not valid.
    pub(super) fn begin(&mut self, users: &Users, user_table: &UserTable) -> Result<(), RpcError> {
        self.senders.clear();
        self.groups.clear();
        self.group_of_state.clear();
        let mut violations = Violations::default();
        let mut refused = Ok(());
        let senders = &mut self.senders;
        user_table.classes_of(users.bytes(), |class| {
            // A named user's text needs no check.
            if class.is_none()
                && refused.is_ok()
                && let Err(error) = UserId::parse(users.get(senders.len()))
            {
                refused = violations.add_state(senders.len(), error);
            }
            senders.push(class.map_or(Sender::Unnamed, Sender::Class));
        });
        refused?;
        violations.into_result()
    }

    /// Looks at the next states, until there is a set to define or there are
    /// `most` of them, and puts those with one answer together. Says whether
    /// there are more.
    ///
    /// Fails if the client's budget has no room for the sets of the batch.
    pub(super) fn advance(
        &mut self,
        users: &Users,
        most: usize,
        sets: &mut SentSets,
        definer: &mut Definer<'_>,
    ) -> Result<bool, OverBudget> {
        let next = self.group_of_state.len();
        // First of all of them, so that the processor can wait for many at once.
        self.known.clear();
        self.known.extend(self.senders.iter().skip(next).take(most).map(|sender| match sender {
            Sender::Class(class) => sets.known(*class, Side::Sender),
            Sender::Unnamed => None,
        }));
        let states = (next..).zip(self.senders.iter().skip(next));
        for ((state, sender), known) in states.zip(&self.known) {
            // What was used in this batch holds; of all else it must be asked.
            let group = match known.and_then(|answer| sets.noted(answer)) {
                Some(group) => group,
                None => {
                    let answer = match (sender, known.filter(|answer| sets.uses(*answer))) {
                        (_, Some(answer)) => Ok(answer),
                        (Sender::Class(class), None) => {
                            sets.of_class(*class, Side::Sender, definer)
                        }
                        (Sender::Unnamed, None) => match UserId::parse(users.get(state)) {
                            Ok(user) => {
                                let Definer { snapshot, scope, .. } = *definer;
                                let signature =
                                    snapshot.signature(user, Side::Sender, scope.caller());
                                sets.of_signature(signature, definer)
                            }
                            // Not reached: `begin` has refused the batch.
                            Err(_) => {
                                self.group_of_state.push(NO_GROUP);
                                continue;
                            }
                        },
                    }?;
                    // Another user may have led to the same answer.
                    sets.noted(answer).unwrap_or_else(|| {
                        let group = if sets.answer(answer).0 == NOBODY {
                            NO_GROUP
                        } else {
                            self.groups.push(Group { answer, end: 0 });
                            u32::try_from(self.groups.len() - 1).unwrap_or(NO_GROUP)
                        };
                        sets.note(answer, group);
                        group
                    })
                }
            };
            let groups = &mut self.groups;
            if let Some(group) = usize::try_from(group).ok().and_then(|at| groups.get_mut(at)) {
                group.end += 1;
            }
            self.group_of_state.push(group);
            if !definer.out.is_empty() {
                break;
            }
        }
        Ok(self.group_of_state.len() < self.senders.len())
    }

    /// For each state the class of its sender; `None` if nobody names it.
    pub(super) fn classes(&self) -> impl Iterator<Item = Option<u32>> {
        self.senders.iter().map(|sender| match sender {
            Sender::Class(class) => Some(*class),
            Sender::Unnamed => None,
        })
    }

    /// Writes the deliveries of the states that were looked at.
    pub(super) fn finish(&mut self, mut deliveries: Deliveries, sets: &SentSets) -> Deliveries {
        // Counting sort: where each group begins, then every index to its place.
        let mut sum = 0;
        for group in &mut self.groups {
            let states = group.end;
            group.end = sum;
            sum += states;
        }
        self.indexes.clear();
        self.indexes.resize(sum, 0);
        for (index, group) in (0u32..).zip(&self.group_of_state) {
            let group = usize::try_from(*group).ok().and_then(|at| self.groups.get_mut(at));
            let Some(group) = group else { continue };
            if let Some(slot) = self.indexes.get_mut(group.end) {
                *slot = index;
            }
            group.end += 1;
        }
        deliveries.reserve(self.groups.len(), sum);
        let mut start = 0;
        for group in &self.groups {
            let indexes = self.indexes.get(start..group.end).unwrap_or_default();
            start = group.end;
            let (set_id, hides) = sets.answer(group.answer);
            deliveries.push(set_id, indexes, hides);
        }
        deliveries
    }
}
