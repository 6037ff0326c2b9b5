//! What a stream answers, and what it remembers to do so. Knows no transport.

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

/// States that are looked at before others get their turn.
const STEP: usize = 1000;

/// Answers one caller's requests on one stream, in their order.
#[derive(Debug)]
pub struct Route {
    state: StreamState,
    /// Most bytes of sets that the client keeps; 0: no bound.
    budget: u64,
    batcher: Batcher,
    shadows: ShadowEffects,
}

// === impl Route ===

impl Route {
    /// Nothing was sent yet.
    pub fn new(caller: Caller, budget: u64) -> Self {
        Self {
            state: StreamState::new(caller, budget),
            budget,
            batcher: Batcher::default(),
            shadows: ShadowEffects::default(),
        }
    }

    /// What the stream remembers.
    pub(super) fn state(&mut self) -> &mut StreamState {
        &mut self.state
    }

    /// Goes on from one revision to a later one.
    pub(super) fn follow(
        &mut self,
        old: &Current,
        new: &Current,
        difference: &Result<impl AsRef<Difference>, TooMuch>,
    ) -> Change {
        self.shadows = ShadowEffects::default();
        self.state.follow(old, new, difference)
    }

    /// How many answers are remembered for unlisted users: what a caller could fill the
    /// memory with.
    pub fn unlisted_answers(&self) -> usize {
        self.state.sets.unlisted_answers()
    }

    /// Begins a batch.
    ///
    /// # Errors
    ///
    /// The batch is over the limit, or a user or the revision is not valid.
    /// Nothing of it is routed then.
    pub fn begin(
        &mut self,
        current: &Current,
        batch: &StateBatch,
        limit: usize,
    ) -> Result<(), RpcError> {
        validate::check_revision("at_least", &batch.at_least, current.revision)?;
        validate::check_batch_size(batch.users.len(), limit)?;
        self.state.sets.begin_request();
        self.batcher.begin(&batch.users, current.snapshot.users())
    }

    /// Goes on with a batch. Adds what must be sent of sets before its answer to
    /// `updates`, which must be empty, and says whether to call again.
    ///
    /// # Errors
    ///
    /// The client's budget has no room for the sets of the batch.
    pub fn advance(
        &mut self,
        current: &Current,
        batch: &StateBatch,
        updates: &mut Vec<SetUpdate>,
    ) -> Result<bool, RpcError> {
        let Self { state: StreamState { view, sets }, batcher, budget, .. } = self;
        let mut definer = Definer { snapshot: &current.snapshot, view, out: updates };
        let more = batcher.advance(&batch.users, STEP, sets, &mut definer);
        let instead = "send smaller batches, or raise the budget";
        more.map_err(|_| RpcError::SetOverBudget { budget: *budget, instead })
    }

    /// The recipients of each state of a batch, once [`Self::advance`] is done with it.
    pub fn finish(&mut self, current: &Current, batch: &StateBatch) -> Deliveries {
        if current.snapshot.has_shadows() {
            self.shadows.count(current, &self.state.view, &self.batcher, &batch.users);
        }
        let deliveries = Deliveries::new(batch.batch_id, &current.revision.to_string());
        self.batcher.finish(deliveries, &self.state.sets)
    }

    /// The senders whose presence a user may see. What must be sent of sets before is added
    /// to `updates`.
    ///
    /// # Errors
    ///
    /// The user or the revision is not valid, or the client's budget has no room
    /// for the set.
    pub fn interest(
        &mut self,
        current: &Current,
        query: &InterestQuery,
        updates: &mut Vec<SetUpdate>,
    ) -> Result<InterestAnswer, RpcError> {
        let InterestQuery { query_id, at_least, user_id } = query;
        validate::check_revision("at_least", at_least, current.revision)?;
        let Self { state: StreamState { view, sets }, budget, .. } = self;
        let snapshot = &current.snapshot;
        sets.begin_request();
        let mut definer = Definer { snapshot, view, out: updates };
        let answer = match snapshot.users().class_of(user_id) {
            Some(class) => sets.of_class(class, Side::Recipient, &mut definer),
            None => {
                let recipient = validate::recipient(user_id)?;
                let signature = snapshot.signature(recipient, Side::Recipient, view.caller());
                sets.of_signature(signature, &mut definer)
            }
        };
        let instead = "raise the budget, or ask by `GetInterestedUsers`";
        let answer = answer.map_err(|_| RpcError::SetOverBudget { budget: *budget, instead })?;
        let (set_id, hides) = sets.answer(answer);
        let hides = hides.iter().map(|hide| Hide::decode(hide.as_slice()));
        Ok(InterestAnswer {
            query_id: *query_id,
            revision: current.revision.to_string(),
            senders_set_id: SetId::or_nobody(set_id),
            hides: hides.collect::<Result<_, _>>().map_err(RpcError::internal)?,
        })
    }
}
