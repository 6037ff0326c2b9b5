//! Answers of the two unary calls: the finite part spelled out, the user itself
//! left away, the open part as an expression.

use std::collections::HashMap;

use presence_router_proto::v1::{
    GetInterestedUsersResponse, GetUsersForStatesResponse, OpenRecipients, RecipientStates,
    StatesHide,
};
use prost::Message;

use super::express;
use super::fault::Fault;
use crate::live::Current;
use crate::routing::relation::{Scope, Side, Signature};
use crate::routing::shadow::Shadowed;
use crate::routing::user_id::UserId;

/// Who must receive each state, for the senders of a batch.
///
/// Fails with [`Fault::AnswerTooLarge`] as soon as the answer is known to have
/// more than `limit` bytes, before it fills the memory.
pub(super) fn users_for_states(
    current: &Current,
    scope: &Scope,
    senders: &[UserId<'_>],
    limit: usize,
) -> Result<GetUsersForStatesResponse, Fault> {
    let snapshot = &current.snapshot;
    let people = snapshot.people();
    let mut by_signature: HashMap<Signature, Vec<u32>> = HashMap::new();
    for (index, sender) in (0u32..).zip(senders) {
        let signature = snapshot.signature(*sender, Side::Sender, scope.caller());
        by_signature.entry(signature).or_default().push(index);
    }

    let numbers: Vec<Option<u32>> = senders.iter().map(|s| people.number(s.as_str())).collect();
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
                bytes += people.id(recipient).len();
            }
            if bytes > limit {
                return Err(Fault::AnswerTooLarge { limit });
            }
        }
        for (users, hide) in snapshot.hides(&signature, &audience) {
            let hide = Some(express::hide(express::whole(&users, people), hide));
            hides.push(StatesHide { hide, state_indexes: indexes.clone() });
        }
        if let Some(recipients) =
            express::open_part(&audience, |except| express::list(except, people))
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
                return Err(Fault::AnswerTooLarge { limit });
            }
            open_recipients.push(open);
        }
    }

    let mut recipients: Vec<_> = by_recipient
        .into_iter()
        .filter(|(_, indexes)| !indexes.is_empty())
        .map(|(recipient, mut state_indexes)| {
            state_indexes.sort_unstable();
            RecipientStates { user_id: people.id(recipient).into(), state_indexes }
        })
        .collect();
    recipients.sort_unstable_by(|a, b| a.user_id.cmp(&b.user_id));
    within(
        GetUsersForStatesResponse {
            revision: current.revision.to_string(),
            recipients,
            open_recipients,
            hides,
        },
        limit,
    )
}

/// Whose presence a user may see.
pub(super) fn interested_users(
    current: &Current,
    scope: &Scope,
    recipient: UserId<'_>,
    limit: usize,
) -> Result<GetInterestedUsersResponse, Fault> {
    let people = current.snapshot.people();
    let signature = current.snapshot.signature(recipient, Side::Recipient, scope.caller());
    let interest = current.snapshot.counterparts(&signature, scope);
    let hides = current.snapshot.hides(&signature, &interest).into_iter();
    let hides = hides.map(|(users, hide)| express::hide(express::whole(&users, people), hide));
    let mut listed = interest.listed_besides();
    if let Some(own) = people.number(recipient.as_str()) {
        listed.remove(own);
    }
    within(
        GetInterestedUsersResponse {
            revision: current.revision.to_string(),
            user_ids: express::users(&listed, people).user_ids,
            open_senders: express::open_part(&interest, |except| express::list(except, people)),
            hides: hides.collect(),
        },
        limit,
    )
}

/// Refuses an answer over the limit.
pub(super) fn within<M: Message>(answer: M, limit: usize) -> Result<M, Fault> {
    if answer.encoded_len() > limit { Err(Fault::AnswerTooLarge { limit }) } else { Ok(answer) }
}
