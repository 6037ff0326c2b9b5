//! Writes the changes of a stream: the pairs that became visible, and those that became
//! invisible.

use presence_router_proto::v1::{Changed, PairProduct, Reset};
use prost::Message;

use super::set_table::SetUpdate;
use super::sets::{Definer, SentSets};
use crate::live::Current;
use presence_router_engine::unstable::routing::query::visibility::CallerView;
use presence_router_engine::{Caller, Difference, Pairs, TooMuch};
use presence_router_ids::RoomCapabilities;

/// Most bytes of a `Changed` without its lists, well below the message limit of clients, and
/// most bytes of user ids in the lists that come with it. For a larger change, a `Reset` is
/// cheaper for the client.
const MAX_BYTES: usize = 1024 * 1024;
const MAX_LISTED: u64 = 16 * 1024 * 1024;

/// The messages that a client gets for a change.
#[derive(Debug, PartialEq)]
pub(super) enum Change {
    /// A `Changed`, preceded by edits and by sets that only `Changed` refers to, and followed
    /// by the ends of these sets.
    Changed { before: Vec<SetUpdate>, changed: Changed, after: Vec<SetUpdate> },
    /// The message for a difference that is unknown or too large: the client drops all sets
    /// and answers.
    Reset(Reset),
}

/// The memory that a stream carries from one revision to the next.
#[derive(Debug)]
pub(super) struct StreamState {
    pub(super) view: CallerView,
    pub(super) sets: SentSets,
    /// True if the client may still use answers of an earlier stream: it has resumed, and
    /// was not reset since.
    keeps_earlier_answers: bool,
}

// === impl StreamState ===

impl StreamState {
    /// Returns the state of a stream that has sent nothing. A budget of 0 means no limit.
    pub(super) fn new(caller: Caller, budget: u64) -> Self {
        let (view, sets) = (CallerView::new(caller), SentSets::new(budget));
        Self { view, sets, keeps_earlier_answers: false }
    }

    /// Returns what the stream's caller evaluates of `share_room`.
    pub(super) fn capabilities(&self) -> RoomCapabilities {
        self.view.caller().capabilities()
    }

    /// Notes that the client comes back from an earlier stream, and may use its answers.
    pub(super) fn keep_earlier_answers(&mut self) {
        self.keeps_earlier_answers = true;
    }

    /// Forgets all sets that were sent, as the client does on `Reset`. Necessary before the
    /// stream uses another snapshot without [`Self::follow_revision`].
    pub(super) fn reset_stream(&mut self, current: &Current) -> Reset {
        self.view = CallerView::new(self.view.caller().clone());
        self.sets.clear();
        self.keeps_earlier_answers = false;
        Reset { revision: current.revision.to_string() }
    }

    /// Moves from one revision to a later one, and returns the change.
    ///
    /// A change of hides is no change of visibility, so that `Changed` does not name the
    /// answers that it affects. The daemon retires a set of each answer of this stream; the
    /// sets of an earlier stream ended with it, so that only `Reset` ends those answers.
    pub(super) fn follow_revision(
        &mut self,
        old: &Current,
        new: &Current,
        difference: &Result<impl AsRef<Difference>, TooMuch>,
    ) -> Change {
        if self.keeps_earlier_answers && !new.snapshot.hides_as(&old.snapshot) {
            return Change::Reset(self.reset_stream(new));
        }
        let view = CallerView::new(self.view.caller().clone());
        let before = std::mem::replace(&mut self.view, view);
        let change = difference
            .as_ref()
            .ok()
            .and_then(|difference| self.write_change(old, &before, new, difference.as_ref()));
        change.unwrap_or_else(|| Change::Reset(self.reset_stream(new)))
    }

    /// Writes the change with sets. Returns `None` if the change is too large.
    fn write_change(
        &mut self,
        old: &Current,
        before: &CallerView,
        new: &Current,
        difference: &Difference,
    ) -> Option<Change> {
        let Self { view, sets, .. } = self;
        let mut updates = Vec::new();
        let mut definer = Definer { snapshot: &new.snapshot, view, out: &mut updates };
        sets.follow_snapshot(&old.snapshot, before, &mut definer).ok()?;
        let mut temporary = Vec::new();
        let mut listed = 0;
        let mut write_pairs = |all: &[Pairs]| -> Option<Vec<PairProduct>> {
            let products = all.iter().flat_map(|pairs| pairs.concerning(definer.snapshot, view));
            let mut written = Vec::new();
            for [senders, recipients] in products {
                let mut set = |members| {
                    sets.write_temporary_set(members, &mut temporary, &mut listed, &mut definer)
                        .ok()
                };
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
        temporary.into_iter().for_each(|sent| sets.retire_with_lists(sent, &mut after));
        Some(Change::Changed { before: updates, changed, after })
    }
}
