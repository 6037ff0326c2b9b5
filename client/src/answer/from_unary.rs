//! Groups the answers of unary calls by audience, as streams do.

use std::{collections::HashMap, sync::Arc};

use presence_router_proto::{
    ids::RoomCapabilities,
    v1::{self, GetInterestedUsersResponse, GetUsersForStatesResponse},
};

use super::{Delivery, Hide, Interest, Routed};
use crate::{Error, ProtocolViolation, Set, SetError, list::List, sets::Kind};

/// The entries of an answer that name one state, as indexes into the answer's lists.
/// States that the same entries name share a delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Entries {
    recipients: Vec<usize>,
    open_recipients: Vec<usize>,
    hides: Vec<usize>,
}

// === impl Routed ===

impl Routed {
    pub(crate) fn from_unary(
        senders: Arc<[String]>,
        answer: GetUsersForStatesResponse,
        rooms: RoomCapabilities,
    ) -> Result<Self, Error> {
        let by_state = Entries::by_state(&answer, senders.len())?;
        let GetUsersForStatesResponse { revision, recipients, open_recipients, hides } = answer;
        let open = open_recipients.iter();
        let open = open.map(|open| Set::with_capabilities(open.recipients.as_ref(), rooms));
        let open = open.collect::<Result<Vec<_>, _>>()?;
        let hides = hides.iter().map(|hide| match &hide.hide {
            Some(hide) => read_hide(hide, rooms),
            None => Err(SetError::UnknownKind),
        });
        let hides = hides.collect::<Result<Vec<_>, _>>()?;

        let mut groups: HashMap<Entries, Vec<u32>> = HashMap::new();
        for (index, entries) in (0u32..).zip(by_state) {
            groups.entry(entries).or_default().push(index);
        }
        // A state without recipients has no audience, even if a hide names it.
        groups.retain(|entries, _| {
            !entries.recipients.is_empty() || !entries.open_recipients.is_empty()
        });
        let delivery = |(entries, state_indexes): (Entries, Vec<u32>)| {
            let users = entries.recipients.iter().filter_map(|index| recipients.get(*index));
            let users: Vec<_> = users.map(|recipient| recipient.user_id.as_str()).collect();
            let listed = Kind::Users(List::new(users.iter()));
            let sets = entries.open_recipients.iter().filter_map(|index| open.get(*index));
            let hides = entries.hides.iter().filter_map(|index| hides.get(*index).cloned());
            Delivery {
                recipients: Set(union_with_listed(sets.map(|set| set.0.clone()).collect(), listed)),
                state_indexes,
                hides: hides.collect(),
            }
        };
        Ok(Self::new(revision, senders, groups.into_iter().map(delivery).collect())?)
    }
}

// === impl Entries ===

impl Entries {
    /// Returns the entries that name each state. Fails if an index is out of bounds.
    fn by_state(
        answer: &GetUsersForStatesResponse,
        states: usize,
    ) -> Result<Vec<Self>, ProtocolViolation> {
        let mut all = vec![Self::default(); states];
        let mut note = |indexes: &[u32], entry: usize, list: fn(&mut Self) -> &mut Vec<usize>| {
            for index in indexes {
                let entries = usize::try_from(*index).ok().and_then(|index| all.get_mut(index));
                list(entries.ok_or(ProtocolViolation::StateIndex)?).push(entry);
            }
            Ok::<_, ProtocolViolation>(())
        };
        for (entry, one) in answer.recipients.iter().enumerate() {
            note(&one.state_indexes, entry, |entries| &mut entries.recipients)?;
        }
        for (entry, one) in answer.open_recipients.iter().enumerate() {
            note(&one.state_indexes, entry, |entries| &mut entries.open_recipients)?;
        }
        for (entry, one) in answer.hides.iter().enumerate() {
            note(&one.state_indexes, entry, |entries| &mut entries.hides)?;
        }
        Ok(all)
    }
}

// === impl Interest ===

impl Interest {
    pub(crate) fn from_unary(
        user_id: String,
        answer: GetInterestedUsersResponse,
        rooms: RoomCapabilities,
    ) -> Result<Self, Error> {
        let GetInterestedUsersResponse { revision, user_ids, open_senders, hides } = answer;
        let listed = Kind::Users(List::new(user_ids.iter()));
        let open = match &open_senders {
            Some(open) => vec![Set::with_capabilities(Some(open), rooms)?.0],
            None => Vec::new(),
        };
        let hides = hides.iter().map(|hide| read_hide(hide, rooms)).collect::<Result<_, _>>()?;
        Ok(Self { revision, user_id, senders: Set(union_with_listed(open, listed)), hides })
    }
}

fn read_hide(hide: &v1::Hide, rooms: RoomCapabilities) -> Result<Hide, SetError> {
    Hide::new(hide, |users| Set::strict_with_capabilities(users, rooms))
}

/// Returns the union of open sets, if there are any, and the listed users.
fn union_with_listed(mut open: Vec<Kind>, listed: Kind) -> Kind {
    if open.is_empty() {
        return listed;
    }
    open.push(listed);
    Kind::any_of(open)
}
