//! Defines sets of users: lists, and expressions over them, within the client's budget.

use presence_router_proto::v1::{SetExpression, UserList};

use super::{Definer, OverBudget, SentSet, SentSets};
use crate::rpc::convert;
use crate::rpc::stream::set_table::{SetId, expression_bytes, user_id_bytes};
use presence_router_engine::unstable::routing::query::parts::Part;
use presence_router_engine::unstable::routing::snapshot::members::{Members, Open};
use presence_router_engine::unstable::routing::snapshot::user_table::NamedId;

/// Most users that an expression lists inline.
const MAX_INLINE: u64 = 100;

/// Upper bound of the bytes that references add to an expression.
const REFERENCE_BYTES: u64 = 64;

// === impl SentSets ===

impl SentSets {
    /// Defines the set of a part, and remembers it.
    pub(super) fn define_part(
        &mut self,
        part: Part,
        members: &Members,
        definer: &mut Definer<'_>,
    ) -> Result<SetId, OverBudget> {
        let sent = self.define_set(members, definer)?;
        self.part_of.insert(sent.id, part.clone());
        self.parts.insert(part, sent);
        Ok(sent.id)
    }

    /// Defines a set. No other set refers to it yet.
    pub(super) fn define_set(
        &mut self,
        members: &Members,
        definer: &mut Definer<'_>,
    ) -> Result<SentSet, OverBudget> {
        let Definer { snapshot, out, .. } = definer;
        let user_table = snapshot.users();
        let (empty, used) = (members.is_empty(), self.request);
        let listed = convert::user_ids(&members.listed_besides(), user_table);
        if *members.open() == Open::Nobody {
            self.evict_until_fits(user_id_bytes(&listed), out)?;
            let id = self.table.define_list(&listed, out);
            return Ok(SentSet { id, list: Some(id), except: None, empty, used });
        }
        // The expression contains few exceptions itself; many are a list of their own, which is
        // sent in parts.
        let exceptions = members.exceptions();
        let (inline, apart) = if exceptions.len() > MAX_INLINE {
            (UserList::default(), convert::user_ids(&exceptions, user_table))
        } else {
            (convert::user_list(&exceptions, user_table), Vec::new())
        };
        let open_part = |except: Option<SetId>, inline| {
            let except = match except {
                Some(except) => convert::set_reference(except.get()),
                None => convert::user_list_expression(inline),
            };
            convert::open_part_to_expression(members, |_| except).unwrap_or_default()
        };
        // Make room for the lists and the expression at once, so that no list is sent without
        // its expression. The sum is an upper bound, since encoded set ids vary in length.
        let open = expression_bytes(&open_part(None, inline.clone()));
        let bytes = user_id_bytes(&listed) + user_id_bytes(&apart) + open + REFERENCE_BYTES;
        self.evict_until_fits(bytes, out)?;
        let mut define =
            |users: &[NamedId<'_>]| (!users.is_empty()).then(|| self.table.define_list(users, out));
        let (except, list) = (define(&apart), define(&listed));
        let open = open_part(except, inline);
        let expression = match list {
            Some(list) => convert::any_of(vec![convert::set_reference(list.get()), open]),
            None => open,
        };
        let refers_to = list.into_iter().chain(except).collect();
        let id = self.table.define_expression(&expression, refers_to, out);
        Ok(SentSet { id, list, except, empty, used })
    }

    /// Writes a set that only one change refers to. A large set has to be defined for this: it
    /// is added to `temporary`, to be retired after the change, and its bytes to `listed`.
    pub(in crate::rpc::stream) fn write_temporary_set(
        &mut self,
        members: &Members,
        temporary: &mut Vec<SentSet>,
        listed: &mut u64,
        definer: &mut Definer<'_>,
    ) -> Result<SetExpression, OverBudget> {
        if members.listed_besides().len() <= MAX_INLINE && members.exceptions().len() <= MAX_INLINE
        {
            return Ok(convert::members_to_expression(members, definer.snapshot.users()));
        }
        let sent = self.define_set(members, definer)?;
        temporary.push(sent);
        *listed += self.table.bytes_of([Some(sent.id), sent.list, sent.except]);
        Ok(convert::set_reference(sent.id.get()))
    }
}
