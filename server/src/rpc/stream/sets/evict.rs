//! Removes void answers, and the sets that exceed the client's budget. The least recently used
//! sets go first; sets that the current request uses stay.

use super::{Answer, MadeOf, OverBudget, SentSet, SentSets};
use crate::rpc::stream::index::Index;
use crate::rpc::stream::set_table::SetUpdate;

// === impl SentSets ===

impl SentSets {
    /// Retires sets until `bytes` more fit. Fails if the sets of the current request leave no
    /// room.
    pub(super) fn evict_until_fits(
        &mut self,
        bytes: u64,
        out: &mut Vec<SetUpdate>,
    ) -> Result<(), OverBudget> {
        if self.table.bytes_over_budget(bytes) == 0 {
            return Ok(());
        }
        // A set that never fits must not cost the client all others.
        if self.table.exceeds_budget(bytes) {
            return Err(OverBudget);
        }
        let mut idle: Vec<(u64, usize)> = (0..)
            .zip(&self.answers)
            .filter(|(_, answer)| !answer.void && answer.used < self.request)
            .map(|(index, answer)| (answer.used, index))
            .collect();
        idle.sort_unstable();
        self.retire_unused(out);
        // An eighth of the answers at a time, since a search for unused sets takes long.
        for some in idle.chunks((idle.len() / 8).max(1)) {
            if self.table.bytes_over_budget(bytes) == 0 {
                break;
            }
            some.iter().for_each(|(_, index)| self.invalidate_answer(Index::new(*index), out));
            self.retire_unused(out);
        }
        if self.table.bytes_over_budget(bytes) == 0 { Ok(()) } else { Err(OverBudget) }
    }

    /// Makes an answer void, and retires the sets that no other answer uses.
    pub(super) fn invalidate_answer(&mut self, index: Index<Answer>, out: &mut Vec<SetUpdate>) {
        let answer = self.answers.get_mut(index.get());
        let Some(answer) = answer.filter(|answer| !answer.void) else { return };
        answer.void = true;
        let set_id = answer.set_id;
        let MadeOf { key, hidden } = std::mem::take(&mut *answer.made_of);
        self.voided += 1;
        self.by_key.remove(&key);
        if let Some(set_id) = set_id {
            self.table.retire_set(set_id, out);
        }
        for sent in self.hidden.release_sets(&hidden, self.request) {
            self.retire_with_lists(sent, out);
        }
    }

    /// Retires the parts and relations that no valid answer uses, except those of the current
    /// request.
    fn retire_unused(&mut self, out: &mut Vec<SetUpdate>) {
        let (table, request) = (&self.table, self.request);
        let unused = self
            .parts
            .iter()
            .filter(|(_, sent)| sent.used < request && !table.is_referred(sent.id));
        let unused: Vec<_> = unused.map(|(part, sent)| (part.clone(), *sent)).collect();
        for (part, sent) in unused {
            self.parts.remove(&part);
            self.retire_with_lists(sent, out);
        }
        for sent in self.hidden.take_unused(request) {
            self.retire_with_lists(sent, out);
        }
        let table = &self.table;
        for mates in self.relations.take_unused(request, |mates| table.is_referred(mates)) {
            self.table.retire_set(mates, out);
        }
    }

    /// Forgets void answers. Valid answers stay reachable through their classes and signatures:
    /// a client may have remembered an answer and not ask again, and the stream must still find
    /// the answer when its users change their memberships.
    pub(super) fn compact_answers(&mut self) {
        let mut left = 0;
        let now: Vec<Option<Index<Answer>>> = self
            .answers
            .iter()
            .map(|answer| {
                let index = (!answer.void).then(|| Index::new(left));
                left += usize::from(!answer.void);
                index
            })
            .collect();
        let now = |index: Index<Answer>| now.get(index.get()).copied().flatten();
        self.answers.retain(|answer| !answer.void);
        for (index, answer) in self.answers.iter().enumerate() {
            if let Some(set_id) = answer.set_id {
                self.table.set_label(set_id, Index::new(index));
            }
        }
        self.voided = 0;
        self.nobody = self.nobody.and_then(now);
        self.by_class.iter_mut().for_each(|answers| answers.replace(now));
        self.by_signature.retain(|_, index| now(*index).map(|now| *index = now).is_some());
        self.by_key.retain(|_, index| now(*index).map(|now| *index = now).is_some());
    }

    /// Retires a set with its lists.
    pub(in crate::rpc::stream) fn retire_with_lists(
        &mut self,
        sent: SentSet,
        out: &mut Vec<SetUpdate>,
    ) {
        self.part_of.remove(&sent.id);
        self.table.retire_set(sent.id, out);
        for list in [sent.list, sent.except].into_iter().flatten() {
            if list != sent.id {
                self.table.retire_set(list, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Definer, MAX_VOID};
    use super::*;
    use presence_router_engine::unstable::routing::query::visibility::CallerView;
    use presence_router_engine::{Caller, Policy, Side};

    /// Two audiences with room for one: each evicts the other, as often as the client asks.
    #[test]
    fn evicted_answers_do_not_pile_up() {
        let policy = r#"
            groups:
              team/a: ["@a:one.org", "@b:one.org"]
              team/b: ["@c:one.org", "@d:one.org"]
            rules:
              - { name: teams, allow: { within: "team/*" } }
              - { name: shy, hide: { within: "team/*", fields: [status_msg] } }
        "#;
        let policy = Policy::parse("policy.yaml", policy.as_bytes()).unwrap();
        let (snapshot, view) =
            (&*policy.snapshot, CallerView::new(Caller::new(["one.org"]).unwrap()));
        let mut sets = SentSets::new(60);
        let (mut answers, mut hidden) = (0, 0);
        for asked in 0..MAX_VOID + 1000 {
            let user = ["@a:one.org", "@c:one.org"][asked % 2];
            let class = snapshot.users().class_of(user).unwrap();
            let mut out = Vec::new();
            sets.begin_request();
            let mut definer = Definer { snapshot, view: &view, out: &mut out };
            let answer = sets.answer_for_class(class, Side::Sender, &mut definer).unwrap();
            assert_eq!(sets.set_and_hides(answer).1.len(), 1);
            let ended = out.iter().any(|update| matches!(update, SetUpdate::Retired(_)));
            assert!(ended || asked == 0, "there is no room for both");
            answers = answers.max(sets.answers.len());
            hidden = hidden.max(sets.hidden.capacity());
        }
        assert!(answers < MAX_VOID + 10 && hidden <= 2, "{answers} and {hidden}");
    }

    /// Three audiences with room for two: those that are not touched evict each other, and the
    /// stream forgets them from time to time.
    #[test]
    fn a_touched_answer_stays_while_others_are_evicted_and_forgotten() {
        let policy = r#"
            groups:
              team/a: ["@a:one.org", "@b:one.org"]
              team/b: ["@c:one.org", "@d:one.org"]
              team/c: ["@e:one.org", "@f:one.org"]
            rules:
              - { name: teams, allow: { within: "team/*" } }
        "#;
        let policy = Policy::parse("policy.yaml", policy.as_bytes()).unwrap();
        let (snapshot, view) =
            (&*policy.snapshot, CallerView::new(Caller::new(["one.org"]).unwrap()));
        let mut sets = SentSets::new(60);
        let ask = |user, sets: &mut SentSets| {
            let class = snapshot.users().class_of(user).unwrap();
            let mut out = Vec::new();
            sets.begin_request();
            let mut definer = Definer { snapshot, view: &view, out: &mut out };
            let answer = sets.answer_for_class(class, Side::Sender, &mut definer).unwrap();
            let retired = out.into_iter().filter_map(|update| match update {
                SetUpdate::Retired(retired) => Some(retired.id),
                _ => None,
            });
            (sets.set_and_hides(answer).0.unwrap().get(), retired.collect::<Vec<_>>())
        };
        // One that is evicted first, so that the touched one moves when it is forgotten.
        ask("@c:one.org", &mut sets);
        ask("@e:one.org", &mut sets);
        let (touched, _) = ask("@a:one.org", &mut sets);
        let mut forgotten = 0;
        for asked in 0..MAX_VOID + 1000 {
            let before = sets.answers.len();
            sets.begin_request();
            sets.touch_answer(touched);
            let (_, retired) = ask(["@c:one.org", "@e:one.org"][asked % 2], &mut sets);
            assert!(!retired.contains(&touched), "after {asked} requests");
            assert!(asked == 0 || !retired.is_empty(), "there is no room for all");
            forgotten += usize::from(sets.answers.len() < before);
        }
        assert!(forgotten > 0);
    }

    /// An audience of 100 bytes where 60 fit, as often as the client asks.
    #[test]
    fn a_set_that_never_fits_ends_no_other_answer() {
        let policy = r#"
            groups:
              team/a: ["@a:one.org", "@b:one.org"]
              team/b: ["@c:one.org", "@dddddddddddddddddddddddddddddddddddddddddddddddddd:one.org"]
            rules:
              - { name: teams, allow: { within: "team/*" } }
        "#;
        let policy = Policy::parse("policy.yaml", policy.as_bytes()).unwrap();
        let (snapshot, view) =
            (&*policy.snapshot, CallerView::new(Caller::new(["one.org"]).unwrap()));
        let mut sets = SentSets::new(60);
        let mut ask = |user| {
            let class = snapshot.users().class_of(user).unwrap();
            let mut out = Vec::new();
            sets.begin_request();
            let mut definer = Definer { snapshot, view: &view, out: &mut out };
            let answer = sets.answer_for_class(class, Side::Sender, &mut definer);
            (answer.is_ok(), out.len())
        };
        assert!(matches!(ask("@a:one.org"), (true, 1..)));
        for _ in 0..2 {
            assert_eq!(ask("@c:one.org"), (false, 0), "no set ends for a refusal");
            assert_eq!(ask("@a:one.org"), (true, 0), "the client has its sets");
        }
    }
}
