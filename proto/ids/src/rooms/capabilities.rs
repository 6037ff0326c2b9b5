//! The kinds of conditions that a homeserver can evaluate.

/// A part of `share_room` that a homeserver can evaluate: the relation itself, or a kind of
/// condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RoomCapability {
    /// If two users share a room.
    RoomMates,
    /// The maximum number of members.
    AtMost,
    /// The minimum number of members.
    AtLeast,
    /// Encryption.
    Encrypted,
    /// The join rule.
    JoinRule,
    /// The history visibility.
    HistoryVisibility,
    /// Globs over room ids.
    Rooms,
    /// Globs over ids of other rooms.
    NotRooms,
    /// A space of the room.
    Space,
    /// The hint for the sharing of presence.
    PresenceSharing,
}

/// A set of [`RoomCapability`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomCapabilities(u16);

// === impl RoomCapability ===

impl RoomCapability {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::RoomMates,
        Self::AtMost,
        Self::AtLeast,
        Self::Encrypted,
        Self::JoinRule,
        Self::HistoryVisibility,
        Self::Rooms,
        Self::NotRooms,
        Self::Space,
        Self::PresenceSharing,
    ];

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

// === impl RoomCapabilities ===

impl RoomCapabilities {
    /// No capability: a homeserver that knows nothing of rooms.
    pub const NONE: Self = Self(0);

    /// Every capability.
    pub const ALL: Self = Self((1 << RoomCapability::ALL.len()) - 1);

    /// Adds a capability.
    #[must_use]
    pub fn with(self, capability: RoomCapability) -> Self {
        Self(self.0 | capability.bit())
    }

    /// Returns the capabilities in any of two sets.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the capabilities in both of two sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns true if every capability of the other set is in this one.
    pub fn covers(self, needed: Self) -> bool {
        needed.0 & !self.0 == 0
    }

    /// Returns the capabilities.
    pub fn iter(self) -> impl Iterator<Item = RoomCapability> {
        RoomCapability::ALL.into_iter().filter(move |one| self.0 & one.bit() != 0)
    }
}

impl From<RoomCapability> for RoomCapabilities {
    fn from(capability: RoomCapability) -> Self {
        Self::NONE.with(capability)
    }
}

impl FromIterator<RoomCapability> for RoomCapabilities {
    fn from_iter<I: IntoIterator<Item = RoomCapability>>(capabilities: I) -> Self {
        capabilities.into_iter().fold(Self::NONE, Self::with)
    }
}
