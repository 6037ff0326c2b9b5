//! The two sides of a pair: the sender, whose presence it is, and the recipient.

/// A side of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The side of the user whose presence is shown.
    Sender,

    /// The side of the user who may see it.
    Recipient,
}

// === impl Side ===

impl Side {
    /// Returns the opposite side.
    #[must_use]
    #[inline]
    pub fn other(self) -> Self {
        match self {
            Self::Sender => Self::Recipient,
            Self::Recipient => Self::Sender,
        }
    }

    /// Selects this side's value from a pair of values for senders and recipients.
    #[inline]
    pub fn select<T>(self, [senders, recipients]: &[T; 2]) -> &T {
        match self {
            Self::Sender => senders,
            Self::Recipient => recipients,
        }
    }

    /// Selects this side's value from a pair of values, to change the value.
    #[inline]
    pub fn select_mut<T>(self, [senders, recipients]: &mut [T; 2]) -> &mut T {
        match self {
            Self::Sender => senders,
            Self::Recipient => recipients,
        }
    }
}
