//! Says on a stream who gained and who lost sight of whom.

use presence_router_proto::v1::{Changed, PairProduct, Reset};
use prost::Message;

use super::set_table::SetUpdate;
use super::sets::{Definer, SentSets};
use crate::live::Current;
use presence_router_engine::unstable::routing::query::relation::CallerView;
use presence_router_engine::{Caller, Difference, Pairs, TooMuch};

/// Most bytes of a `Changed` by itself, well below what clients take, and most
/// bytes of user ids in lists that come with it. With more, a client that starts
/// afresh is better off.
const MAX_BYTES: usize = 1024 * 1024;
const MAX_LISTED: u64 = 16 * 1024 * 1024;

/// What a client hears of a change.
#[derive(Debug, PartialEq)]
pub(super) enum Change {
    /// Edits, sets that are named in `Changed` only, and their ends.
    Changed { before: Vec<SetUpdate>, changed: Changed, after: Vec<SetUpdate> },
    /// It cannot be told what changed.
    Reset(Reset),
}

/// What a caller has been told, and at which revision.
#[derive(Debug)]
pub(super) struct StreamState {
    pub(super) scope: CallerView,
    pub(super) sets: SentSets,
}

// === impl StreamState ===

impl StreamState {
    /// Nothing is told yet. A budget of 0: no bound.
    pub(super) fn new(caller: Caller, budget: u64) -> Self {
        Self { scope: CallerView::new(caller), sets: SentSets::new(budget) }
    }

    /// Forgets what was told, as the client does on `Reset`. Necessary before
    /// another snapshot is used.
    pub(super) fn reset(&mut self, current: &Current) -> Reset {
        self.scope = CallerView::new(self.scope.caller().clone());
        self.sets.clear();
        Reset { revision: current.revision.to_string() }
    }

    /// Goes on from one revision to a later one.
    pub(super) fn follow(
        &mut self,
        old: &Current,
        new: &Current,
        difference: &Result<impl AsRef<Difference>, TooMuch>,
    ) -> Change {
        let scope = CallerView::new(self.scope.caller().clone());
        let before = std::mem::replace(&mut self.scope, scope);
        let change = difference
            .as_ref()
            .ok()
            .and_then(|difference| self.tell(old, &before, new, difference.as_ref()));
        change.unwrap_or_else(|| Change::Reset(self.reset(new)))
    }

    /// `None` if it is too much.
    fn tell(
        &mut self,
        old: &Current,
        before: &CallerView,
        new: &Current,
        difference: &Difference,
    ) -> Option<Change> {
        let Self { scope, sets } = self;
        let mut updates = Vec::new();
        let mut definer = Definer { snapshot: &new.snapshot, scope, out: &mut updates };
        sets.follow(&old.snapshot, before, &mut definer).ok()?;
        let mut passing = Vec::new();
        let mut listed = 0;
        let mut say = |all: &[Pairs]| -> Option<Vec<PairProduct>> {
            let products = all.iter().flat_map(|pairs| pairs.concerning(definer.snapshot, scope));
            let mut said = Vec::new();
            for [senders, recipients] in products {
                let mut set =
                    |members| sets.mention(members, &mut passing, &mut listed, &mut definer).ok();
                let (senders, recipients) = (Some(set(&senders)?), Some(set(&recipients)?));
                said.push(PairProduct { senders, recipients });
                if listed > MAX_LISTED {
                    return None;
                }
            }
            Some(said)
        };
        let (gained, lost) = (say(&difference.gained)?, say(&difference.lost)?);
        let changed = Changed { revision: new.revision.to_string(), gained, lost };
        if changed.encoded_len() > MAX_BYTES {
            return None;
        }
        let mut after = Vec::new();
        passing.into_iter().for_each(|sent| sets.retire(sent, &mut after));
        Some(Change::Changed { before: updates, changed, after })
    }
}
