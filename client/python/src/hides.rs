//! Hidden fields of states: for which users, and with which exceptions for values of
//! `presence`. Python chooses the replacement of a hidden field.

use std::ops::{BitOr, BitOrAssign};

use presence_router_client::Set;

/// Fields of a presence; the bits are those of `_native.pyi`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Fields(pub(crate) u8);

/// Fields that are hidden from some recipients, or of some senders.
#[derive(Clone, Debug)]
pub(crate) struct Hide {
    /// The users to whom the hide applies: recipients in an audience, senders in an interest.
    pub(crate) users: Set,
    fields: Fields,
    /// Values of `presence` for which nothing is hidden.
    unless: Vec<String>,
}

// === impl Fields ===

impl Fields {
    pub(crate) const NONE: Self = Self(0);
    /// Hide everything: show `offline`, without status and activity.
    pub(crate) const ALL: Self = Self(0b1111);
    pub(crate) const STATUS_MSG: Self = Self(0b0010);
    pub(crate) const LAST_ACTIVE_TS: Self = Self(0b0100);
    pub(crate) const CURRENTLY_ACTIVE: Self = Self(0b1000);
}

impl From<presence_router_client::Fields> for Fields {
    fn from(fields: presence_router_client::Fields) -> Self {
        if fields.presence {
            return Self::ALL;
        }
        let bits = [
            (fields.status_msg, Self::STATUS_MSG),
            (fields.last_active_ts, Self::LAST_ACTIVE_TS),
            (fields.currently_active, Self::CURRENTLY_ACTIVE),
        ];
        union_of_fields(bits.into_iter().filter(|(is, _)| *is).map(|(_, field)| field))
    }
}

impl BitOr for Fields {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Fields {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

// === impl Hide ===

impl Hide {
    /// Returns the fields that this hide hides from, or of, its users while the sender has a
    /// presence. `None`: no hide has an exception for the presence.
    pub(crate) fn hidden_fields(&self, presence: Option<&str>) -> Fields {
        let shown = presence.is_some_and(|presence| self.unless.iter().any(|one| one == presence));
        if shown { Fields::NONE } else { self.fields }
    }
}

impl From<&presence_router_client::Hide> for Hide {
    fn from(hide: &presence_router_client::Hide) -> Self {
        let unless = hide.unless_presence.clone();
        Self { users: hide.users.clone(), fields: hide.fields.into(), unless }
    }
}

/// Returns the fields of a state that the hides of an interest hide. For a sender that cannot
/// be looked up (`None`) these are all fields, as soon as there is any hide.
pub(crate) fn hidden_of_sender(
    hides: &[Hide],
    sender: Option<&str>,
    presence: Option<&str>,
) -> Fields {
    match sender {
        None if !hides.is_empty() => Fields::ALL,
        None => Fields::NONE,
        Some(sender) => {
            let concerned = hides.iter().filter(|hide| hide.users.contains(sender));
            union_of_fields(concerned.map(|hide| hide.hidden_fields(presence)))
        }
    }
}

pub(crate) fn union_of_fields(fields: impl Iterator<Item = Fields>) -> Fields {
    fields.fold(Fields::NONE, Fields::bitor)
}
