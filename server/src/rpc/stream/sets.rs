//! The sets that a stream has defined: each once, referred to by id from then
//! on. What was found out for a class of users is remembered, so that in the
//! steady state a user costs one lookup.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use presence_router_proto::v1::{Hide, SetExpression, SetPart, UserList, set_part::Content};
use prost::Message;
use roaring::RoaringBitmap;

use crate::routing::members::Members;
use crate::routing::people::People;
use crate::routing::relation::{Part, Scope, Side, Signature};
use crate::routing::snapshot::Snapshot;
use crate::rpc::express;

/// The id that stands for nobody.
pub(super) const NOBODY: u64 = 0;

/// Most users that an expression lists itself.
const MAX_INLINE: u64 = 100;

/// Most bytes of user ids in one message: well below what clients take.
const MAX_PART_BYTES: usize = 128 * 1024;

type Map<K, V> = HashMap<K, V, RandomState>;

/// The sets that are live on a stream.
#[derive(Debug, Default)]
pub(super) struct Sets {
    /// Never reset: ids are never used again.
    last_id: u64,
    parts: Map<Part, u64>,
    /// What a user's counterparts are, without repeats. The first is nobody.
    answers: Vec<Answer>,
    places: Map<Answer, u32>,
    /// By class, for senders and for recipients: places in `answers`.
    by_class: [ByClass; 2],
    /// The same for users whom nobody names.
    by_signature: Map<Signature, u32>,
}

/// Numbers by class. In pages, since a class is used or not together with those
/// that were made with it, and the oldest may be gone for good.
#[derive(Debug, Default)]
struct ByClass(Vec<Option<Box<[u32; PAGE]>>>);

const PAGE: usize = 1024;
/// What is not known of a class.
const UNKNOWN: u32 = u32::MAX;

/// Counterparts, as the stream has told them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Answer {
    /// The set of them.
    pub(super) set_id: u64,
    /// What is hidden: encoded [`Hide`] messages.
    pub(super) hides: Vec<Vec<u8>>,
}

/// Defines sets for a caller, and notes the definitions.
pub(super) struct Definer<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) scope: &'a Scope,
    pub(super) out: &'a mut Vec<SetPart>,
}

// === impl ByClass ===

impl ByClass {
    fn get(&self, class: u32) -> Option<u32> {
        let class = usize::try_from(class).ok()?;
        let page = self.0.get(class / PAGE)?.as_ref()?;
        page.get(class % PAGE).copied().filter(|number| *number != UNKNOWN)
    }

    fn insert(&mut self, class: u32, number: u32) {
        let Ok(class) = usize::try_from(class) else { return };
        if self.0.len() <= class / PAGE {
            self.0.resize_with(class / PAGE + 1, || None);
        }
        let Some(page) = self.0.get_mut(class / PAGE) else { return };
        let page = page.get_or_insert_with(|| Box::new([UNKNOWN; PAGE]));
        if let Some(entry) = page.get_mut(class % PAGE) {
            *entry = number;
        }
    }
}

// === impl Sets ===

impl Sets {
    /// Forgets all sets, as the client does on `Reset`.
    pub(super) fn clear(&mut self) {
        *self = Self { last_id: self.last_id, ..Self::default() };
    }

    /// How many answers are remembered for users whom nobody names. All else is
    /// bounded by policy and directory; these a caller can make up.
    pub(super) fn unnamed(&self) -> usize {
        self.by_signature.len()
    }

    /// An answer by its place.
    pub(super) fn answer(&self, place: u32) -> Option<&Answer> {
        self.answers.get(usize::try_from(place).ok()?)
    }

    /// The counterparts of the users of a class.
    pub(super) fn of_class(&mut self, class: u32, side: Side, definer: &mut Definer<'_>) -> u32 {
        if let Some(place) = side.of(&self.by_class).get(class) {
            return place;
        }
        let signature = definer.snapshot.signature_of_class(class, side, definer.scope.caller());
        let place = self.define_answer(&signature, definer);
        side.of_mut(&mut self.by_class).insert(class, place);
        place
    }

    /// The counterparts of the users with a signature.
    pub(super) fn of_signature(&mut self, signature: Signature, definer: &mut Definer<'_>) -> u32 {
        if let Some(place) = self.by_signature.get(&signature) {
            return *place;
        }
        let place = self.define_answer(&signature, definer);
        self.by_signature.insert(signature, place);
        place
    }

    fn define_answer(&mut self, signature: &Signature, definer: &mut Definer<'_>) -> u32 {
        let parts = definer.snapshot.parts(signature);
        let mut ids: Vec<u64> = parts.into_iter().map(|part| self.part(part, definer)).collect();
        ids.retain(|id| *id != NOBODY);
        let set_id = match ids.as_slice() {
            [] => NOBODY,
            [only] => *only,
            _ => self.define(express::union_of(ids), definer.out),
        };
        let hides = if set_id == NOBODY { Vec::new() } else { self.hides(signature, definer) };
        let answer = Answer { set_id, hides };
        if let Some(place) = self.places.get(&answer) {
            return *place;
        }
        let place = u32::try_from(self.answers.len()).unwrap_or(u32::MAX);
        self.answers.push(answer.clone());
        self.places.insert(answer, place);
        place
    }

    fn hides(&mut self, signature: &Signature, definer: &mut Definer<'_>) -> Vec<Vec<u8>> {
        let Definer { snapshot, scope, .. } = *definer;
        if !snapshot.hides_anything(signature) {
            return Vec::new();
        }
        let counterparts = snapshot.counterparts(signature, scope);
        let mut encoded = Vec::new();
        for (users, hide) in snapshot.hides(signature, &counterparts) {
            let id = self.members(&users, snapshot.people(), definer.out);
            let hide: Hide = express::hide(express::set(id), hide);
            encoded.push(hide.encode_to_vec());
        }
        encoded
    }

    fn part(&mut self, part: Part, definer: &mut Definer<'_>) -> u64 {
        if let Some(id) = self.parts.get(&part) {
            return *id;
        }
        let members = definer.snapshot.part(&part, definer.scope);
        let id = self.members(&members, definer.snapshot.people(), definer.out);
        self.parts.insert(part, id);
        id
    }

    fn members(&mut self, members: &Members, people: &People, out: &mut Vec<SetPart>) -> u64 {
        let listed = members.listed_besides();
        let open = express::open_part(members, |except| {
            // Few stand in the expression; many come in parts as all lists do.
            if except.len() <= MAX_INLINE {
                express::list(except, people)
            } else {
                express::set(self.list(except, people, out))
            }
        });
        match open {
            None if listed.is_empty() => NOBODY,
            None => self.list(&listed, people, out),
            Some(open) if listed.is_empty() => self.define(open, out),
            Some(open) => {
                let list = self.list(&listed, people, out);
                self.define(express::any_of(vec![express::set(list), open]), out)
            }
        }
    }

    fn define(&mut self, expression: SetExpression, out: &mut Vec<SetPart>) -> u64 {
        let id = self.next_id();
        out.push(SetPart { id, content: Some(Content::Expression(expression)), last: true });
        id
    }

    fn list(&mut self, users: &RoaringBitmap, people: &People, out: &mut Vec<SetPart>) -> u64 {
        let id = self.next_id();
        let mut user_ids = Vec::new();
        let mut bytes = 0;
        let mut part = |user_ids, last| {
            out.push(SetPart { id, content: Some(Content::Users(UserList { user_ids })), last });
        };
        for user_id in express::users(users, people).user_ids {
            bytes += user_id.len();
            if bytes > MAX_PART_BYTES {
                part(std::mem::take(&mut user_ids), false);
                bytes = user_id.len();
            }
            user_ids.push(user_id);
        }
        part(user_ids, true);
        id
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}
