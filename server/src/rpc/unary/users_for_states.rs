//! The answer of `GetUsersForStates`.

use std::collections::{BTreeSet, HashMap};

use presence_router_proto::v1::{
    GetUsersForStatesResponse, OpenRecipients, RecipientStates, StatesHide,
};
use prost::Message;
use roaring::RoaringBitmap;

use super::{check_lists, check_size, write_hide};
use crate::live::Current;
use crate::rpc::convert;
use crate::rpc::error::RpcError;
use presence_router_engine::Side;
use presence_router_engine::unstable::routing::query::conditional_members::ConditionalMembers;
use presence_router_engine::unstable::routing::query::shadow::Shadowed;
use presence_router_engine::unstable::routing::query::visibility::{
    AppliedHide, CallerView, Signature,
};
use presence_router_engine::unstable::routing::snapshot::members::Members;
use presence_router_ids::UserId;

/// Advice to a caller whose answer is over the limit.
const FEWER_STATES: &str = "ask for fewer states, or use the stream `RouteStates`";

/// An incomplete answer, to which each signature of senders is added in turn.
struct Recipients<'a> {
    current: &'a Current,
    view: &'a CallerView,
    /// For each state, the number of its sender if the sender is listed.
    senders: Vec<Option<u32>>,
    /// Most bytes of the answer.
    limit: usize,
    /// A lower bound of the answer's size: its user ids, and one byte for each index.
    bytes: usize,
    /// For each recipient, the indexes of its states.
    listed: HashMap<u32, Vec<u32>>,
    open: Vec<OpenRecipients>,
    hides: Vec<StatesHide>,
}

/// The users that must receive each state, for the senders of a batch.
///
/// Fails with [`RpcError::AnswerTooLarge`] as soon as the answer has more than `limit` bytes,
/// before it fills the memory.
pub(in crate::rpc) fn users_for_states(
    current: &Current,
    view: &CallerView,
    senders: &[UserId<'_>],
    limit: usize,
) -> Result<GetUsersForStatesResponse, RpcError> {
    let snapshot = &current.snapshot;
    let mut by_signature: HashMap<Signature, Vec<u32>> = HashMap::new();
    for (index, sender) in (0u32..).zip(senders) {
        let signature = snapshot.signature(*sender, Side::Sender, view.caller());
        by_signature.entry(signature).or_default().push(index);
    }
    let mut recipients = Recipients::new(current, view, senders, limit);
    for (signature, indexes) in by_signature {
        recipients.add_states(&signature, indexes)?;
    }
    check_size(recipients.into_response(), limit, FEWER_STATES)
}

// === impl Recipients ===

impl<'a> Recipients<'a> {
    fn new(
        current: &'a Current,
        view: &'a CallerView,
        senders: &[UserId<'_>],
        limit: usize,
    ) -> Self {
        let users = current.snapshot.users();
        Self {
            current,
            view,
            senders: senders.iter().map(|sender| users.number(sender.as_str())).collect(),
            limit,
            bytes: 0,
            listed: HashMap::new(),
            open: Vec::new(),
            hides: Vec::new(),
        }
    }

    /// Adds the recipients of states whose senders have one signature.
    fn add_states(&mut self, signature: &Signature, indexes: Vec<u32>) -> Result<(), RpcError> {
        let mut audience = self.current.snapshot.counterparts(signature, self.view);
        self.count_shadows(signature, &indexes);
        let current = self.current;
        let hides = current.snapshot.hides(signature, &audience.at_most());
        let listed = audience.take_certain();
        self.add_listed(&listed, &indexes)?;
        self.add_hides(&hides, &indexes)?;
        self.add_open(&audience, indexes)
    }

    fn count_shadows(&self, signature: &Signature, indexes: &[u32]) {
        let snapshot = &self.current.snapshot;
        if !snapshot.has_shadows() {
            return;
        }
        for Shadowed { rule, except } in snapshot.shadowed(signature, self.view) {
            let changed =
                |index: &&u32| except.is_none() || sender_of(&self.senders, **index) != except;
            let states = indexes.iter().filter(changed).count();
            self.current.shadows.add_states(rule, states as u64);
        }
    }

    fn add_listed(&mut self, listed: &RoaringBitmap, indexes: &[u32]) -> Result<(), RpcError> {
        let users = self.current.snapshot.users();
        for recipient in listed {
            let states = self.listed.entry(recipient).or_default();
            let had = states.len();
            let senders = &self.senders;
            let is_own = |index: &&u32| sender_of(senders, **index) == Some(recipient);
            states.extend(indexes.iter().filter(|index| !is_own(index)));
            self.bytes += states.len() - had;
            if had == 0 && !states.is_empty() {
                self.bytes += users.id(recipient).len();
            }
            self.check_bytes()?;
        }
        Ok(())
    }

    fn add_hides(&mut self, hides: &[AppliedHide<'_>], indexes: &[u32]) -> Result<(), RpcError> {
        let users = self.current.snapshot.users();
        for applied in hides {
            self.bytes =
                check_lists([&applied.users], users, self.bytes, self.limit, FEWER_STATES)?;
            let hide = Some(write_hide(applied, users));
            self.hides.push(StatesHide { hide, state_indexes: indexes.to_vec() });
        }
        Ok(())
    }

    /// Adds the recipients whom no list contains: users by server or pattern, and users who
    /// depend on relations.
    fn add_open(
        &mut self,
        audience: &ConditionalMembers,
        indexes: Vec<u32>,
    ) -> Result<(), RpcError> {
        let snapshot = &self.current.snapshot;
        let users = snapshot.users();
        check_lists(audience.all_sets(), users, self.bytes, self.limit, FEWER_STATES)?;
        let Some(recipients) = convert::conditional_to_expression(audience, users) else {
            return Ok(());
        };
        let destinations = self.destinations_of(&audience.at_most());
        let open =
            OpenRecipients { recipients: Some(recipients), state_indexes: indexes, destinations };
        self.bytes += open.encoded_len();
        self.check_bytes()?;
        self.open.push(open);
        Ok(())
    }

    /// Returns the servers on which recipients may live, by an open rule or as listed users,
    /// without the caller's own. Sorted.
    fn destinations_of(&self, recipients: &Members) -> Vec<String> {
        let snapshot = &self.current.snapshot;
        let mut names: BTreeSet<_> = snapshot.destinations(recipients.open()).into_iter().collect();
        let listed = recipients.listed_besides();
        names.extend(snapshot.users().ids(listed.iter()).map(|id| id.parts().1));
        names.retain(|name| !self.view.caller().holds(name));
        names.into_iter().map(str::to_owned).collect()
    }

    fn check_bytes(&self) -> Result<(), RpcError> {
        let limit = self.limit;
        if self.bytes > limit {
            return Err(RpcError::AnswerTooLarge { limit, instead: FEWER_STATES });
        }
        Ok(())
    }

    fn into_response(self) -> GetUsersForStatesResponse {
        let users = self.current.snapshot.users();
        let listed = self.listed.into_iter().filter(|(_, indexes)| !indexes.is_empty());
        let mut recipients: Vec<_> = listed
            .map(|(recipient, mut state_indexes)| {
                state_indexes.sort_unstable();
                RecipientStates { user_id: users.id(recipient).into(), state_indexes }
            })
            .collect();
        recipients.sort_unstable_by(|a, b| a.user_id.cmp(&b.user_id));
        GetUsersForStatesResponse {
            revision: self.current.revision.to_string(),
            recipients,
            open_recipients: self.open,
            hides: self.hides,
        }
    }
}

/// The number of a state's sender, if the sender is listed.
fn sender_of(senders: &[Option<u32>], index: u32) -> Option<u32> {
    *senders.get(usize::try_from(index).ok()?)?
}
