//! Answers of the two unary calls: the finite part spelled out, the user itself
//! left away, the open part as an expression.

use std::collections::HashMap;

use presence_router_proto::v1::{
    GetUsersForStatesResponse, OpenRecipients, RecipientStates, StatesHide,
};
use presence_router_proto::wire::GetInterestedUsersResponse;
use prost::Message;
use roaring::RoaringBitmap;

use crate::live::Current;
use crate::rpc::convert;
use crate::rpc::error::RpcError;
use presence_router_engine::Side;
use presence_router_engine::unstable::routing::query::relation::{CallerView, Signature};
use presence_router_engine::unstable::routing::query::shadow::Shadowed;
use presence_router_engine::unstable::routing::snapshot::members::{Members, Open};
use presence_router_ids::UserId;

/// Advice to a caller of `GetUsersForStates` whose answer is over the limit.
const FEWER_STATES: &str = "ask for fewer states, or use the stream `RouteStates`";

/// Advice to a caller of `GetInterestedUsers` whose answer is over the limit.
const BY_STREAM: &str = "use the stream `RouteStates`, whose answers have no such limit";

/// Whose presence a user may see, before it is spelled out.
#[derive(Debug)]
pub struct Interest {
    signature: Signature,
    senders: Members,
    /// The finite part of them, without the user itself.
    listed: RoaringBitmap,
}

/// Who must receive each state, for the senders of a batch.
///
/// Fails with [`RpcError::AnswerTooLarge`] as soon as the answer is known to have
/// more than `limit` bytes, before it fills the memory.
pub(super) fn users_for_states(
    current: &Current,
    scope: &CallerView,
    senders: &[UserId<'_>],
    limit: usize,
) -> Result<GetUsersForStatesResponse, RpcError> {
    let snapshot = &current.snapshot;
    let user_table = snapshot.users();
    let mut by_signature: HashMap<Signature, Vec<u32>> = HashMap::new();
    for (index, sender) in (0u32..).zip(senders) {
        let signature = snapshot.signature(*sender, Side::Sender, scope.caller());
        by_signature.entry(signature).or_default().push(index);
    }

    let numbers: Vec<Option<u32>> = senders.iter().map(|s| user_table.number(s.as_str())).collect();
    let number_of = |index: u32| usize::try_from(index).ok().and_then(|i| *numbers.get(i)?);
    let mut by_recipient: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut open_recipients = Vec::new();
    let mut hides = Vec::new();
    // Ids, and a byte at least for each index: never more than the answer has.
    let mut bytes = 0;
    for (signature, indexes) in by_signature {
        let audience = snapshot.counterparts(&signature, scope);
        if snapshot.has_shadows() {
            for Shadowed { rule, except } in snapshot.shadowed(&signature, scope) {
                let changed = |index: &&u32| except.is_none() || number_of(**index) != except;
                current.shadows.add(rule, indexes.iter().filter(changed).count() as u64);
            }
        }
        for recipient in &audience.listed_besides() {
            let states = by_recipient.entry(recipient).or_default();
            let had = states.len();
            states.extend(indexes.iter().filter(|index| number_of(**index) != Some(recipient)));
            bytes += states.len() - had;
            if had == 0 && !states.is_empty() {
                bytes += user_table.id(recipient).len();
            }
            if bytes > limit {
                return Err(RpcError::AnswerTooLarge { limit, instead: FEWER_STATES });
            }
        }
        for (users, hide) in snapshot.hides(&signature, &audience) {
            let hide = Some(convert::hide(convert::whole(&users, user_table), hide));
            hides.push(StatesHide { hide, state_indexes: indexes.clone() });
        }
        if let Some(recipients) =
            convert::open_part(&audience, |except| convert::list(except, user_table))
        {
            let mut destinations = snapshot.destinations(audience.open());
            destinations.retain(|name| !scope.caller().holds(name));
            let destinations = destinations.into_iter().map(str::to_owned).collect();
            let open = OpenRecipients {
                recipients: Some(recipients),
                state_indexes: indexes,
                destinations,
            };
            bytes += open.encoded_len();
            if bytes > limit {
                return Err(RpcError::AnswerTooLarge { limit, instead: FEWER_STATES });
            }
            open_recipients.push(open);
        }
    }

    let mut recipients: Vec<_> = by_recipient
        .into_iter()
        .filter(|(_, indexes)| !indexes.is_empty())
        .map(|(recipient, mut state_indexes)| {
            state_indexes.sort_unstable();
            RecipientStates { user_id: user_table.id(recipient).into(), state_indexes }
        })
        .collect();
    recipients.sort_unstable_by(|a, b| a.user_id.cmp(&b.user_id));
    check_size(
        GetUsersForStatesResponse {
            revision: current.revision.to_string(),
            recipients,
            open_recipients,
            hides,
        },
        limit,
        FEWER_STATES,
    )
}

// === impl Interest ===

impl Interest {
    /// Of one user.
    pub fn compute(current: &Current, scope: &CallerView, recipient: UserId<'_>) -> Self {
        let snapshot = &current.snapshot;
        let signature = snapshot.signature(recipient, Side::Recipient, scope.caller());
        let senders = snapshot.counterparts(&signature, scope);
        let mut listed = senders.listed_besides();
        if let Some(own) = snapshot.users().number(recipient.as_str()) {
            listed.remove(own);
        }
        Self { signature, senders, listed }
    }

    /// How many senders are to be spelled out.
    pub fn listed(&self) -> u64 {
        self.listed.len()
    }

    /// Whether there are senders besides, who are told by an expression.
    pub fn is_open(&self) -> bool {
        *self.senders.open() != Open::Nobody
    }

    /// The answer.
    ///
    /// # Errors
    ///
    /// [`RpcError::AnswerTooLarge`] as soon as it is known to have more than `limit`
    /// bytes, before it fills the memory.
    pub fn to_response(
        &self,
        current: &Current,
        limit: usize,
    ) -> Result<GetInterestedUsersResponse, RpcError> {
        let (snapshot, user_table) = (&current.snapshot, current.snapshot.users());
        let mut bytes = 0;
        for id in user_table.ids(self.listed.iter()) {
            bytes += id.len();
            if bytes > limit {
                return Err(RpcError::AnswerTooLarge { limit, instead: BY_STREAM });
            }
        }
        let hides = snapshot.hides(&self.signature, &self.senders).into_iter();
        let hides =
            hides.map(|(users, hide)| convert::hide(convert::whole(&users, user_table), hide));
        let answer = GetInterestedUsersResponse::new(
            &current.revision.to_string(),
            convert::ids(&self.listed, user_table).iter().map(|id| id.parts()),
            convert::open_part(&self.senders, |except| convert::list(except, user_table)).as_ref(),
            &hides.collect::<Vec<_>>(),
        );
        check_size(answer, limit, BY_STREAM)
    }
}

/// Refuses an answer over the limit. `instead` is the advice to the caller.
pub(super) fn check_size<M: Message>(
    answer: M,
    limit: usize,
    instead: &'static str,
) -> Result<M, RpcError> {
    if answer.encoded_len() > limit {
        return Err(RpcError::AnswerTooLarge { limit, instead });
    }
    Ok(answer)
}
