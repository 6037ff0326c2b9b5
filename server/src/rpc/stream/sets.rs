//! The sets that a stream has sent. Each part of an audience or interest, and each composition
//! of parts, is sent once; later messages refer to it by its id. The stream remembers the
//! answer of each class of users, so that in the steady state a user costs one lookup.
//!
//! Reading order: `answers` are the remembered answers, `define` sends sets, `hidden` the sets
//! of hides and `relations` the room-mates that rules require; `evict` removes void answers, and sets that do not fit the budget; `follow`
//! moves all sets to another snapshot.

mod answers;
mod define;
mod evict;
mod follow;
mod hidden;
mod relations;

use std::collections::HashMap;

use foldhash::fast::RandomState;
use presence_router_proto::v1::Hide;
use prost::Message;

pub(super) use self::answers::{Answer, BatchGroup};
use self::answers::{ByClass, Key, MadeOf};
use self::hidden::{HiddenSet, HiddenSets};
use self::relations::SentRelations;
use super::index::Index;
use super::set_table::{SetId, SetTable, SetUpdate, expression_bytes};
use crate::rpc::convert;
use presence_router_engine::unstable::routing::query::parts::{Part, Role};
use presence_router_engine::unstable::routing::query::visibility::{CallerView, Signature};
use presence_router_engine::unstable::routing::snapshot::keys::ClassId;
use presence_router_engine::unstable::routing::snapshot::members::Members;
use presence_router_engine::{Side, Snapshot};

/// Compact once this many void answers, plus one per answer that holds, have piled up.
const MAX_VOID: usize = 10_000;

type Map<K, V> = HashMap<K, V, RandomState>;

/// The sets that a stream has sent, and the answers made of them.
#[derive(Debug)]
pub(super) struct SentSets {
    table: SetTable,
    /// The number of requests so far. Sets and answers note the last request that used them.
    request: u64,
    parts: Map<Part, SentSet>,
    /// The reverse of `parts`.
    part_of: Map<SetId, Part>,
    hidden: HiddenSets,
    relations: SentRelations,
    answers: Vec<Answer>,
    /// The valid answers.
    by_key: Map<Key, Index<Answer>>,
    /// The number of void answers.
    voided: usize,
    /// The answer of users without counterparts.
    nobody: Option<Index<Answer>>,
    /// The last answer of each class, for senders and for recipients.
    by_class: [ByClass; 2],
    /// The last answer of each signature of unlisted users.
    by_signature: Map<Signature, Index<Answer>>,
}

/// A set of users, as the stream sent it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentSet {
    /// The set.
    id: SetId,
    /// The list of its users, if there is one: the set itself, or a set that it refers to.
    list: Option<SetId>,
    /// The list of its exceptions, if that list is a set.
    except: Option<SetId>,
    /// True if the set has no members.
    empty: bool,
    /// The last request that used the set.
    used: u64,
}

/// The error of a request that needs more sets than the client's budget has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OverBudget;

/// The snapshot and the caller that sets are defined for, and the updates for the client.
pub(super) struct Definer<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) view: &'a CallerView,
    pub(super) out: &'a mut Vec<SetUpdate>,
}

/// A part of a new answer.
enum AnswerPart {
    /// The client has the part's set.
    Sent(SentSet),
    /// The stream has not sent the part yet.
    New(Part, Members),
    /// Everyone, who needs no set.
    Everyone,
}

// === impl SentSets ===

impl SentSets {
    /// Returns an empty collection. `budget` is in bytes; 0 means no limit.
    pub(super) fn new(budget: u64) -> Self {
        Self {
            table: SetTable::new(budget),
            request: 0,
            parts: Map::default(),
            part_of: Map::default(),
            hidden: HiddenSets::default(),
            relations: SentRelations::default(),
            answers: Vec::new(),
            by_key: Map::default(),
            voided: 0,
            nobody: None,
            by_class: Default::default(),
            by_signature: Map::default(),
        }
    }

    /// Forgets all sets, as the client does on `Reset`.
    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.forget_sets();
    }

    fn forget_sets(&mut self) {
        self.parts = Map::default();
        self.part_of = Map::default();
        self.hidden = HiddenSets::default();
        self.relations = SentRelations::default();
        self.answers = Vec::new();
        self.by_key = Map::default();
        self.voided = 0;
        self.nobody = None;
        self.by_class = Default::default();
        self.by_signature = Map::default();
    }

    /// Begins a request. Everything that the request uses stays until the next one begins.
    pub(super) fn begin_request(&mut self) {
        self.request += 1;
        // Not only after a change of revision: an eviction voids answers as well, and a client
        // with a small budget can send requests without end.
        if self.voided > MAX_VOID + self.by_key.len() {
            self.compact_answers();
        }
    }

    /// The number of answers remembered for unlisted users. Policy and directory bound
    /// everything else, but a caller can invent any number of unlisted users.
    pub(super) fn unlisted_answers(&self) -> usize {
        self.by_signature.len()
    }

    /// The answer for the users of a class.
    pub(super) fn answer_for_class(
        &mut self,
        class: ClassId,
        side: Side,
        definer: &mut Definer<'_>,
    ) -> Result<Index<Answer>, OverBudget> {
        if let Some(known) = self.last_of_class(class, side)
            && self.mark_used(known)
        {
            return Ok(known);
        }
        let signature = definer.snapshot.signature_of_class(class, side, definer.view.caller());
        let answer = self.make_answer(&signature, definer)?;
        side.select_mut(&mut self.by_class).insert(class, answer);
        Ok(answer)
    }

    /// The answer for the users with a signature.
    pub(super) fn answer_for_signature(
        &mut self,
        signature: Signature,
        definer: &mut Definer<'_>,
    ) -> Result<Index<Answer>, OverBudget> {
        if let Some(known) = self.by_signature.get(&signature).copied()
            && self.mark_used(known)
        {
            return Ok(known);
        }
        let answer = self.make_answer(&signature, definer)?;
        self.by_signature.insert(signature, answer);
        Ok(answer)
    }

    /// Makes the answer for a signature from the sets of its parts, and defines the parts that
    /// the client does not have yet.
    fn make_answer(
        &mut self,
        signature: &Signature,
        definer: &mut Definer<'_>,
    ) -> Result<Index<Answer>, OverBudget> {
        let parts = self.parts_of(signature, definer);
        if parts.iter().all(|(_, part)| part.is_empty()) {
            return Ok(self.empty_answer());
        }
        // Empty parts as well: a part may get members later, and then the answer must change.
        let mut roles = Vec::with_capacity(parts.len());
        for (role, part) in parts {
            roles.push((role, self.define_answer_part(part, definer)?));
        }
        let hides_anything = definer.snapshot.hides_anything(signature);
        let mut key = Key::new(roles, hides_anything);
        let mut relations = Vec::new();
        for relation in key.relations() {
            relations.extend(self.define_relation(relation, definer)?);
        }
        let mut hidden = Vec::new();
        if hides_anything {
            let used = (&mut hidden, &mut relations);
            self.define_hides(signature, &mut key, used, definer)?;
        }
        if let Some(known) = self.by_key.get(&key).copied()
            && self.mark_used(known)
        {
            return Ok(known);
        }
        // A set of its own even for one part, so that the answer can end and the part stays.
        let expression = key.to_expression(definer.snapshot, &self.relations);
        self.evict_until_fits(expression_bytes(&expression), definer.out)?;
        // The relations of hides as well: they must stay as long as the answer.
        let refers_to = key.parts.iter().copied().chain(relations).collect();
        let set_id = self.table.define_expression(&expression, refers_to, definer.out);
        Ok(self.add_answer(key, Some(set_id), hidden))
    }

    /// The parts of an answer. Marks the parts that the client has as used by the current
    /// request.
    fn parts_of(
        &mut self,
        signature: &Signature,
        definer: &Definer<'_>,
    ) -> Vec<(Role, AnswerPart)> {
        let parts = definer.snapshot.parts(signature).into_iter();
        let find = |(role, part): (Role, Option<Part>)| {
            let Some(part) = part else { return (role, AnswerPart::Everyone) };
            let part = match self.parts.get_mut(&part) {
                Some(sent) => {
                    sent.used = self.request;
                    AnswerPart::Sent(*sent)
                }
                None => {
                    let members = definer.snapshot.members_of_part(&part, definer.view);
                    AnswerPart::New(part, members)
                }
            };
            (role, part)
        };
        parts.map(find).collect()
    }

    /// Returns the set of a part, and defines it if the client does not have it.
    fn define_answer_part(
        &mut self,
        part: AnswerPart,
        definer: &mut Definer<'_>,
    ) -> Result<Option<SetId>, OverBudget> {
        Ok(match part {
            AnswerPart::Sent(sent) => Some(sent.id),
            AnswerPart::New(part, members) => match self.parts.get(&part) {
                // The answer has the part in another role as well.
                Some(sent) => Some(sent.id),
                None => Some(self.define_part(part, &members, definer)?),
            },
            AnswerPart::Everyone => None,
        })
    }

    /// The answer of users without counterparts, which has no set.
    fn empty_answer(&mut self) -> Index<Answer> {
        if let Some(known) = self.nobody
            && self.mark_used(known)
        {
            return known;
        }
        let answer = self.add_answer(Key::default(), None, Vec::new());
        self.nobody = Some(answer);
        answer
    }

    /// Adds the hides of an answer to its key, their sets to `hidden`, and the sets of their
    /// relations to `relations`.
    fn define_hides(
        &mut self,
        signature: &Signature,
        key: &mut Key,
        (hidden, relations): (&mut Vec<Index<HiddenSet>>, &mut Vec<SetId>),
        definer: &mut Definer<'_>,
    ) -> Result<(), OverBudget> {
        let counterparts = definer.snapshot.counterparts(signature, definer.view);
        for applied in definer.snapshot.hides(signature, &counterparts.at_most()) {
            let (index, id) = self.hidden_set(applied.users, definer)?;
            let mut users = convert::set_reference(id.get());
            if let Some(relation) = applied.relation_id {
                relations.extend(self.define_relation(relation, definer)?);
                // A relation that is not there hides from all of them.
                let restricted = self.relations.restrict(users.clone(), relation, definer.snapshot);
                users = restricted.unwrap_or(users);
            }
            let hide: Hide = convert::hide_of_users(users, applied.hide);
            key.hides.push(hide.encode_to_vec());
            hidden.push(index);
        }
        Ok(())
    }
}

// === impl AnswerPart ===

impl AnswerPart {
    fn is_empty(&self) -> bool {
        match self {
            Self::Sent(sent) => sent.empty,
            Self::New(_, members) => members.is_empty(),
            // It only excludes users of other parts.
            Self::Everyone => true,
        }
    }
}

#[cfg(test)]
mod tests;
