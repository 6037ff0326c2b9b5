//! Takes a stream's sets from one snapshot to the next: lists are edited, what
//! cannot be edited is retired, and all else stays as it was told.
//!
//! A client goes on using an answer that `Changed` does not name. So whatever
//! is not retired must be, from here on, what an answer made anew would refer
//! to; being equal today is not enough, since the next edit may change the one
//! and not the other.
//!
//! Under another ruleset all answers end, and with them that worry: a list whose
//! users are those of a set of the new ruleset is as good as one sent anew.

use std::collections::HashSet;

use roaring::RoaringBitmap;

use super::{Answer, Definer, OverBudget, SentSet, SentSets};
use crate::rpc::convert;
use crate::rpc::stream::set_table::weight;
use presence_router_engine::unstable::routing::change::membership_delta::MembershipDelta;
use presence_router_engine::unstable::routing::query::relation::{CallerView, Part};
use presence_router_engine::unstable::routing::snapshot::members::Open;
use presence_router_engine::{Side, Snapshot};

/// Who came into a list and who left it.
struct Edit {
    list: u64,
    added: RoaringBitmap,
    removed: RoaringBitmap,
}

// === impl SentSets ===

impl SentSets {
    /// Goes on from an earlier snapshot to that of the definer. Fails if what
    /// stays has grown over the client's budget.
    pub(in crate::rpc::stream) fn follow(
        &mut self,
        old: &Snapshot,
        scope: &CallerView,
        definer: &mut Definer<'_>,
    ) -> Result<(), OverBudget> {
        self.begin();
        match definer.snapshot.membership_delta_since(old) {
            Some(delta) if delta.is_empty() => {}
            Some(delta) => self.edit(&delta, (old, scope), definer)?,
            None => self.replan(old, definer),
        }
        Ok(())
    }

    /// Goes on under another ruleset. What anybody may see is another question now,
    /// so all answers end; but most of what they are made of stays, lists of
    /// users above all.
    fn replan(&mut self, old: &Snapshot, definer: &mut Definer<'_>) {
        let table = &self.table;
        // Parts that no answer is made of go, or they would stay for ever.
        let (used, unused) = std::mem::take(&mut self.parts)
            .into_iter()
            .partition::<Vec<_>, _>(|(_, sent)| table.is_referred(sent.id));
        for place in 0..self.answers.len() {
            self.end(place, definer.out);
        }
        for sent in self.hidden.unused(self.request) {
            self.retire(sent, definer.out);
        }
        self.forget();
        let mapping = definer.snapshot.set_mapping_from(old);
        for (part, sent) in used {
            match mapping.as_ref().and_then(|mapping| mapping.part(&part)) {
                Some(part) => {
                    self.part_of.insert(sent.id, part.clone());
                    self.parts.insert(part, sent);
                }
                None => self.retire(sent, definer.out),
            }
        }
        for (_, sent) in unused {
            self.retire(sent, definer.out);
        }
    }

    fn edit(
        &mut self,
        delta: &MembershipDelta<'_>,
        old: (&Snapshot, &CallerView),
        definer: &mut Definer<'_>,
    ) -> Result<(), OverBudget> {
        if let Some(nobody) = self.nobody.take().and_then(|place| usize::try_from(place).ok()) {
            self.end(nobody, definer.out);
        }
        // Whoever moved has other parts, be they the same users today; and who is not
        // found any more may move next.
        for side in [Side::Sender, Side::Recipient] {
            for signature in delta.signatures(side, definer.scope.caller()) {
                let place = self.known_signature(&signature, side);
                if let Some(place) = place.and_then(|place| usize::try_from(place).ok()) {
                    self.end(place, definer.out);
                }
            }
        }
        let mut stale: Vec<(Part, SentSet)> = Vec::new();
        let touched =
            self.parts.iter().filter(|(part, _)| delta.touch(part) || delta.restructure(part));
        let touched: Vec<_> = touched.map(|(part, sent)| (part.clone(), *sent)).collect();
        let (mut emptied, mut edits) = (HashSet::new(), Vec::new());
        for (part, sent) in touched {
            let edit = self.edited(&part, sent, old, definer);
            let takes = |edit: &Option<Edit>| {
                !delta.restructure(&part)
                    && edit.as_ref().is_none_or(|edit| self.concerns(sent, edit, definer))
            };
            match edit.filter(takes) {
                Some(edit) => {
                    if self.parts.get(&part).is_some_and(|now| now.empty && !sent.empty) {
                        emptied.insert(sent.id);
                    }
                    edits.extend(edit.map(|edit| (part, edit)));
                }
                None => {
                    self.parts.remove(&part);
                    stale.push((part, sent));
                }
            }
        }
        let gone: HashSet<u64> = stale.iter().map(|(_, sent)| sent.id).collect();
        let hides = delta.touch_hides();
        let is_empty = |part: &u64| {
            let sent = self.part_of.get(part).and_then(|part| self.parts.get(part));
            sent.is_none_or(|sent| sent.empty)
        };
        let is_void = |answer: &Answer| {
            let key = &answer.made_of.key;
            (hides && key.hides_anything)
                || (!gone.is_empty() && key.parts.iter().any(|part| gone.contains(part)))
                // Of those whom nobody may see nothing is said.
                || (!emptied.is_empty() && key.parts.iter().all(is_empty))
        };
        let void = (0..).zip(&self.answers).filter(|(_, answer)| !answer.void && is_void(answer));
        let void: Vec<usize> = void.map(|(place, _)| place).collect();
        for place in void {
            self.end(place, definer.out);
        }
        for (_, sent) in stale {
            self.retire(sent, definer.out);
        }
        self.send(edits, definer)
    }

    /// Tells edits: first who is out, then who is in, as far as the budget has
    /// room for them.
    fn send(
        &mut self,
        edits: Vec<(Part, Edit)>,
        definer: &mut Definer<'_>,
    ) -> Result<(), OverBudget> {
        let user_table = definer.snapshot.users();
        let mut additions = Vec::new();
        for (part, Edit { list, added, removed }) in edits {
            self.table.edit(list, &[], &convert::ids(&removed, user_table), definer.out);
            additions.push((part, list, convert::ids(&added, user_table)));
        }
        let bytes = additions.iter().map(|(_, _, added)| weight(added)).sum();
        self.evict_until_fits(bytes, definer.out)?;
        // Making room may have taken the list itself.
        additions.retain(|(part, ..)| self.parts.contains_key(part));
        for (_, list, added) in additions {
            self.table.edit(list, &added, &[], definer.out);
        }
        Ok(())
    }

    /// Whether the caller may hear of those who come into a list: they are its own
    /// users, or of concern to somebody whose answer refers to it. A list that is only
    /// kept for the next answer may be of strangers by now.
    fn concerns(&self, sent: SentSet, edit: &Edit, definer: &Definer<'_>) -> bool {
        let (user_table, caller) = (definer.snapshot.users(), definer.scope.caller());
        self.table.is_referred(sent.id)
            || edit.added.iter().all(|user| caller.holds(user_table.id(user).parts().1))
    }

    /// The edit of a part's list, if it takes one. `None`: that is not enough.
    fn edited(
        &mut self,
        part: &Part,
        sent: SentSet,
        (old, scope): (&Snapshot, &CallerView),
        definer: &Definer<'_>,
    ) -> Option<Option<Edit>> {
        let before = old.part(part, scope);
        let after = definer.snapshot.part(part, definer.scope);
        // An exception less would be in at once, and it must not be in before
        // `Changed` says so.
        if before.exceptions() != after.exceptions() {
            return None;
        }
        let [was, is] = [before.listed_besides(), after.listed_besides()];
        if let Some(sent) = self.parts.get_mut(part) {
            sent.empty = is.is_empty() && *after.open() == Open::Nobody;
        }
        if was == is {
            return Some(None);
        }
        let list = sent.list?;
        Some(Some(Edit { list, added: &is - &was, removed: &was - &is }))
    }

    /// Forgets void answers. What holds is found where it was, since clients may
    /// remember it and not ask again before those whose answer it is move.
    pub(super) fn compact(&mut self) {
        let mut left = 0;
        let now: Vec<Option<u32>> = self
            .answers
            .iter()
            .map(|answer| {
                let place = (!answer.void).then_some(left);
                left += u32::from(!answer.void);
                place
            })
            .collect();
        let now = |place: u32| *now.get(usize::try_from(place).ok()?)?;
        self.answers.retain(|answer| !answer.void);
        self.voided = 0;
        self.nobody = self.nobody.and_then(now);
        self.by_class.iter_mut().for_each(|places| places.renumber(now));
        self.by_signature.retain(|_, place| now(*place).map(|now| *place = now).is_some());
        self.places.retain(|_, place| now(*place).map(|now| *place = now).is_some());
    }
}
