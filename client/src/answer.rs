//! Answers in the form that a homeserver uses: unary calls, streams and the engine in
//! the process return the same types.
//!
//! Sets in answers are modulo self: they may contain the user that they belong to.
//! [`Counterparts`] leaves that user out, so that callers need not.

mod cached;
mod counterparts;
mod from_unary;

use std::sync::Arc;

use presence_router_proto::v1::{self, PresenceField};

pub(crate) use self::cached::{AnswerValue, Heard};
pub use self::{
    cached::{CachedAnswer, SharedAnswer},
    counterparts::{Counterparts, VisibleSender},
};
use crate::{ProtocolViolation, Set, SetError};

/// The recipients of each of some states.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Routed {
    /// The revision that the whole answer was computed at. Opaque; compare for
    /// equality only.
    pub revision: String,
    /// The senders in the request: one for each state, in the same order.
    pub senders: Arc<[String]>,
    /// One entry for each distinct combination of audience and hides, in no particular
    /// order. A state that no user may see is in no entry, any other in exactly one.
    pub deliveries: Vec<Delivery>,
    /// The index of each state's delivery, or [`NO_DELIVERY`].
    delivery_indexes: Box<[u32]>,
}

const NO_DELIVERY: u32 = u32::MAX;

/// The states that share one audience and its hides.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The audience. Modulo self: it may contain senders of these states.
    pub recipients: Set,
    /// Indexes into `senders`, from 0, ascending, at least one.
    pub state_indexes: Vec<u32>,
    /// Fields that must not be shown to some of the recipients. Several hides that
    /// apply to one recipient add up.
    pub hides: Vec<Hide>,
}

/// The senders whose presence one user may see.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interest {
    /// The revision that the answer was computed at. Opaque.
    pub revision: String,
    /// The user in the request, who is the recipient.
    pub user_id: String,
    /// The senders. Modulo self: the set may contain the user itself.
    pub senders: Set,
    /// Fields that must not be shown of some of the senders. Several hides that apply
    /// to one sender add up.
    pub hides: Vec<Hide>,
}

/// Fields of presence that must not be shown to some users.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hide {
    /// The users to whom the hide applies: recipients in an answer about states,
    /// senders in an answer about interest. If the set depends on rooms, the hide applies to a
    /// user unless [`Set::contains_if`] returns `Some(false)`.
    pub users: Set,
    /// The hidden fields.
    pub fields: Fields,
    /// Values of `presence` for which nothing is hidden. Empty: the fields are always
    /// hidden.
    pub unless_presence: Vec<String>,
}

/// The set of hidden fields of presence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fields {
    /// Everything: deliver `offline`, without status and activity.
    pub presence: bool,
    /// The status message.
    pub status_msg: bool,
    /// The time of last activity.
    pub last_active_ts: bool,
    /// The flag for a user who is active at the moment.
    pub currently_active: bool,
}

// === impl Routed ===

impl Routed {
    /// Creates the answer.
    ///
    /// # Errors
    /// If an index is out of bounds or occurs twice.
    pub(crate) fn new(
        revision: String,
        senders: Arc<[String]>,
        deliveries: Vec<Delivery>,
    ) -> Result<Self, ProtocolViolation> {
        let mut delivery_indexes: Box<[u32]> = vec![NO_DELIVERY; senders.len()].into();
        for (delivery_index, delivery) in (0..NO_DELIVERY).zip(&deliveries) {
            for index in &delivery.state_indexes {
                let of =
                    usize::try_from(*index).ok().and_then(|index| delivery_indexes.get_mut(index));
                match of {
                    Some(of) if *of == NO_DELIVERY => *of = delivery_index,
                    _ => return Err(ProtocolViolation::StateIndex),
                }
            }
        }
        Ok(Self { revision, senders, deliveries, delivery_indexes })
    }

    /// Returns the recipients of the state at an index. Empty if the index is out of
    /// bounds.
    pub fn audience(&self, index: usize) -> Counterparts<'_> {
        let user_id = self.senders.get(index).map(String::as_str).unwrap_or_default();
        let delivery = self.delivery_indexes.get(index).filter(|index| **index != NO_DELIVERY);
        let delivery = delivery.and_then(|index| usize::try_from(*index).ok());
        let delivery = delivery.and_then(|index| self.deliveries.get(index));
        let hides = delivery.map(|delivery| delivery.hides.as_slice()).unwrap_or_default();
        Counterparts::new(user_id, delivery.map(|delivery| &delivery.recipients), hides)
    }

    /// Returns the indexes of the states that a recipient must receive, ascending,
    /// without the recipient's own states. An audience that depends on rooms counts if it
    /// contains the recipient whatever rooms there are.
    pub fn states_for(&self, recipient: &str) -> Vec<u32> {
        let deliveries = self.deliveries.iter().filter(|one| one.recipients.contains(recipient));
        let indexes = deliveries.flat_map(|delivery| &delivery.state_indexes).copied();
        let mut indexes: Vec<u32> = indexes
            .filter(|index| {
                let sender = usize::try_from(*index).ok().and_then(|at| self.senders.get(at));
                sender.is_some_and(|sender| sender != recipient)
            })
            .collect();
        indexes.sort_unstable();
        indexes
    }
}

// === impl Interest ===

impl Interest {
    /// Returns the senders whose presence the user may see, without the user itself.
    pub fn visible_senders(&self) -> Counterparts<'_> {
        Counterparts::new(&self.user_id, Some(&self.senders), &self.hides)
    }
}

// === impl Hide ===

impl Hide {
    /// Converts the hide of a unary answer. An unknown field hides everything.
    ///
    /// # Errors
    /// If the set of users is missing or of an unknown kind.
    pub fn from_message(hide: &v1::Hide) -> Result<Self, SetError> {
        Self::new(hide, Set::new_strict)
    }

    /// Returns true if something is hidden while the sender has this presence.
    fn applies_to(&self, presence: &str) -> bool {
        !self.unless_presence.iter().any(|unless| unless == presence)
    }

    pub(crate) fn new<E>(
        hide: &v1::Hide,
        set: impl FnOnce(Option<&v1::SetExpression>) -> Result<Set, E>,
    ) -> Result<Self, E> {
        // The contract does not allow an empty list: treat it as an unknown field.
        let mut fields = Fields { presence: hide.fields.is_empty(), ..Fields::default() };
        for field in &hide.fields {
            match PresenceField::try_from(*field) {
                Ok(PresenceField::StatusMsg) => fields.status_msg = true,
                Ok(PresenceField::LastActiveTs) => fields.last_active_ts = true,
                Ok(PresenceField::CurrentlyActive) => fields.currently_active = true,
                // An unknown field means "hide everything".
                Ok(PresenceField::Presence | PresenceField::Unspecified) | Err(_) => {
                    fields.presence = true;
                }
            }
        }
        let unless_presence = hide.unless_presence.clone();
        Ok(Self { users: set(hide.users.as_ref())?, fields, unless_presence })
    }
}

// === impl Fields ===

impl Fields {
    /// No field.
    pub const NONE: Self =
        Self { presence: false, status_msg: false, last_active_ts: false, currently_active: false };

    /// Every field.
    pub const ALL: Self =
        Self { presence: true, status_msg: true, last_active_ts: true, currently_active: true };

    /// Returns true if no field is hidden.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Returns the fields that are hidden in any of two sets.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            presence: self.presence | other.presence,
            status_msg: self.status_msg | other.status_msg,
            last_active_ts: self.last_active_ts | other.last_active_ts,
            currently_active: self.currently_active | other.currently_active,
        }
    }
}

#[cfg(test)]
mod tests;
