//! Typed indices: one type for each kind of list, so that no index is used on another
//! list. A list has fewer than [`u32::MAX`] entries, and so a key takes four bytes.

/// An index into lists of one kind.
pub trait Key: Copy {
    /// Returns the key of an index. An index that does not fit becomes the largest key, for which
    /// no list has an entry: no list gets four billion entries.
    fn from_index(index: usize) -> Self;

    /// Returns the index.
    fn index(self) -> usize;
}

/// The number of a user. An alias, because bitmaps of users hold plain `u32`s.
pub type UserNumber = u32;

impl Key for UserNumber {
    #[inline]
    fn from_index(index: usize) -> Self {
        Self::try_from(index).unwrap_or(Self::MAX)
    }

    #[inline]
    fn index(self) -> usize {
        usize::try_from(self).unwrap_or(usize::MAX)
    }
}

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u32);

        impl Key for $name {
            #[inline]
            fn from_index(index: usize) -> Self {
                Self(u32::from_index(index))
            }

            #[inline]
            fn index(self) -> usize {
                self.0.index()
            }
        }
    )*};
}

keys! {
    /// A set among the sets of a ruleset. Groups come first, by their numbers.
    SetId,

    /// A class of users: users of one server who are in the same sets.
    ClassId,

    /// A server of a named user.
    ServerId,

    /// The index of a hide, among all distinct hides of a ruleset's rules.
    HideId,

    /// The index of a relation, among all distinct relations that a ruleset's rules require.
    RelationId,
}
