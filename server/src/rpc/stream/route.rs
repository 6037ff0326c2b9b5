//! Answers the requests of a stream from the sets that the stream has sent. It does not know
//! the transport.

use presence_router_proto::v1::{Hide, InterestAnswer, InterestQuery};
use presence_router_proto::wire::{Deliveries, StateBatch};
use prost::Message;

use super::batch::Batcher;
use super::changes::{Change, StreamState};
use super::set_table::{SetId, SetUpdate};
use super::sets::Definer;
use super::shadow_effects::ShadowEffects;
use crate::live::Current;
use crate::rpc::error::RpcError;
use crate::rpc::validate;
use presence_router_engine::{Caller, Difference, Side, TooMuch};

/// States routed, or answers touched, in one step, before other streams get their turn.
pub(super) const STEP: usize = 1000;

/// Answers one caller's requests on one stream, in their order.
#[derive(Debug)]
pub struct Route {
    state: StreamState,
    /// Most bytes of sets that the client keeps; 0 means no limit.
    budget: u64,
    batcher: Batcher,
    shadows: ShadowEffects,
}

// === impl Route ===

impl Route {
    /// Returns the route of a stream that has sent nothing.
    pub fn new(caller: Caller, budget: u64) -> Self {
        Self {
            state: StreamState::new(caller, budget),
            budget,
            batcher: Batcher::default(),
            shadows: ShadowEffects::default(),
        }
    }

    /// The caller that the stream answers.
    pub(super) fn caller(&self) -> &Caller {
        self.state.view.caller()
    }

    /// The memory of the stream.
    pub(super) fn stream_state(&mut self) -> &mut StreamState {
        &mut self.state
    }

    /// Moves from one revision to a later one, and returns the change.
    pub(super) fn follow_revision(
        &mut self,
        old: &Current,
        new: &Current,
        difference: &Result<impl AsRef<Difference>, TooMuch>,
    ) -> Change {
        self.shadows = ShadowEffects::default();
        self.state.follow_revision(old, new, difference)
    }

    /// Begins a request that says which answers the client still uses.
    pub(super) fn begin_touch(&mut self) {
        self.state.sets.begin_request();
    }

    /// Marks the answers that refer to sets as used, by the ids in the contract's messages.
    pub(super) fn touch_answers(&mut self, set_ids: &[u64]) {
        set_ids.iter().for_each(|id| self.state.sets.touch_answer(*id));
    }

    /// The number of answers remembered for unlisted users, with which a caller could fill the
    /// memory.
    pub fn unlisted_answers(&self) -> usize {
        self.state.sets.unlisted_answers()
    }

    /// Begins a batch.
    ///
    /// # Errors
    ///
    /// The batch is over the limit, or a user id or the revision is invalid. None of its states
    /// is routed then.
    pub fn begin_batch(
        &mut self,
        current: &Current,
        batch: &StateBatch,
        limit: usize,
    ) -> Result<(), RpcError> {
        validate::check_revision("at_least", &batch.at_least, current.revision)?;
        validate::check_batch_size(batch.users.len(), limit)?;
        self.state.sets.begin_request();
        self.batcher.begin_batch(&batch.users, current.snapshot.users())
    }

    /// Routes the next states of a batch. Adds the set updates that must precede the answer to
    /// `updates`, which must be empty, and returns true if the caller must call again.
    ///
    /// # Errors
    ///
    /// The client's budget has no room for the sets of the batch.
    pub fn advance_batch(
        &mut self,
        current: &Current,
        batch: &StateBatch,
        updates: &mut Vec<SetUpdate>,
    ) -> Result<bool, RpcError> {
        let Self { state: StreamState { view, sets, .. }, batcher, budget, .. } = self;
        let mut definer = Definer { snapshot: &current.snapshot, view, out: updates };
        let more = batcher.group_next_states(&batch.users, STEP, sets, &mut definer);
        let instead = "send smaller batches, or raise the budget";
        more.map_err(|_| RpcError::SetOverBudget { budget: *budget, instead })
    }

    /// The recipients of each state of a batch, once [`Self::advance_batch`] is done with it.
    pub fn finish_batch(&mut self, current: &Current, batch: &StateBatch) -> Deliveries {
        if current.snapshot.has_shadows() {
            self.shadows.count(current, &self.state.view, &self.batcher, &batch.users);
        }
        let deliveries = Deliveries::new(batch.batch_id, &current.revision.to_string());
        self.batcher.write_deliveries(deliveries, &self.state.sets)
    }

    /// Returns the senders whose presence a user may see. Adds the set updates that must
    /// precede the answer to `updates`.
    ///
    /// # Errors
    ///
    /// The user id or the revision is invalid, or the client's budget has no room for the set.
    pub fn answer_interest(
        &mut self,
        current: &Current,
        query: &InterestQuery,
        updates: &mut Vec<SetUpdate>,
    ) -> Result<InterestAnswer, RpcError> {
        let InterestQuery { query_id, at_least, user_id } = query;
        validate::check_revision("at_least", at_least, current.revision)?;
        let Self { state: StreamState { view, sets, .. }, budget, .. } = self;
        let snapshot = &current.snapshot;
        sets.begin_request();
        let mut definer = Definer { snapshot, view, out: updates };
        let answer = match snapshot.users().class_of(user_id) {
            Some(class) => sets.answer_for_class(class, Side::Recipient, &mut definer),
            None => {
                let recipient = validate::parse_recipient(user_id)?;
                let signature = snapshot.signature(recipient, Side::Recipient, view.caller());
                sets.answer_for_signature(signature, &mut definer)
            }
        };
        let instead = "raise the budget, or ask by `GetInterestedUsers`";
        let answer = answer.map_err(|_| RpcError::SetOverBudget { budget: *budget, instead })?;
        let (set_id, hides) = sets.set_and_hides(answer);
        let hides = hides.iter().map(|hide| Hide::decode(hide.as_slice()));
        Ok(InterestAnswer {
            query_id: *query_id,
            revision: current.revision.to_string(),
            senders_set_id: SetId::or_nobody(set_id),
            hides: hides.collect::<Result<_, _>>().map_err(RpcError::internal)?,
        })
    }
}
