//! Answers as a homeserver works with them: the same type from a unary call, a
//! stream, and an engine in the process.
//!
//! Sets in answers are modulo self: they may hold the very user that they are
//! for. [`Counterparts`] leaves that user away, so nobody else has to.

mod from_unary;

use std::sync::Arc;

use presence_router_proto::v1::{self, PresenceField};

use crate::{ProtocolViolation, Set, SetError};

/// Who must receive each of some states.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Routed {
    /// The revision that all of it was computed at. Opaque; compare for equality
    /// only.
    pub revision: String,
    /// The senders that were asked about: one for each state, in their order.
    pub senders: Arc<[String]>,
    /// One entry for each distinct audience with its hides, without order. A
    /// state that nobody may see is in none, any other in exactly one.
    pub deliveries: Vec<Delivery>,
    /// For each state the index of its delivery, or [`NO_DELIVERY`].
    delivery_indexes: Box<[u32]>,
}

const NO_DELIVERY: u32 = u32::MAX;

/// The states that have one audience.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The audience. Modulo self: it may hold senders of its own states.
    pub recipients: Set,
    /// Indexes into `senders`, from 0, ascending, at least one.
    pub state_indexes: Vec<u32>,
    /// What must not be shown to which of the recipients. They add up.
    pub hides: Vec<Hide>,
}

/// Whose presence one user may see.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interest {
    /// The revision that it was computed at. Opaque.
    pub revision: String,
    /// The user: the recipient.
    pub user_id: String,
    /// The senders. Modulo self: it may hold the user itself.
    pub senders: Set,
    /// What must not be shown of which of the senders. They add up.
    pub hides: Vec<Hide>,
}

/// What must not be shown of some presence to some users.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hide {
    /// Recipients in an answer about states, senders in one about interest.
    pub users: Set,
    /// What is hidden.
    pub fields: Fields,
    /// Values of `presence` with which nothing is hidden. Empty: always hidden.
    pub unless_presence: Vec<String>,
}

/// Parts of presence that can be hidden.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fields {
    /// Everything: deliver `offline`, without status and activity.
    pub presence: bool,
    /// The status message.
    pub status_msg: bool,
    /// The time of last activity.
    pub last_active_ts: bool,
    /// Whether the user is active at the moment.
    pub currently_active: bool,
}

/// The other side of one user: a sender's audience or a recipient's interest,
/// without the user itself.
#[derive(Clone, Copy, Debug)]
pub struct Counterparts<'a> {
    user_id: &'a str,
    /// `None`: nobody.
    set: Option<&'a Set>,
    hides: &'a [Hide],
}

// === impl Routed ===

impl Routed {
    /// Refuses indexes that no state has, or that come twice.
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

    /// Who must receive a state, by its index. Of an index that was not asked
    /// about: nobody.
    pub fn audience(&self, index: usize) -> Counterparts<'_> {
        let user_id = self.senders.get(index).map(String::as_str).unwrap_or_default();
        let delivery = self.delivery_indexes.get(index).filter(|index| **index != NO_DELIVERY);
        let delivery = delivery.and_then(|index| usize::try_from(*index).ok());
        let delivery = delivery.and_then(|index| self.deliveries.get(index));
        Counterparts {
            user_id,
            set: delivery.map(|delivery| &delivery.recipients),
            hides: delivery.map(|delivery| delivery.hides.as_slice()).unwrap_or_default(),
        }
    }

    /// Indexes of the states that a recipient must receive, ascending, its own
    /// never among them.
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
    /// Whose presence the user may see, without itself.
    pub fn senders(&self) -> Counterparts<'_> {
        Counterparts { user_id: &self.user_id, set: Some(&self.senders), hides: &self.hides }
    }
}

// === impl Hide ===

impl Hide {
    /// Makes the hide of a unary answer ready. What is not known hides everything.
    ///
    /// # Errors
    /// If it does not say, in a way known here, whom it is about.
    pub fn read(hide: &v1::Hide) -> Result<Self, SetError> {
        Self::new(hide, Set::new_strict)
    }

    pub(crate) fn new<E>(
        hide: &v1::Hide,
        set: impl FnOnce(Option<&v1::SetExpression>) -> Result<Set, E>,
    ) -> Result<Self, E> {
        // None at all is not allowed, and so is not known either.
        let mut fields = Fields { presence: hide.fields.is_empty(), ..Fields::default() };
        for field in &hide.fields {
            match PresenceField::try_from(*field) {
                Ok(PresenceField::StatusMsg) => fields.status_msg = true,
                Ok(PresenceField::LastActiveTs) => fields.last_active_ts = true,
                Ok(PresenceField::CurrentlyActive) => fields.currently_active = true,
                // What is not known means "hide everything".
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
    /// Whether nothing is hidden.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    fn and(self, other: Self) -> Self {
        Self {
            presence: self.presence | other.presence,
            status_msg: self.status_msg | other.status_msg,
            last_active_ts: self.last_active_ts | other.last_active_ts,
            currently_active: self.currently_active | other.currently_active,
        }
    }
}

// === impl Counterparts ===

impl<'a> Counterparts<'a> {
    /// Whether a user is among them.
    pub fn contains(&self, other: &str) -> bool {
        other != self.user_id && self.set.is_some_and(|set| set.contains(other))
    }

    /// Whether there may be more of them than [`Counterparts::listed`] names.
    pub fn is_open(&self) -> bool {
        self.set.is_some_and(Set::is_open)
    }

    /// Those that are named by their ids: all, unless it is open. Sorted by
    /// their bytes, without repeats.
    pub fn listed(&self) -> Vec<&'a str> {
        let mut listed = self.set.map(Set::listed).unwrap_or_default();
        listed.retain(|other| *other != self.user_id);
        listed
    }

    /// What must not be shown to, or of, one of them while the sender's presence
    /// is this one (`online`, `unavailable` ...).
    pub fn hidden(&self, other: &str, presence: &str) -> Fields {
        let hides = self.hides.iter().filter(|hide| {
            !hide.unless_presence.iter().any(|unless| unless == presence)
                && hide.users.contains(other)
        });
        hides.fold(Fields::default(), |all, hide| all.and(hide.fields))
    }

    /// Everything that is hidden of or from some of them.
    pub fn hides(&self) -> &'a [Hide] {
        self.hides
    }

    /// The set, which may hold the user itself. `None`: nobody.
    pub fn set(&self) -> Option<&'a Set> {
        self.set
    }
}

#[cfg(test)]
mod tests;
