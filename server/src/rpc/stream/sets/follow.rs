//! Takes a stream's sets from one snapshot to the next: lists are edited, what
//! cannot be edited is retired, and all else stays as it was sent.
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
use crate::rpc::stream::index::Index;
use crate::rpc::stream::set_table::{SetId, user_id_bytes};
use presence_router_engine::unstable::routing::change::membership_delta::MembershipDelta;
use presence_router_engine::unstable::routing::query::visibility::{CallerView, Part};
use presence_router_engine::unstable::routing::snapshot::members::Open;
use presence_router_engine::{Side, Snapshot};

/// What an edit of the policy or the directory makes of a part.
enum PartChange {
    /// Its list has the same users.
    Same,
    /// Its list is edited.
    Edit(ListEdit),
    /// Its set ends: an edit of the list is not enough.
    Replace,
}

/// The users that come into a list, and those that leave it.
struct ListEdit {
    list: SetId,
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
        view: &CallerView,
        definer: &mut Definer<'_>,
    ) -> Result<(), OverBudget> {
        self.begin_request();
        match definer.snapshot.membership_delta_since(old) {
            Some(delta) if delta.is_empty() => {}
            Some(delta) => self.follow_members(&delta, (old, view), definer)?,
            None => self.follow_ruleset(old, definer),
        }
        Ok(())
    }

    /// Goes on under another ruleset. What anybody may see is another question now,
    /// so all answers end; but most of what they are made of stays, lists of
    /// users above all.
    fn follow_ruleset(&mut self, old: &Snapshot, definer: &mut Definer<'_>) {
        let table = &self.table;
        // Parts that no answer is made of go, or they would stay for ever.
        let (used, unused) = std::mem::take(&mut self.parts)
            .into_iter()
            .partition::<Vec<_>, _>(|(_, sent)| table.is_referred(sent.id));
        for index in 0..self.answers.len() {
            self.invalidate(Index::new(index), definer.out);
        }
        for sent in self.hidden.take_unused(self.request) {
            self.retire(sent, definer.out);
        }
        self.forget();
        let mapping = definer.snapshot.set_mapping_from(old);
        for (part, sent) in used {
            match mapping.as_ref().and_then(|mapping| mapping.map_part(&part)) {
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

    /// Goes on under the same ruleset, with other members of its sets.
    fn follow_members(
        &mut self,
        delta: &MembershipDelta<'_>,
        old: (&Snapshot, &CallerView),
        definer: &mut Definer<'_>,
    ) -> Result<(), OverBudget> {
        self.invalidate_moved(delta, definer);
        let touched = self
            .parts
            .iter()
            .filter(|(part, _)| delta.may_change(part) || delta.may_restructure(part));
        let touched: Vec<_> = touched.map(|(part, sent)| (part.clone(), *sent)).collect();
        let (mut replaced, mut emptied, mut edits) = (Vec::new(), HashSet::new(), Vec::new());
        for (part, sent) in touched {
            match self.change_of(&part, sent, delta, old, definer) {
                PartChange::Replace => {
                    self.parts.remove(&part);
                    replaced.push(sent);
                    continue;
                }
                PartChange::Same => {}
                PartChange::Edit(edit) => edits.push((part.clone(), edit)),
            }
            if !sent.empty && self.parts.get(&part).is_some_and(|now| now.empty) {
                emptied.insert(sent.id);
            }
        }
        let gone = replaced.iter().map(|sent| sent.id).collect();
        self.invalidate_outdated(delta.may_change_hides(), &gone, &emptied, definer);
        for sent in replaced {
            self.retire(sent, definer.out);
        }
        self.send_edits(edits, definer)
    }

    /// Invalidates the answers of users that moved, as they have other parts, be they the
    /// same users today; and of users that are not found by their signature any more, as
    /// they may move next.
    fn invalidate_moved(&mut self, delta: &MembershipDelta<'_>, definer: &mut Definer<'_>) {
        if let Some(nobody) = self.nobody.take() {
            self.invalidate(nobody, definer.out);
        }
        for side in [Side::Sender, Side::Recipient] {
            for signature in delta.signatures(side, definer.view.caller()) {
                if let Some(answer) = self.last_of_signature(&signature, side) {
                    self.invalidate(answer, definer.out);
                }
            }
        }
    }

    /// Invalidates answers made of sets that are gone, those of which all sets are empty by
    /// now, and with `hides` those that have to do with hides.
    fn invalidate_outdated(
        &mut self,
        hides: bool,
        gone: &HashSet<SetId>,
        emptied: &HashSet<SetId>,
        definer: &mut Definer<'_>,
    ) {
        let is_empty = |id: &SetId| {
            let sent = self.part_of.get(id).and_then(|part| self.parts.get(part));
            sent.is_none_or(|sent| sent.empty)
        };
        let is_outdated = |answer: &Answer| {
            let key = &answer.made_of.key;
            (hides && key.hides_anything)
                || (!gone.is_empty() && key.parts.iter().any(|id| gone.contains(id)))
                // No answer names users that nobody may see.
                || (!emptied.is_empty() && key.parts.iter().all(is_empty))
        };
        let outdated = (0..).zip(&self.answers);
        let outdated = outdated.filter(|(_, answer)| !answer.void && is_outdated(answer));
        let outdated: Vec<_> = outdated.map(|(index, _)| Index::new(index)).collect();
        for answer in outdated {
            self.invalidate(answer, definer.out);
        }
    }

    /// Sends edits: first the users that leave, then those that come in, as far as the
    /// budget has room for them.
    fn send_edits(
        &mut self,
        edits: Vec<(Part, ListEdit)>,
        definer: &mut Definer<'_>,
    ) -> Result<(), OverBudget> {
        let user_table = definer.snapshot.users();
        let mut additions = Vec::new();
        for (part, ListEdit { list, added, removed }) in edits {
            self.table.edit_list(list, &[], &convert::user_ids(&removed, user_table), definer.out);
            additions.push((part, list, convert::user_ids(&added, user_table)));
        }
        let bytes = additions.iter().map(|(_, _, added)| user_id_bytes(added)).sum();
        self.evict_until_fits(bytes, definer.out)?;
        // An eviction may have taken the list itself.
        additions.retain(|(part, ..)| self.parts.contains_key(part));
        for (_, list, added) in additions {
            self.table.edit_list(list, &added, &[], definer.out);
        }
        Ok(())
    }

    /// Whether the caller may learn which users come into a list: they are its own
    /// users, or of concern to somebody whose answer refers to it. A list that is only
    /// kept for the next answer may be of strangers by now.
    fn may_learn(&self, sent: SentSet, edit: &ListEdit, definer: &Definer<'_>) -> bool {
        let (user_table, caller) = (definer.snapshot.users(), definer.view.caller());
        self.table.is_referred(sent.id)
            || edit.added.iter().all(|user| caller.holds(user_table.id(user).parts().1))
    }

    /// The change of a part. Notes whether the part is empty after it.
    fn change_of(
        &mut self,
        part: &Part,
        sent: SentSet,
        delta: &MembershipDelta<'_>,
        (old, view): (&Snapshot, &CallerView),
        definer: &Definer<'_>,
    ) -> PartChange {
        let before = old.members_of_part(part, view);
        let after = definer.snapshot.members_of_part(part, definer.view);
        // An exception less would be in at once, and it must not be in before
        // `Changed` says so.
        if delta.may_restructure(part) || before.exceptions() != after.exceptions() {
            return PartChange::Replace;
        }
        let [was, is] = [before.listed_besides(), after.listed_besides()];
        if let Some(sent) = self.parts.get_mut(part) {
            sent.empty = is.is_empty() && *after.open() == Open::Nobody;
        }
        if was == is {
            return PartChange::Same;
        }
        let Some(list) = sent.list else { return PartChange::Replace };
        let edit = ListEdit { list, added: &is - &was, removed: &was - &is };
        if self.may_learn(sent, &edit, definer) {
            PartChange::Edit(edit)
        } else {
            PartChange::Replace
        }
    }
}
