//! What a stream answers, and what it remembers to do so. Knows no transport.

use presence_router_proto::v1::{Hide, InterestAnswer, InterestQuery, SetPart};
use presence_router_proto::wire::{Deliveries, StateBatch};
use prost::Message;

use super::batch::Batcher;
use super::sets::{Definer, Sets};
use crate::live::Current;
use crate::routing::caller::Caller;
use crate::routing::relation::{Scope, Side};
use crate::rpc::fault::Fault;
use crate::rpc::request;

/// States that are looked at before others get their turn.
const STEP: usize = 1000;

/// Answers one caller's requests on one stream, in their order.
#[derive(Debug)]
pub struct Route {
    scope: Scope,
    sets: Sets,
    batcher: Batcher,
}

// === impl Route ===

impl Route {
    /// Nothing is told yet.
    pub fn new(caller: Caller) -> Self {
        Self { scope: Scope::new(caller), sets: Sets::default(), batcher: Batcher::default() }
    }

    /// Forgets what was told, as the client does on `Reset`. Necessary before
    /// another snapshot is used.
    pub fn reset(&mut self) {
        self.scope = Scope::new(self.scope.caller().clone());
        self.sets.clear();
    }

    /// How many answers are remembered for users whom nobody names: what a
    /// caller could fill the memory with.
    pub fn unnamed(&self) -> usize {
        self.sets.unnamed()
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
    ) -> Result<(), Fault> {
        request::reached("at_least", &batch.at_least, current.revision)?;
        request::batch_size(batch.users.len(), limit)?;
        self.batcher.begin(&batch.users, current.snapshot.people())
    }

    /// Goes on with a batch. Adds the next sets that must be told before its
    /// answer to `defined`, which must be empty, and says whether to call again.
    pub fn advance(
        &mut self,
        current: &Current,
        batch: &StateBatch,
        defined: &mut Vec<SetPart>,
    ) -> bool {
        let Self { scope, sets, batcher } = self;
        let mut definer = Definer { snapshot: &current.snapshot, scope, out: defined };
        batcher.advance(&batch.users, STEP, sets, &mut definer)
    }

    /// Who must receive each state of a batch that was gone through.
    pub fn finish(&mut self, current: &Current, batch: &StateBatch) -> Deliveries {
        let deliveries = Deliveries::new(batch.batch_id, &current.revision.to_string());
        self.batcher.finish(deliveries, &self.sets)
    }

    /// Whose presence a user may see. Sets that must be defined before are added
    /// to `defined`.
    ///
    /// # Errors
    ///
    /// The user or the revision is not valid.
    pub fn interest(
        &mut self,
        current: &Current,
        query: &InterestQuery,
        defined: &mut Vec<SetPart>,
    ) -> Result<InterestAnswer, Fault> {
        let InterestQuery { query_id, at_least, user_id } = query;
        request::reached("at_least", at_least, current.revision)?;
        let Self { scope, sets, .. } = self;
        let snapshot = &current.snapshot;
        let mut definer = Definer { snapshot, scope, out: defined };
        let place = match snapshot.people().class_of(user_id) {
            Some(class) => sets.of_class(class, Side::Recipient, &mut definer),
            None => {
                let recipient = request::recipient(user_id)?;
                let signature = snapshot.signature(recipient, Side::Recipient, scope.caller());
                sets.of_signature(signature, &mut definer)
            }
        };
        let answer = sets.answer(place).ok_or(Fault::Internal)?;
        let hides = answer.hides.iter().map(|hide| Hide::decode(hide.as_slice()));
        Ok(InterestAnswer {
            query_id: *query_id,
            revision: current.revision.to_string(),
            senders_set_id: answer.set_id,
            hides: hides.collect::<Result<_, _>>().map_err(|_| Fault::Internal)?,
        })
    }
}
