//! The answers that verdicts come from, and their replacement while the daemon is away.

use std::sync::Arc;

use presence_router_proto::ids::RoomConditions;

use super::{Basis, WhenAway};
use crate::{
    Error, NamedServers, NearCache, PresenceRouter, Set,
    answer::{AnswerValue, Counterparts, Delivery, Hide, SharedAnswer},
    sets::Kind,
};

/// The router that is asked.
#[derive(Clone, Debug)]
pub(super) enum Source {
    NearCache(NearCache, WhenAway),
    Router(Arc<dyn PresenceRouter>),
}

/// The counterparts of one user, without the user, and their origin.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// `None`: there are no counterparts.
    value: Option<AnswerValue>,
    pub(super) basis: Basis,
}

/// The number of values that no near-cache made.
const UNNUMBERED: u64 = u64::MAX;

// === impl Source ===

impl Source {
    /// Finds the senders whom a recipient sees.
    pub(super) async fn find_interest(&self, recipient: &str) -> Result<Answer, Error> {
        match self {
            Self::NearCache(cache, when_away) => {
                let found = cache.interest(recipient).await.map(|found| found.into_shared());
                found.map(Answer::remembered).or_else(|error| replace(error, cache, *when_away))
            }
            Self::Router(router) => match router.interested_users(recipient.to_owned()).await {
                Ok(interest) => Ok(Answer::current(interest.senders, interest.hides)),
                Err(error) if error.is_refusal() => Err(error),
                Err(_) => Ok(Answer::nobody()),
            },
        }
    }

    /// Finds the recipients who see a sender.
    pub(super) async fn find_audience(&self, sender: &str) -> Result<Answer, Error> {
        match self {
            Self::NearCache(cache, when_away) => {
                let found = cache.audience(sender).await.map(|found| found.into_shared());
                found.map(Answer::remembered).or_else(|error| replace(error, cache, *when_away))
            }
            Self::Router(router) => match router.users_for_states(vec![sender.to_owned()]).await {
                Ok(routed) => Ok(match routed.deliveries.into_iter().next() {
                    Some(Delivery { recipients, hides, .. }) => Answer::current(recipients, hides),
                    None => Answer { value: None, basis: Basis::Current },
                }),
                Err(error) if error.is_refusal() => Err(error),
                Err(_) => Ok(Answer::nobody()),
            },
        }
    }

    /// Returns the servers that the policy names. `None`: the router does not tell.
    pub(super) fn named_servers(&self) -> Option<NamedServers> {
        match self {
            Self::NearCache(cache, _) => Some(cache.named_servers()),
            Self::Router(_) => None,
        }
    }
}

/// Returns the answer in place of one that failed, if the daemon is away.
fn replace(error: Error, cache: &NearCache, when_away: WhenAway) -> Result<Answer, Error> {
    if error.is_refusal() {
        return Err(error);
    }
    // A question can also fail while there is a connection, or shortly after: that is no reason
    // to show what the policy may deny.
    Ok(match when_away {
        WhenAway::Rooms if cache.is_away() => Answer::room_mates(),
        WhenAway::Rooms | WhenAway::Nobody => Answer::nobody(),
    })
}

// === impl Answer ===

impl Answer {
    pub(super) fn remembered(found: SharedAnswer) -> Self {
        let basis = if found.stale { Basis::Stale } else { Basis::Current };
        Self { value: found.value, basis }
    }

    pub(super) fn current(counterparts: Set, hides: Vec<Hide>) -> Self {
        let value = AnswerValue::new(UNNUMBERED, counterparts, hides);
        Self { value: Some(value), basis: Basis::Current }
    }

    fn nobody() -> Self {
        Self { value: None, basis: Basis::Nobody }
    }

    /// Returns the answer that a homeserver would compute without a daemon.
    fn room_mates() -> Self {
        let any_room = Set(Kind::RoomMates(RoomConditions::default().into()));
        let value = AnswerValue::new(UNNUMBERED, any_room, Vec::new());
        Self { value: Some(value), basis: Basis::Rooms }
    }

    /// Returns the counterparts of the user whose answer this is.
    pub(super) fn counterparts_of<'s>(&'s self, user_id: &'s str) -> Counterparts<'s> {
        let value = self.value.as_ref();
        let hides = value.map(AnswerValue::hides).unwrap_or_default();
        Counterparts::new(user_id, value.map(|value| &value.set), hides)
    }
}
