//! Writes for a stream which pairs became visible and which invisible.

use presence_router_proto::v1::{Changed, PairProduct, Reset};
use prost::Message;

use super::set_table::SetUpdate;
use super::sets::{Definer, SentSets};
use crate::live::Current;
use presence_router_engine::unstable::routing::query::visibility::CallerView;
use presence_router_engine::{Caller, Difference, Pairs, TooMuch};

/// Most bytes of a `Changed` by itself, well below what clients take, and most
/// bytes of user ids in lists that come with it. With more, a client that starts
/// afresh is better off.
const MAX_BYTES: usize = 1024 * 1024;
const MAX_LISTED: u64 = 16 * 1024 * 1024;

/// What a client gets for a change.
#[derive(Debug, PartialEq)]
pub(super) enum Change {
    /// Edits, sets that are named in `Changed` only, and their ends.
    Changed { before: Vec<SetUpdate>, changed: Changed, after: Vec<SetUpdate> },
    /// The difference is unknown or too large: the client starts afresh.
    Reset(Reset),
}

/// What a stream remembers from one revision to the next.
#[derive(Debug)]
pub(super) struct StreamState {
    pub(super) view: CallerView,
    pub(super) sets: SentSets,
}

// === impl StreamState ===

impl StreamState {
    /// Nothing was sent yet. A budget of 0: no bound.
    pub(super) fn new(caller: Caller, budget: u64) -> Self {
        Self { view: CallerView::new(caller), sets: SentSets::new(budget) }
    }

    /// Forgets what was sent, as the client does on `Reset`. Necessary before
    /// another snapshot is used.
    pub(super) fn reset(&mut self, current: &Current) -> Reset {
        self.view = CallerView::new(self.view.caller().clone());
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
        let view = CallerView::new(self.view.caller().clone());
        let before = std::mem::replace(&mut self.view, view);
        let change = difference
            .as_ref()
            .ok()
            .and_then(|difference| self.write_change(old, &before, new, difference.as_ref()));
        change.unwrap_or_else(|| Change::Reset(self.reset(new)))
    }

    /// The change by sets. `None` if it is too large.
    fn write_change(
        &mut self,
        old: &Current,
        before: &CallerView,
        new: &Current,
        difference: &Difference,
    ) -> Option<Change> {
        let Self { view, sets } = self;
        let mut updates = Vec::new();
        let mut definer = Definer { snapshot: &new.snapshot, view, out: &mut updates };
        sets.follow(&old.snapshot, before, &mut definer).ok()?;
        let mut passing = Vec::new();
        let mut listed = 0;
        let mut write_pairs = |all: &[Pairs]| -> Option<Vec<PairProduct>> {
            let products = all.iter().flat_map(|pairs| pairs.concerning(definer.snapshot, view));
            let mut written = Vec::new();
            for [senders, recipients] in products {
                let mut set =
                    |members| sets.mention(members, &mut passing, &mut listed, &mut definer).ok();
                let (senders, recipients) = (Some(set(&senders)?), Some(set(&recipients)?));
                written.push(PairProduct { senders, recipients });
                if listed > MAX_LISTED {
                    return None;
                }
            }
            Some(written)
        };
        let (gained, lost) = (write_pairs(&difference.gained)?, write_pairs(&difference.lost)?);
        let changed = Changed { revision: new.revision.to_string(), gained, lost };
        if changed.encoded_len() > MAX_BYTES {
            return None;
        }
        let mut after = Vec::new();
        passing.into_iter().for_each(|sent| sets.retire(sent, &mut after));
        Some(Change::Changed { before: updates, changed, after })
    }
}
