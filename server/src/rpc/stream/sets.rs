//! The sets that a stream has defined: each once, referred to by id from then
//! on.

use std::collections::HashMap;

use presence_router_proto::v1::{SetExpression, SetPart, UserList, set_part::Content};
use roaring::RoaringBitmap;

use crate::routing::caller::Caller;
use crate::routing::people::People;
use crate::routing::relation::{Part, Signature};
use crate::routing::snapshot::Snapshot;
use crate::rpc::express;

/// The id that stands for nobody.
pub(super) const NOBODY: u64 = 0;

/// Most bytes of user ids in one message: well below what clients take.
const MAX_PART_BYTES: usize = 128 * 1024;

/// The sets that are live on a stream.
#[derive(Debug, Default)]
pub(super) struct Sets {
    /// Never reset: ids are never used again.
    last_id: u64,
    parts: HashMap<Part, u64>,
    wholes: HashMap<Signature, u64>,
}

// === impl Sets ===

impl Sets {
    /// Forgets all sets, as the client does on `Reset`.
    pub(super) fn clear(&mut self) {
        self.parts.clear();
        self.wholes.clear();
    }

    /// How many sets and audiences are remembered.
    pub(super) fn len(&self) -> usize {
        self.parts.len() + self.wholes.len()
    }

    /// The set of all counterparts of the users with a signature. What must be
    /// defined for it is added to `out`.
    pub(super) fn counterparts(
        &mut self,
        signature: Signature,
        snapshot: &Snapshot,
        caller: &Caller,
        out: &mut Vec<SetPart>,
    ) -> u64 {
        if let Some(id) = self.wholes.get(&signature) {
            return *id;
        }
        let mut ids: Vec<u64> =
            signature.parts().map(|part| self.part(part, snapshot, caller, out)).collect();
        ids.retain(|id| *id != NOBODY);
        let id = match ids.as_slice() {
            [] => NOBODY,
            [only] => *only,
            _ => self.define(express::union_of(ids), out),
        };
        self.wholes.insert(signature, id);
        id
    }

    fn part(
        &mut self,
        part: Part,
        snapshot: &Snapshot,
        caller: &Caller,
        out: &mut Vec<SetPart>,
    ) -> u64 {
        if let Some(id) = self.parts.get(&part) {
            return *id;
        }
        let members = snapshot.part(&part, caller);
        let listed = members.listed_besides();
        let id = match express::open_part(&members, snapshot.people()) {
            None if listed.is_empty() => NOBODY,
            None => self.list(&listed, snapshot.people(), out),
            Some(open) if listed.is_empty() => self.define(open, out),
            Some(open) => {
                let list = self.list(&listed, snapshot.people(), out);
                self.define(express::any_of(vec![express::set(list), open]), out)
            }
        };
        self.parts.insert(part, id);
        id
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
        for user in users {
            let user_id = people.id(user);
            bytes += user_id.len();
            if bytes > MAX_PART_BYTES {
                part(std::mem::take(&mut user_ids), false);
                bytes = user_id.len();
            }
            user_ids.push(user_id.to_owned());
        }
        part(user_ids, true);
        id
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}
