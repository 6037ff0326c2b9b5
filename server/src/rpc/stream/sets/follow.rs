//! Moves a stream's sets from one snapshot to the next: edits lists, retires the sets that an
//! edit cannot update, and leaves all other sets as they were sent.
//!
//! A client continues to use an answer that refers to a set until the set is retired, even if
//! `Changed` names its user. Each set that stays must therefore be the very set that a new
//! answer would refer to. Equal members today are not enough, since the next edit may change
//! one of two equal sets and not the other.
//!
//! Under another ruleset all answers end, and this danger with them: a list with the users of
//! a set of the new ruleset is as good as a new list.

use std::collections::HashSet;

use roaring::RoaringBitmap;

use super::{Answer, Definer, OverBudget, SentSet, SentSets};
use crate::rpc::convert;
use crate::rpc::stream::index::Index;
use crate::rpc::stream::set_table::{SetId, user_id_bytes};
use presence_router_engine::unstable::routing::change::membership_delta::MembershipDelta;
use presence_router_engine::unstable::routing::query::parts::Part;
use presence_router_engine::unstable::routing::query::visibility::CallerView;
use presence_router_engine::unstable::routing::snapshot::members::Open;
use presence_router_engine::{Side, Snapshot};

/// The effect of a new policy or directory on a part.
enum PartChange {
    /// The part's list has the same users.
    Same,
    /// The part's list is edited.
    Edit(ListEdit),
    /// The part's set ends: an edit of the list is not enough.
    Replace,
}

/// The users that join a list, and those that leave it.
struct ListEdit {
    list: SetId,
    added: RoaringBitmap,
    removed: RoaringBitmap,
}

// === impl SentSets ===

impl SentSets {
    /// Moves from an earlier snapshot to the definer's. Fails if the remaining sets have grown
    /// over the client's budget.
    pub(in crate::rpc::stream) fn follow_snapshot(
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

    /// Moves to another ruleset. The visibility of every user may be different, so all answers
    /// end; but most of their parts stay, above all lists of users.
    fn follow_ruleset(&mut self, old: &Snapshot, definer: &mut Definer<'_>) {
        let table = &self.table;
        // Parts that no answer uses go, or they would stay for ever.
        let (used, unused) = std::mem::take(&mut self.parts)
            .into_iter()
            .partition::<Vec<_>, _>(|(_, sent)| table.is_referred(sent.id));
        for index in 0..self.answers.len() {
            self.invalidate_answer(Index::new(index), definer.out);
        }
        for sent in self.hidden.take_unused(self.request) {
            self.retire_with_lists(sent, definer.out);
        }
        for relation in self.relations.take_all() {
            self.table.retire_set(relation, definer.out);
        }
        self.forget_sets();
        let mapping = definer.snapshot.set_mapping_from(old);
        for (part, sent) in used {
            match mapping.as_ref().and_then(|mapping| mapping.map_part(&part)) {
                Some(part) => {
                    self.part_of.insert(sent.id, part.clone());
                    self.parts.insert(part, sent);
                }
                None => self.retire_with_lists(sent, definer.out),
            }
        }
        for (_, sent) in unused {
            self.retire_with_lists(sent, definer.out);
        }
    }

    /// Moves to a snapshot with the same ruleset, and other members of its sets.
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
            self.retire_with_lists(sent, definer.out);
        }
        self.send_edits(edits, definer)
    }

    /// Invalidates the answers of users whose memberships changed: their new parts are different
    /// ones, even if the members are equal today. Also invalidates the answers of users that
    /// their signature no longer finds, since these users may change next.
    fn invalidate_moved(&mut self, delta: &MembershipDelta<'_>, definer: &mut Definer<'_>) {
        if let Some(nobody) = self.nobody.take() {
            self.invalidate_answer(nobody, definer.out);
        }
        for side in [Side::Sender, Side::Recipient] {
            for signature in delta.signatures(side, definer.view.caller()) {
                if let Some(answer) = self.last_of_signature(&signature, side) {
                    self.invalidate_answer(answer, definer.out);
                }
            }
        }
    }

    /// Invalidates answers that use a set that is gone, answers whose sets are all empty now,
    /// and with `hides` the answers that hides concern.
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
                // Users without counterparts have an answer without a set.
                || (!emptied.is_empty() && key.parts.iter().all(is_empty))
        };
        let outdated = (0..).zip(&self.answers);
        let outdated = outdated.filter(|(_, answer)| !answer.void && is_outdated(answer));
        let outdated: Vec<_> = outdated.map(|(index, _)| Index::new(index)).collect();
        for answer in outdated {
            self.invalidate_answer(answer, definer.out);
        }
    }

    /// Sends edits: first the users that leave, then those that join, as far as the budget has
    /// room for them.
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
        // The eviction may have retired the list itself.
        additions.retain(|(part, ..)| self.parts.contains_key(part));
        for (_, list, added) in additions {
            self.table.edit_list(list, &added, &[], definer.out);
        }
        Ok(())
    }

    /// Returns true if the caller may learn the users that join a list: they are the caller's
    /// own users, or an answer refers to the list, so that the users concern the caller. A list
    /// that is only kept for the next answer may contain strangers by now.
    fn may_learn(&self, sent: SentSet, edit: &ListEdit, definer: &Definer<'_>) -> bool {
        let (user_table, caller) = (definer.snapshot.users(), definer.view.caller());
        self.table.is_referred(sent.id)
            || edit.added.iter().all(|user| caller.holds(user_table.id(user).parts().1))
    }

    /// Returns the change of a part. Also notes if the part is empty afterwards.
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
        // A user that is no longer an exception would join the set at once, but must not join
        // it before `Changed` says so.
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
        // A user who leaves an exception would become visible at once, before `Changed` says so.
        let list = sent.list.filter(|_| !part.is_exception());
        let Some(list) = list else { return PartChange::Replace };
        let edit = ListEdit { list, added: &is - &was, removed: &was - &is };
        if self.may_learn(sent, &edit, definer) {
            PartChange::Edit(edit)
        } else {
            PartChange::Replace
        }
    }
}
