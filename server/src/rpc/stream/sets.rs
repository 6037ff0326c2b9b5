//! What a stream has told of sets: each part of an audience or interest once,
//! each composition of parts once, referred to by id from then on. What was found
//! out for a class of users is remembered, so that in the steady state a user
//! costs one lookup.

mod answers;
mod evict;
mod follow;
mod hidden;

use std::collections::HashMap;

use foldhash::fast::RandomState;
use presence_router_proto::v1::{Hide, SetExpression, UserList};
use prost::Message;

use self::answers::{Answer, ByClass, Key, MadeOf};
use self::hidden::Hidden;
use super::set_table::{SetTable, SetUpdate, size, weight};
use crate::rpc::convert;
use presence_router_engine::unstable::routing::query::relation::{CallerView, Part, Signature};
use presence_router_engine::unstable::routing::snapshot::members::{Members, Open};
use presence_router_engine::unstable::routing::snapshot::user_table::NamedId;
use presence_router_engine::{Side, Snapshot};

/// The id that stands for nobody.
pub(super) const NOBODY: u64 = 0;

/// Most users that an expression lists itself.
const MAX_INLINE: u64 = 100;

/// Most bytes that references add to an expression.
const SLACK: u64 = 64;

/// Answers that are void and still remembered to be, beside as many that hold.
const MAX_VOID: usize = 10_000;

type Map<K, V> = HashMap<K, V, RandomState>;

/// What a stream has told of sets.
#[derive(Debug)]
pub(super) struct SentSets {
    table: SetTable,
    /// Counts requests, to know what was used lately.
    request: u64,
    parts: Map<Part, SentSet>,
    /// The other way round.
    part_of: Map<u64, Part>,
    hidden: Hidden,
    answers: Vec<Answer>,
    /// Places of answers that hold.
    places: Map<Key, u32>,
    /// How many hold no more.
    voided: usize,
    /// The answer of those who have no counterparts.
    nobody: Option<u32>,
    /// By class, for senders and for recipients: places in `answers`.
    by_class: [ByClass; 2],
    /// The same for users whom nobody names.
    by_signature: Map<Signature, u32>,
}

/// A set of users, as it was told.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentSet {
    /// The set.
    id: u64,
    /// Its list of users, if it has one: itself, or a set that it refers to.
    list: Option<u64>,
    /// The list of its exceptions, if that is a set.
    except: Option<u64>,
    /// Whether nobody is in it.
    empty: bool,
    /// The last request that used it.
    used: u64,
}

/// The client's budget has no room for what one request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OverBudget;

/// Defines sets for a caller, and notes what is to be told of them.
pub(super) struct Definer<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) scope: &'a CallerView,
    pub(super) out: &'a mut Vec<SetUpdate>,
}

// === impl SentSets ===

impl SentSets {
    /// Nothing is told yet. A budget of 0: no bound.
    pub(super) fn new(budget: u64) -> Self {
        Self {
            table: SetTable::new(budget),
            request: 0,
            parts: Map::default(),
            part_of: Map::default(),
            hidden: Hidden::default(),
            answers: Vec::new(),
            places: Map::default(),
            voided: 0,
            nobody: None,
            by_class: Default::default(),
            by_signature: Map::default(),
        }
    }

    /// Forgets all sets, as the client does on `Reset`.
    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.forget();
    }

    fn forget(&mut self) {
        self.parts = Map::default();
        self.part_of = Map::default();
        self.hidden = Hidden::default();
        self.answers = Vec::new();
        self.places = Map::default();
        self.voided = 0;
        self.nobody = None;
        self.by_class = Default::default();
        self.by_signature = Map::default();
    }

    /// Another request: what it uses stays until the next one.
    pub(super) fn begin(&mut self) {
        self.request += 1;
        // Not only where something changed: to make room voids answers as well, and a
        // client with a small budget can ask for ever.
        if self.voided > MAX_VOID + self.places.len() {
            self.compact();
        }
    }

    /// How many answers are remembered for users whom nobody names. All else is
    /// bounded by policy and directory; these a caller can make up.
    pub(super) fn unlisted_answers(&self) -> usize {
        self.by_signature.len()
    }

    /// The counterparts of the users of a class.
    pub(super) fn of_class(
        &mut self,
        class: u32,
        side: Side,
        definer: &mut Definer<'_>,
    ) -> Result<u32, OverBudget> {
        if let Some(place) = self.known(class, side).filter(|place| self.uses(*place)) {
            return Ok(place);
        }
        let signature = definer.snapshot.signature_of_class(class, side, definer.scope.caller());
        let place = self.define_answer(&signature, definer)?;
        side.of_mut(&mut self.by_class).insert(class, place);
        Ok(place)
    }

    /// The counterparts of the users with a signature.
    pub(super) fn of_signature(
        &mut self,
        signature: Signature,
        definer: &mut Definer<'_>,
    ) -> Result<u32, OverBudget> {
        if let Some(place) = self.by_signature.get(&signature).copied()
            && self.uses(place)
        {
            return Ok(place);
        }
        let place = self.define_answer(&signature, definer)?;
        self.by_signature.insert(signature, place);
        Ok(place)
    }

    fn define_answer(
        &mut self,
        signature: &Signature,
        definer: &mut Definer<'_>,
    ) -> Result<u32, OverBudget> {
        let mut sent = Vec::new();
        for part in definer.snapshot.parts(signature) {
            match self.parts.get_mut(&part) {
                Some(part) => {
                    part.used = self.request;
                    sent.push((*part, None));
                }
                None => {
                    let members = definer.snapshot.part(&part, definer.scope);
                    let empty = members.is_empty();
                    let unknown = SentSet { id: 0, list: None, except: None, empty, used: 0 };
                    sent.push((unknown, Some((part, members))));
                }
            }
        }
        if sent.iter().all(|(sent, _)| sent.empty) {
            return Ok(match self.nobody.filter(|place| self.uses(*place)) {
                Some(place) => place,
                None => {
                    let place = self.add(Key::default(), NOBODY, Vec::new());
                    self.nobody = Some(place);
                    place
                }
            });
        }
        // A part without members may get some: those whose answer it is a part
        // of must hear of them.
        let mut parts = Vec::with_capacity(sent.len());
        for (sent, new) in sent {
            parts.push(match new {
                None => sent.id,
                Some((part, members)) => self.send_part(part, &members, definer)?,
            });
        }
        let hides_anything = definer.snapshot.hides_anything(signature);
        let (mut hidden, mut hides) = (Vec::new(), Vec::new());
        if hides_anything {
            let counterparts = definer.snapshot.counterparts(signature, definer.scope);
            for (users, hide) in definer.snapshot.hides(signature, &counterparts) {
                let (place, id) = self.hide(users, definer)?;
                let hide: Hide = convert::hide(convert::set(id), hide);
                hides.push(hide.encode_to_vec());
                hidden.push(place);
            }
        }
        let key = Key { parts, hides, hides_anything };
        if let Some(place) = self.places.get(&key).copied()
            && self.uses(place)
        {
            return Ok(place);
        }
        // A set of its own even of one part: it can end, and its parts stay.
        let expression = convert::union_of(key.parts.iter().copied());
        self.evict_until_fits(size(&expression), definer.out)?;
        let set_id = self.table.define(&expression, key.parts.clone(), definer.out);
        Ok(self.add(key, set_id, hidden))
    }

    fn send_part(
        &mut self,
        part: Part,
        members: &Members,
        definer: &mut Definer<'_>,
    ) -> Result<u64, OverBudget> {
        let sent = self.define_set(members, definer)?;
        self.part_of.insert(sent.id, part.clone());
        self.parts.insert(part, sent);
        Ok(sent.id)
    }

    /// Defines a set. Nobody refers to it yet.
    fn define_set(
        &mut self,
        members: &Members,
        definer: &mut Definer<'_>,
    ) -> Result<SentSet, OverBudget> {
        let Definer { snapshot, out, .. } = definer;
        let user_table = snapshot.users();
        let (empty, used) = (members.is_empty(), self.request);
        let listed = convert::ids(&members.listed_besides(), user_table);
        if *members.open() == Open::Nobody {
            self.evict_until_fits(weight(&listed), out)?;
            let id = self.table.list(&listed, out);
            return Ok(SentSet { id, list: Some(id), except: None, empty, used });
        }
        // Few exceptions stand in the expression; many come in parts as all lists
        // do.
        let exceptions = members.exceptions();
        let (inline, apart) = if exceptions.len() > MAX_INLINE {
            (UserList::default(), convert::ids(&exceptions, user_table))
        } else {
            (convert::users(&exceptions, user_table), Vec::new())
        };
        let say = |except: Option<u64>, inline| {
            let except = except.map_or_else(|| convert::listed(inline), convert::set);
            convert::open_part(members, |_| except).unwrap_or_default()
        };
        // At once, so that no list is left without what it is for. Ids weigh more
        // or less.
        let open = size(&say(None, inline.clone()));
        self.evict_until_fits(weight(&listed) + weight(&apart) + open + SLACK, out)?;
        let mut define =
            |users: &[NamedId<'_>]| (!users.is_empty()).then(|| self.table.list(users, out));
        let (except, list) = (define(&apart), define(&listed));
        let open = say(except, inline);
        let expression = match list {
            Some(list) => convert::any_of(vec![convert::set(list), open]),
            None => open,
        };
        let refers_to = list.into_iter().chain(except).collect();
        let id = self.table.define(&expression, refers_to, out);
        Ok(SentSet { id, list, except, empty, used })
    }

    /// Says a set that nothing will refer to again. What is defined for that is
    /// added to `passing`, to be retired when all is said, and the bytes of its
    /// lists to `listed`.
    pub(super) fn mention(
        &mut self,
        members: &Members,
        passing: &mut Vec<SentSet>,
        listed: &mut u64,
        definer: &mut Definer<'_>,
    ) -> Result<SetExpression, OverBudget> {
        if members.listed_besides().len() <= MAX_INLINE && members.exceptions().len() <= MAX_INLINE
        {
            return Ok(convert::whole(members, definer.snapshot.users()));
        }
        let sent = self.define_set(members, definer)?;
        passing.push(sent);
        *listed += self.table.bytes_of([Some(sent.id), sent.list, sent.except]);
        Ok(convert::set(sent.id))
    }
}
